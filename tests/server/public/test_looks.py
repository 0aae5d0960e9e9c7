"""The public pages in a real Chromium, as a phone and a desktop show them: nothing sticks out, nothing is blocked."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, sync_playwright

from firmware_protocol import trace
from tests.server.public.site import Site

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-dev-shm-usage",
]
PHONE, DESKTOP = (390, 844), (1280, 900)

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(site.app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def test_a_stranger_compares_one_word_on_a_phone(site: Site, address: str, browser: Browser) -> None:
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        complaints.append(f"{message.text} {message.location['url']}")

    folder = Path(os.environ.get("CINNABAR_SCREENSHOTS") or site.path.parent)
    for name, (width, height) in {"phone": PHONE, "desktop": DESKTOP}.items():
        context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=False)
        page = context.new_page()
        page.on("console", listen)
        paths = {
            "home": "/",
            "seal": f"/seal/{site.seal_id()}",
            "known": site.url("known"),
            "known-zh": f"{site.url('known')}?lang=zh",
            "withdrawn": site.url("withdrawn"),
            "unknown": "/V/nonsense",
            "cannot": site.url("unrecorded"),
        }
        for what, path in paths.items():
            page.goto(address + path)
            page.screenshot(path=folder / f"{name}-{what}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, what)
        page.goto(address + site.url("known"))
        assert page.get_by_text(trace.short_code(site.codes["known"])).is_visible()
        page.get_by_role("textbox").fill("not this")
        page.get_by_role("button").click()
        page.screenshot(path=folder / f"{name}-differs.png", full_page=True)
        assert page.get_by_role("heading", level=1).inner_text().startswith("No match")
        context.close()
    assert complaints == []
