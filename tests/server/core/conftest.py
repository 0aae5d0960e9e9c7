from collections.abc import Callable

import anyio
import httpx
import pytest
from fastapi import FastAPI

Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask() -> Ask:
    """Sends one request to an app in this process: app, method, path, then what httpx takes."""

    def send(app: FastAPI, method: str, path: str, **options: object) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
                return await client.request(method, path, **options)

        return anyio.run(run)

    return send
