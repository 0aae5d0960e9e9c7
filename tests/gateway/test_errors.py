"""What a keeper reads when something does not work: what happened, whether the work is safe, what to do next."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from httpx import ASGITransport, AsyncClient

from gateway.api import create_app
from gateway.errors import (
    AnotherDevice,
    DeviceRefused,
    DeviceUnreachable,
    GatewayError,
    HeadOfficeRefused,
    HeadOfficeUnreachable,
    NoPasskey,
    NoRoom,
    NotKnownHere,
    OutOfOrder,
    PasskeyNotKnown,
    TwoDevicesFit,
)

NO_DEVICES: Any = SimpleNamespace(settings=SimpleNamespace(server_url="https://seal.example"))
"""As much of a gateway as making its pages takes."""
REFUSED = DeviceRefused(reason=1, name="WRONG_NONCE", detail="an old one")


@pytest.mark.parametrize(
    "error",
    [
        DeviceUnreachable("COM3"),
        TwoDevicesFit("USB"),
        AnotherDevice(expected="CB-1", found="CB-2"),
        REFUSED,
        HeadOfficeUnreachable("no route"),
        NotKnownHere(),
        PasskeyNotKnown(),
        NoPasskey(),
        NoRoom(),
    ],
    ids=lambda error: error.code,
)
def test_an_error_says_what_happened_whether_work_is_safe_and_what_next(error: GatewayError) -> None:
    sentences = str(error).rstrip(".").split(". ")
    assert len(sentences) >= 3, sentences
    assert any(word in str(error) for word in ("locked", "unlocked", "did nothing", "Nothing is lost"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HeadOfficeRefused(status=418, code="x", detail="No."), 418),
        (REFUSED, 409),
        (OutOfOrder("Not now."), 409),
        (NoPasskey(), 409),
        (NotKnownHere(), 401),
        (PasskeyNotKnown(), 401),
        (DeviceUnreachable("COM3"), 503),
        (NoRoom(), 503),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_problem_has_the_status_that_fits(error: GatewayError, status: int) -> None:
    async def ask() -> tuple[int, str]:
        app = create_app(NO_DEVICES)

        @app.get("/wrong")
        def wrong(_request: Request) -> None:
            raise error

        async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1") as client:
            answer = await client.get("/wrong")
        return answer.status_code, answer.json()["detail"]

    assert asyncio.run(ask()) == (status, str(error))
