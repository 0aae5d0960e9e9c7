"""The keeper's screen in Chromium: every step, phone and desktop, refreshed by the gateway's own stream."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.api import create_app
from gateway.rules.session import Session, Step
from tests.browser.conftest import DESKTOP, PHONE, look, serve
from tests.gateway.session_page.conftest import ScriptedDevice, ScriptedGateway

BUSY = Session(step=Step.PLACE, request_id="r1", title="Supply contract", strokes_total=2, strokes_left=2, page=1)


@pytest.fixture
def office_box() -> ScriptedGateway:
    return ScriptedGateway([ScriptedDevice()])


@pytest.fixture
def keeper(browser: Browser, office_box: ScriptedGateway) -> Iterator[Page]:
    for url in serve(create_app(office_box)):  # type: ignore[arg-type]
        page = browser.new_context(viewport=PHONE, base_url=url.replace("localhost", "127.0.0.1")).new_page()
        page.set_default_timeout(10_000)
        yield page
        page.context.close()


def test_the_keepers_day(keeper: Page, office_box: ScriptedGateway) -> None:
    device = office_box.devices[0]
    keeper.goto("/")
    look(keeper, "keeper-sign-in")
    keeper.get_by_label("User name").fill("kim")
    keeper.get_by_label("PIN").fill("4711")
    keeper.get_by_role("button", name="Sign in").click()
    expect(keeper.get_by_role("heading", name="Ready to stamp: 1")).to_be_visible()
    look(keeper, "keeper-pick")
    keeper.get_by_role("button", name="Supply contract").click()
    expect(keeper.get_by_role("heading", name="Lay page 1 on the tray")).to_be_visible()
    look(keeper, "keeper-place")

    def now(session: Session, heading: str, name: str, **facts: object) -> None:
        device.session, device.facts = session, dict(facts)
        office_box.tell()
        expect(keeper.get_by_role("heading", name=heading)).to_be_visible()
        look(keeper, name)

    on_tray = {"page_present": True, "page_still": True}
    now(replace(BUSY, step=Step.CHECKING), "Comparing the page", "keeper-checking", **on_tray, state="page_seen")
    now(replace(BUSY, step=Step.READY), "Press now", "keeper-ready", **on_tray, state="unlocked")
    keeper.set_viewport_size(DESKTOP)
    look(keeper, "keeper-ready")
    keeper.set_viewport_size(PHONE)
    now(replace(BUSY, step=Step.STAMPED, strokes_left=1), "Stamped", "keeper-stamped", **on_tray)
    wrong = replace(
        BUSY, step=Step.PROBLEM, code="text_differs", differences=({"kind": "text", "box": [], "text": "1.200,00"},)
    )
    now(wrong, "Text on this page differs", "keeper-problem", **on_tray)
    office_box.uplink, office_box.waiting = False, {"events": 7, "photos": 5}
    now(replace(BUSY, step=Step.DONE, strokes_left=0), "Done", "keeper-done-offline")
    now(replace(BUSY, step=Step.OFFLINE), "The device does not answer", "keeper-offline")
