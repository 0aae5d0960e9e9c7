from collections.abc import Callable

import anyio
import httpx
import pytest
from fastapi import FastAPI

from dashboard.cli.init import create_installation
from server.core.clock import SystemClock
from server.core.rng import SystemRng
from server.core.settings import Settings

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


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A complete demo installation, made once."""
    home = tmp_path_factory.mktemp("demo") / "home"
    settings = Settings(home=home, demo=True, installation="Azulejos del Sur", log_level="WARNING")
    create_installation(settings, clock=SystemClock(), rng=SystemRng())
    return settings
