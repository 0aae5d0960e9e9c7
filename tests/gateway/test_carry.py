"""Requests through a keeper's phone: sealed, answered once, and nothing that a phone could make up."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from firmware_protocol import cbor
from gateway.carry import Carry, may_be_carried
from gateway.errors import HeadOfficeUnreachable, OutOfOrder
from gateway.settings import GatewaySettings
from gateway.uplink.head_office import HeadOffice
from tests.gateway.stand import Clock

SECRET = "gateway secret"
KEY = hmac.digest(hashlib.sha256(SECRET.encode()).digest(), b"seal/1/carry", "sha256")
SETTINGS = GatewaySettings(
    gateway_id="gw", server_url="http://127.0.0.1:1", secret=SECRET, mqtt_url="mqtt://127.0.0.1:1"
)


class Office:
    """One gateway's parcels, and headquarters' side of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.down: list[tuple[str, str, bytes]] = []
        self.carry = Carry(
            gateway_id="gw",
            secret=SECRET,
            clock=self.clock,
            random=lambda size: b"r" * size,
            on_down=lambda kind, device, payload: self.down.append((kind, device, payload)),
        )

    async def take(self) -> dict[str, Any]:
        """The phone asks until there is something."""
        while (envelope := await self.carry.next(reaches=True, wait_s=0.01)) is None:
            pass
        return envelope


def answer(nonce: str, body: bytes = b"[]", *, down: list[dict[str, str]] | None = None) -> dict[str, Any]:
    said = {"status": 200, "content_type": "application/json", "body": base64.b64encode(body).decode()}
    said |= {"down": down or []}
    mac = hmac.digest(KEY, cbor.encode([nonce, *said.values()]), "sha256").hex()
    return said | {"mac": mac}


def office(work: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await work(Office())

    asyncio.run(run())


def test_a_request_travels_sealed_and_its_orders_come_back_with_the_answer() -> None:
    async def work(here: Office) -> None:
        sending = asyncio.create_task(
            here.carry.send("POST", "devices/CB-1/permits", content_type="multipart/form-data", body=b"photo")
        )
        envelope = await here.take()
        mac = envelope.pop("mac")
        assert mac == hmac.digest(KEY, cbor.encode(list(envelope.values())), "sha256").hex()
        assert base64.b64decode(envelope["body"]) == b"photo"
        order = {"device_id": "CB-1", "kind": "permit", "payload": "aabb"}
        here.carry.answer(envelope["nonce"], answer(envelope["nonce"], b"{}", down=[order]))
        assert (await sending).body == b"{}"
        assert here.down == [("permit", "CB-1", b"\xaa\xbb")]
        assert here.carry.working

    office(work)


@pytest.mark.parametrize("change", ["body", "nonce", "mac", "twice"])
def test_a_phone_cannot_make_up_swap_or_repeat_an_answer(change: str) -> None:
    async def work(here: Office) -> None:
        sending = asyncio.create_task(here.carry.send("GET", "devices/CB-1/jobs", content_type="", body=b""))
        envelope = await here.take()
        nonce = envelope["nonce"]
        good = answer(nonce)
        bad = {
            "body": good | {"body": base64.b64encode(b"[1]").decode()},
            "nonce": answer("00" * 16),
            "mac": good | {"mac": "zz"},
            "twice": good,
        }[change]
        if change == "twice":
            here.carry.answer(nonce, good)
        with pytest.raises(OutOfOrder):
            here.carry.answer(nonce, bad)
        if change != "twice":
            here.carry.answer(nonce, good)
        assert (await sending).body == b"[]"

    office(work)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("hello", True),
        ("devices/CB-1/jobs?operator_id=p", True),
        ("devices/CB-1/sweeps/pages", True),
        ("sessions", False),
        ("certificate", False),
        ("blobs/00ff", False),
        ("devices/CB-1/labels", False),
    ],
)
def test_only_what_a_session_needs_is_carried(path: str, *, allowed: bool) -> None:
    assert may_be_carried(path) is allowed


def test_headquarters_is_asked_through_the_phone_only_while_one_is_there() -> None:
    async def work(here: Office) -> None:
        head_office = HeadOffice(SETTINGS, carry=here.carry)
        with pytest.raises(HeadOfficeUnreachable):
            await head_office.jobs("CB-1")
        assert await here.carry.next(reaches=True, wait_s=0) is None
        asking = asyncio.create_task(head_office.jobs("CB-1", operator_id="p1"))
        envelope = await here.take()
        assert (envelope["method"], envelope["path"]) == ("GET", "devices/CB-1/jobs?operator_id=p1")
        here.carry.answer(envelope["nonce"], answer(envelope["nonce"], b'[{"request_id": "r1"}]'))
        assert await asking == [{"request_id": "r1"}]
        here.clock.now += 60_000
        with pytest.raises(HeadOfficeUnreachable):
            await head_office.jobs("CB-1")
        await head_office.close()

    office(work)


def test_a_refusal_that_was_carried_reads_like_any_other() -> None:
    async def work(here: Office) -> None:
        head_office = HeadOffice(SETTINGS, carry=here.carry)
        await here.carry.next(reaches=True, wait_s=0)
        asking = asyncio.create_task(head_office.jobs("CB-1"))
        nonce = (await here.take())["nonce"]
        said = answer(nonce, b'{"code": "no_such_device", "detail": "No such device."}') | {"status": 404}
        said["mac"] = hmac.digest(
            KEY, cbor.encode([nonce, 404, said["content_type"], said["body"], said["down"]]), "sha256"
        ).hex()
        here.carry.answer(nonce, said)
        with pytest.raises(Exception, match="No such device"):
            await asking
        await head_office.close()

    office(work)
