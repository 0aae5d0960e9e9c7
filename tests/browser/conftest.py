"""A real web app over HTTP on loopback, seeded through the services, and Debian's Chromium in front of it."""

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from dashboard.app import create_app
from firmware_protocol import events
from server.approvals.schemas import RequestRead
from server.core.scope import Scope
from server.inspection import service as inspection
from server.inspection.service import StrokeAt
from server.ledger import service as ledger
from tests.server.office import Office, gateway, office, photo_of  # noqa: F401 - fixtures
from tests.server.world import (  # noqa: F401 - fixtures
    PASSWORD,
    Company,
    clock,
    company,
    contract_pdf,
    installation,
    keys,
    run,
    with_passwords,
    workers,
)

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
TABLET = {"width": 820, "height": 1180}
DESKTOP = {"width": 1280, "height": 900}
SHOTS = os.environ.get("CINNABAR_SHOTS")
"""A folder: every screen looked at is also kept there as a picture."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: Playwright keeps an event loop running in this thread while it is open."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def serve(app: Any) -> Iterator[str]:
    """`app` on a free port of loopback; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    sock = server.config.bind_socket()
    sock.listen(64)  # a visitor who comes before the loop runs waits instead of being refused
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    yield f"http://localhost:{sock.getsockname()[1]}"
    server.should_exit = True
    server.force_exit = True
    thread.join(timeout=5)
    sock.close()


@dataclass
class Site:
    """The running product as people see it."""

    url: str
    office: Office
    browser: Browser
    contexts: list[BrowserContext]

    @property
    def company(self) -> Company:
        return self.office.company

    def visitor(self, *, viewport: dict[str, int] = PHONE, **options: Any) -> Page:
        """A fresh browser, nobody signed in; errors on the console fail the test."""
        context = self.browser.new_context(viewport=viewport, base_url=self.url, locale="en-GB", **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", _no_policy_breach)
        return page

    def signed_in(self, username: str, **options: Any) -> Page:
        page = self.visitor(**options)
        page.goto("/login")
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        return page


def _no_policy_breach(message: Any) -> None:
    if "Content Security Policy" in message.text:
        BREACHES.append(message.text)


BREACHES: list[str] = []


@pytest.fixture
def site(office: Office, with_passwords: Company, browser: Browser) -> Iterator[Site]:  # noqa: F811 - fixtures
    BREACHES.clear()
    contexts: list[BrowserContext] = []
    for url in serve(create_app(office.run)):
        yield Site(url=url, office=office, browser=browser, contexts=contexts)
        for context in contexts:
            context.close()
    assert BREACHES == []


def look(page: Page, name: str) -> None:
    """The page fits its width, axe finds nothing, and a picture is kept when asked for."""
    page.wait_for_load_state("load")
    if SHOTS:
        width = (page.viewport_size or PHONE)["width"]
        page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=os.environ.get("CINNABAR_SHOT") != "view")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} px wider than the screen"
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


def stamp(office: Office, asked: RequestRead) -> None:  # noqa: F811 - the value, not the fixture
    """The whole stamping of a request, as device, gateway and worker do it: a wrong page first, then every press."""
    company = office.company  # noqa: F811
    token = office.token(asked)
    office.grant(token)
    pdf = _pdf(company, asked)
    plan = [place.page for _ in range(asked.copies) for place in asked.places]
    _judge(office, asked, token.token_id, 1, photo_of(contract_pdf(amount="7.200,00 EUR"), plan[0]), nonce=b"w" * 16)
    for stroke, page in enumerate(plan, start=1):
        before = photo_of(pdf, page)
        _judge(office, asked, token.token_id, stroke, before, nonce=bytes([stroke]) * 16)
        after = photo_of(pdf, page, dpi=140)
        done = office.press(token, stroke, photo=after)
        _keep(office, before, before + b" in full")
        _keep(office, after, after + bytes([stroke]))
        assert isinstance(events.peek(done).body, events.Done)
    office.close(token, used=len(plan))
    office.deliver()


def _pdf(company: Company, asked: RequestRead) -> bytes:  # noqa: F811
    with company.run.db.read() as db:
        return company.run.blobs.get(db, asked.document_digest, scope=company.everywhere)


def _judge(office: Office, asked: RequestRead, token_id: bytes, stroke: int, photo: bytes, *, nonce: bytes) -> None:  # noqa: F811
    run = office.run  # noqa: F811
    event = office.page_seen(token_id, stroke, photo, nonce=nonce)
    at = StrokeAt(
        tenant_id=asked.tenant_id,
        branch_path=asked.branch_path,
        request_id=asked.id,
        seal_id=asked.seal_id,
        device_id=office.pen.device_id,
        token_id=token_id,
        stroke=stroke,
        page=asked.places[(stroke - 1) % len(asked.places)].page,
        document_digest=asked.document_digest,
    )
    check = inspection.look_at_page(run, at, photo)
    with run.db.write() as db:
        inspection.keep_page_finding(db, run, at, check, preview=photo, event=event)


def _keep(office: Office, photo: bytes, named: bytes) -> None:  # noqa: F811
    """Store a picture under the digest that the device signed for."""
    scope = Scope.system(office.company.tenant.id)
    with office.run.db.write() as db:
        office.run.blobs.put(db, named, "image/jpeg", scope=scope)
        ledger.photo_stored(
            db,
            device_id=office.pen.device_id,
            generation=1,
            digest=hashlib.sha256(named).digest(),
            now=office.run.now(),
        )
