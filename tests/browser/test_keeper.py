"""The keeper's screen in Chromium: every step, phone, tablet and desktop, refreshed by the gateway's own stream."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from device_sim.scene.scene import Scene, SceneSettings
from gateway.api import create_app
from gateway.rules import facts
from gateway.rules.session import Imprint, Session, Step, Sticker
from tests.browser.conftest import DESKTOP, PHONE, TABLET, look, serve
from tests.gateway.session_page.conftest import BUSY, PLAN, TOKEN, ScriptedDevice, ScriptedGateway

ON_TRAY = {"page_present": True, "page_still": True}
FAINT = Imprint(token_id=TOKEN, stroke=1, page=1, grade="faint", text="Too little ink on the right side.")
CODE = "HTTPS://SEAL.EXAMPLE/V/0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STICKER = Sticker(token_id=TOKEN, stroke=1, copy=1, state="stick", url=CODE, short="7K2M-9QXT-4F")
DIFFERS = ({"kind": "text", "box": [], "text": "1.200,00"},)


def photo() -> bytes:
    out = BytesIO()
    Image.new("L", (320, 440), 235).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def device() -> ScriptedDevice:
    picture = photo()
    return ScriptedDevice(pictures={"page": picture, f"{TOKEN}-1": picture})


@pytest.fixture
def office_box(device: ScriptedDevice) -> ScriptedGateway:
    return ScriptedGateway([device])


@pytest.fixture
def keeper(browser: Browser, office_box: ScriptedGateway) -> Iterator[Page]:
    for url in serve(create_app(office_box)):  # type: ignore[arg-type]
        page = browser.new_context(viewport=PHONE, base_url=url.replace("localhost", "127.0.0.1")).new_page()
        page.set_default_timeout(10_000)
        yield page
        page.context.close()


class At:
    """What happens at the device, and what the keeper then sees."""

    def __init__(self, page: Page, office_box: ScriptedGateway) -> None:
        self.page = page
        self.device = office_box.devices[0]
        self._box = office_box

    def now(self, session: Session, heading: str, name: str, **told: object) -> None:
        self.device.session, self.device.facts = session, dict(told)
        self._box.tell()
        expect(self.page.get_by_role("heading", name=heading)).to_be_visible()
        look(self.page, name)

    def happens_to(self, session: Session, heading: str) -> None:
        self.device.session = session
        self._box.tell()
        expect(self.page.get_by_role("heading", name=heading)).to_be_visible()

    def happens(self, *happened: facts.Fact, heading: str) -> None:
        for fact in happened:
            self.device.step(fact)
        self._box.tell()
        expect(self.page.get_by_role("heading", name=heading)).to_be_visible()


@pytest.fixture
def at(keeper: Page, office_box: ScriptedGateway) -> At:
    return At(keeper, office_box)


def sign_in(keeper: Page) -> None:
    keeper.goto("/")
    keeper.get_by_label("User name").fill("kim")
    keeper.get_by_label("PIN").fill("4711")
    keeper.get_by_role("button", name="Sign in").click()
    expect(keeper.get_by_role("heading", name="Ready to stamp: 1")).to_be_visible()


def test_the_keepers_day(keeper: Page, at: At, office_box: ScriptedGateway) -> None:
    keeper.goto("/")
    look(keeper, "keeper-sign-in")
    sign_in(keeper)
    look(keeper, "keeper-pick")
    keeper.get_by_role("button", name="Supply contract").click()
    expect(keeper.get_by_role("heading", name="Lay page 1 on the tray")).to_be_visible()
    look(keeper, "keeper-place")
    at.now(replace(BUSY, step=Step.CHECKING), "Comparing the page", "keeper-checking", **ON_TRAY, state="page_seen")
    at.now(replace(BUSY, step=Step.READY), "Press now", "keeper-ready", **ON_TRAY, state="unlocked", battery=15, ink=9)
    for size in (TABLET, DESKTOP, PHONE):
        keeper.set_viewport_size(size)  # type: ignore[arg-type]
        look(keeper, "keeper-ready")
    clear = replace(FAINT, grade="clear", text="")
    at.now(replace(BUSY, step=Step.STAMPED, strokes_left=1, imprints=(clear,)), "Stamped", "keeper-stamped", **ON_TRAY)
    expect(keeper.get_by_role("img", name="Photo of the imprint: clear")).to_be_visible()
    wrong = replace(BUSY, step=Step.PROBLEM, code="text_differs", differences=DIFFERS)
    at.now(wrong, "Text on this page differs", "keeper-problem", **ON_TRAY)
    office_box.uplink, office_box.waiting = False, {"events": 7, "photos": 5}
    at.now(replace(BUSY, step=Step.DONE, strokes_left=0), "Done", "keeper-done-offline")
    expect(keeper.get_by_text("Filed as SR-2026-0007")).to_be_visible()
    expect(keeper.get_by_role("button", name="Next job")).to_be_visible()
    at.now(replace(BUSY, step=Step.OFFLINE), "The device does not answer", "keeper-offline")


def test_the_tray_is_seen_while_the_page_is_laid(keeper: Page, at: At) -> None:
    scene = Scene(settings=SceneSettings(dpi=60), rng=np.random.default_rng(7))
    at.device.tray = lambda: scene.look()[0]
    sign_in(keeper)
    keeper.get_by_role("button", name="Supply contract").click()
    at.now(at.device.session, "Lay page 1 on the tray", "keeper-tray", live=scene.look()[1])
    expect(keeper.get_by_role("img", name="The tray as it lies now")).to_be_visible()
    expect(keeper.locator(".tray polygon")).to_be_visible()
    keeper.wait_for_function(SHOWS, arg=[0, 110])
    scene.lay_page(None)
    keeper.wait_for_function(SHOWS, arg=[150, 256])
    look(keeper, "keeper-live")
    at.now(replace(BUSY, step=Step.CHECKING), "Comparing the page", "keeper-checking", **ON_TRAY)
    expect(keeper.locator("img[data-live]")).to_have_count(0)
    looks: list[str] = []
    keeper.on("request", lambda request: looks.append(request.url))
    since = keeper.evaluate("performance.now()")
    keeper.wait_for_function("since => performance.now() > since + 1500", arg=since)
    assert not [url for url in looks if "/live" in url], "nothing looks once the step is left"


SHOWS = """([least, most]) => {
  const seen = document.querySelector("img[data-live]");
  if (!seen?.naturalWidth) return false;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [seen.naturalWidth, seen.naturalHeight];
  const copy = canvas.getContext("2d");
  copy.drawImage(seen, 0, 0);
  const green = copy.getImageData(seen.naturalWidth >> 1, seen.naturalHeight >> 1, 1, 1).data[1];
  return green >= least && green < most;
}"""
"""The live picture is so bright in its middle, 0 to 255."""


def test_every_way_of_stamping_says_what_to_do(keeper: Page, at: At) -> None:
    keeper.goto("/")
    unchecked = replace(PLAN, mode="continuous", page_check="none")
    sheets = replace(BUSY, plan=unchecked, step=Step.READY, strokes_left=7, strokes_total=9)
    at.now(sheets, "Press", "keeper-continuous")
    expect(keeper.get_by_text("7 imprints left")).to_be_visible()
    expect(keeper.get_by_text("The page is not checked before the press.")).to_be_visible()
    straddle = replace(BUSY, plan=replace(PLAN, mode="straddle"), stage="cover")
    at.now(straddle, "Lay the cover on the tray: page 1", "keeper-cover")
    at.now(replace(straddle, stage="fan"), "Fan out the pages under the seal", "keeper-fan")
    leafing = replace(BUSY, plan=replace(PLAN, bound=True), step=Step.SWEEP, seen=11, of=40, missing=(7, 12))
    at.now(leafing, "Leaf through: page 12 of 40", "keeper-sweep", state="sweeping")
    expect(keeper.get_by_text("Still missing: 7, 12")).to_be_visible()
    again = replace(BUSY, plan=replace(PLAN, pages=((1, 1), (1, 1))), strokes_left=1)
    at.now(again, "The same sheet again: page 1", "keeper-same-sheet")
    service = Session(service="change_head", slot=1)
    at.now(service, "Change the head in slot 1", "keeper-service", state="service", cover_closed=False)


def test_a_device_unplugged_in_mid_session_goes_on_where_it_was(keeper: Page, at: At) -> None:
    sign_in(keeper)
    keeper.get_by_role("button", name="Supply contract").click()
    still = facts.TrayChanged(present=True, still=True)
    at.happens(still, facts.PhotoTaken(), facts.LatchFree(), heading="Press now")
    at.happens(facts.DeviceLost(text="The device was unplugged."), heading="The device does not answer")
    expect(keeper.get_by_text("The device was unplugged.")).to_be_visible()
    look(keeper, "keeper-unplugged")
    at.happens(facts.DeviceBack(strokes_left=1), heading="Lay page 2 on the tray")
    assert at.device.operator is not None, "nobody signs in again in the middle of a job"
    lost = (facts.DeviceLost(text="power"), facts.StrokeSettled(stroke=2, outcome="unknown"))
    at.happens(*lost, facts.DeviceBack(strokes_left=None), heading="The device was started again")
    expect(keeper.get_by_text("Session stopped at imprint 2 of 2.")).to_be_visible()
    expect(keeper.get_by_text("Press not confirmed.")).to_be_visible()
    look(keeper, "keeper-power")


def hold_badge(keeper: Page, badge: str) -> None:
    """What a reader does: keys, faster than a busy machine's driver could send them one by one."""
    keeper.evaluate(
        """badge => {
          for (const key of [...badge, "Enter"]) {
            const at = document.activeElement;
            const typed = at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
            if (typed && key !== "Enter" && at.matches("input")) at.value += key;
          }
        }""",
        badge,
    )


def test_a_badge_is_recognised_anywhere_and_leaves_nothing_in_a_field(keeper: Page, at: At) -> None:
    keeper.goto("/")
    name = keeper.get_by_label("User name")
    name.fill("ki")
    name.press("End")
    hold_badge(keeper, "NOBODYS-0001")
    expect(keeper.get_by_text("The name, the PIN or the badge is not right.")).to_be_visible()
    expect(name).to_have_value("")
    name.focus()
    hold_badge(keeper, "BADGE-0042")
    expect(keeper.get_by_role("button", name="Sign out Lee")).to_be_visible()
    keeper.get_by_role("button", name="Supply contract").click()
    expect(keeper.get_by_role("heading", name="Lay page 1 on the tray")).to_be_visible()
    at.device.badges["BADGE-0077"] = "Mei"
    hold_badge(keeper, "BADGE-0077")
    expect(keeper.locator(".strip").get_by_text("Mei")).to_be_visible()


@pytest.mark.parametrize("typed", ["SR-2026-0007", "sr'2026'0007"])
def test_the_code_on_a_cover_sheet_starts_its_job(keeper: Page, at: At, typed: str) -> None:
    sign_in(keeper)
    expect(keeper.get_by_text("scan the code on its cover sheet")).to_be_visible()
    hold_badge(keeper, "SR-2026-9999")
    expect(keeper.get_by_text("SR-2026-9999 is not waiting for this device.")).to_be_visible()
    hold_badge(keeper, typed)
    expect(keeper.get_by_role("heading", name="Lay page 1 on the tray")).to_be_visible()


def test_slow_typing_is_no_badge(keeper: Page, at: At) -> None:
    keeper.goto("/")
    at.device.badges["kimkim"] = "Somebody else"
    keeper.get_by_label("User name").press_sequentially("kimkim", delay=70)
    keeper.get_by_label("PIN").press_sequentially("4711", delay=70)
    keeper.wait_for_timeout(70)
    keeper.keyboard.press("Enter")
    expect(keeper.get_by_role("button", name="Sign out Kimkim")).to_be_visible()


def test_a_spoiled_sheet_is_cancelled_and_a_spare_follows(keeper: Page, at: At) -> None:
    sign_in(keeper)
    keeper.get_by_role("button", name="Supply contract").click()
    pressed = (facts.TrayChanged(present=True, still=True), facts.PhotoTaken(), facts.LatchFree())
    at.happens(*pressed, facts.StrokeDone(stroke=1), heading="Stamped")
    judged = facts.ImprintJudged(token_id=TOKEN, stroke=1, grade="faint", text=FAINT.text)
    at.happens(judged, heading="The imprint on page 1 is faint")
    expect(keeper.get_by_role("img", name="Photo of the imprint: faint")).to_be_visible()
    look(keeper, "keeper-redo")
    keeper.get_by_role("button", name="Cancel this sheet and take a spare").click()
    expect(keeper.get_by_role("heading", name="Leave the sheet on the tray")).to_be_visible()
    look(keeper, "keeper-spoil")
    another = facts.SheetSpoiled(accepted=False, text="This is another sheet than the one that was stamped.")
    at.happens(another, heading="Put the spoiled sheet back")
    expect(keeper.get_by_text("This is another sheet")).to_be_visible()
    at.happens(facts.SheetSpoiled(accepted=True), heading="Lay page 2 on the tray")
    at.happens(
        facts.TrayChanged(present=False, still=False), *pressed, facts.StrokeDone(stroke=2), heading="A spare is being"
    )
    look(keeper, "keeper-spare")


def test_a_doubtful_page_shows_whom_it_waits_for_and_how_long(keeper: Page, at: At) -> None:
    keeper.goto("/")
    asked = replace(
        BUSY, step=Step.ASKED, code="text_differs", case_id="c1", asked="Ana Ortega", asked_ms=1, differences=DIFFERS
    )
    at.now(asked, "Asked Ana Ortega", "keeper-asked", **ON_TRAY)
    waited = keeper.locator("time[data-waited]")
    before = int(waited.get_attribute("data-waited") or 0)
    keeper.wait_for_function("old => Number(document.querySelector('time').dataset.waited) > old", arg=before)
    expect(keeper.get_by_text("Differs: “1.200,00” was approved")).to_be_visible()
    at.happens(facts.CaseHeard(case_id="c1", state="anyway", by="Ana"), facts.LatchFree(), heading="Press now")
    at.now(asked, "Asked Ana Ortega", "keeper-asked", **ON_TRAY)
    at.happens(
        facts.CaseHeard(case_id="c1", state="no", reason="Amount is wrong."), heading="The second person said no."
    )
    expect(keeper.get_by_text("Amount is wrong.")).to_be_visible()


def test_stop_locks_first_and_asks_why_second(keeper: Page, at: At) -> None:
    sign_in(keeper)
    keeper.get_by_role("button", name="Supply contract").click()
    keeper.get_by_role("button", name="Stop: lock the device").click()
    expect(keeper.get_by_role("heading", name="Locked. Why did you stop?")).to_be_visible()
    assert at.device.asked == ["abort"]
    look(keeper, "keeper-why")
    keeper.get_by_label("Wrong paper").check()
    keeper.get_by_label("In your words").fill("letterhead of last year")
    keeper.get_by_role("button", name="Keep the reason").click()
    expect(keeper.get_by_role("heading", name="Ready to stamp: 1")).to_be_visible()
    assert at.device.asked[1] == "reason wrong_paper letterhead of last year"


def test_an_extra_stroke_is_a_red_alarm_until_it_is_explained(keeper: Page, at: At) -> None:
    sign_in(keeper)
    at.happens(facts.ExtraStrokes(strokes=1), heading="An imprint that was not approved")
    expect(keeper.locator("body")).to_have_class("alarm")
    look(keeper, "keeper-alarm")
    words = keeper.get_by_label("What happened?")
    words.fill("My sleeve caught the handle.")
    at.happens(facts.TrayChanged(present=True, still=True), heading="An imprint that was not approved")
    expect(words).to_have_value("My sleeve caught the handle.")
    keeper.get_by_role("button", name="Keep this report").click()
    expect(keeper.get_by_role("heading", name="Ready to stamp: 1")).to_be_visible()
    assert at.device.asked == ["alarm My sleeve caught the handle."]


def test_a_device_without_a_coder_gets_its_labels(keeper: Page, at: At) -> None:
    keeper.goto("/")
    owing = replace(BUSY, step=Step.LABEL, strokes_left=0, stickers=(STICKER,))
    at.now(owing, "Stick the label beside the imprint", "keeper-label", printer="lp Zebra-2")
    expect(keeper.get_by_text("7K2M-9QXT-4F").first).to_be_visible()
    expect(keeper.get_by_role("img", name="The label: a QR code")).to_be_visible()
    expect(keeper.get_by_text("Label printer: lp Zebra-2")).to_be_visible()
    for size in (TABLET, DESKTOP, PHONE):
        keeper.set_viewport_size(size)  # type: ignore[arg-type]
        look(keeper, "keeper-label")
    keeper.get_by_role("button", name="Go on without the label").click()
    expect(keeper.get_by_text("Stamped, label missing: 1")).to_be_visible()
    look(keeper, "keeper-label-missing")


def test_large_text_and_left_hand_stay_with_the_phone(keeper: Page) -> None:
    keeper.goto("/")
    keeper.get_by_role("link", name="Large text").click()
    keeper.get_by_role("link", name="Left hand").click()
    expect(keeper.locator("body")).to_have_class("plain large left")
    look(keeper, "keeper-large-left")
    keeper.get_by_role("link", name="Large text").click()
    expect(keeper.locator("body")).to_have_class("plain left")


def test_no_sounds_leaves_the_alarm(keeper: Page, at: At) -> None:
    keeper.add_init_script("window.felt = []; navigator.vibrate = what => window.felt.push(what);")
    keeper.goto("/")
    at.now(replace(BUSY, step=Step.READY), "Press now", "keeper-ready", **ON_TRAY)
    assert keeper.evaluate("felt") == [120]
    at.now(Session(), "Who are you?", "keeper-sign-in")
    keeper.get_by_role("link", name="No sounds").click()
    expect(keeper.locator("body")).to_have_class("plain silent")
    at.now(replace(BUSY, step=Step.READY), "Press now", "keeper-ready", **ON_TRAY)
    wrong = replace(BUSY, step=Step.PROBLEM, code="text_differs", differences=DIFFERS)
    at.now(wrong, "Text on this page differs", "keeper-problem", **ON_TRAY)
    assert keeper.evaluate("felt") == [[300, 100, 300]]


VOICE = """
window.heard = [];
const spoken = { cancel() {}, getVoices: () => [{ lang: "en-GB" }, { lang: "es-ES" }],
  speak: (said) => heard.push(`${said.lang}: ${said.text}`) };
Object.defineProperty(window, "speechSynthesis", { get: () => spoken });
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
"""


def test_a_voice_says_the_next_step_in_the_pages_language(keeper: Page, at: At) -> None:
    keeper.add_init_script(VOICE)
    keeper.goto("/")
    at.happens_to(BUSY, "Lay page 1 on the tray")
    at.happens_to(replace(BUSY, step=Step.CHECKING), "Comparing the page")
    at.happens_to(replace(BUSY, step=Step.READY), "Press now")
    assert keeper.evaluate("heard") == ["en-GB: Lay page 1 on the tray", "en-GB: Press now"]
    keeper.goto("/language/es")
    at.happens_to(BUSY, "Coloque la página 1 en la bandeja")
    assert keeper.evaluate("heard") == ["es-ES: Coloque la página 1 en la bandeja"]
    keeper.goto("/language/zh")
    at.happens_to(replace(BUSY, step=Step.READY), "现在按压")
    assert keeper.evaluate("heard") == [], "nobody understands Chinese read by another voice"


def test_no_sounds_is_no_voice_but_for_an_alarm(keeper: Page, at: At) -> None:
    keeper.add_init_script(VOICE)
    keeper.goto("/devices/MAD-0001/look/silent")
    at.happens_to(BUSY, "Lay page 1 on the tray")
    at.happens_to(replace(BUSY, alarm=1), "An imprint that was not approved")
    (said,) = keeper.evaluate("heard")
    assert said.startswith("en-GB: An imprint that was not approved. The device is locked.")


def test_who_was_asked_is_reminded(keeper: Page, at: At) -> None:
    keeper.goto("/")
    asked = replace(BUSY, step=Step.ASKED, code="text_differs", case_id="c1", differences=DIFFERS)
    at.now(asked, "A second person was asked", "keeper-asked", **ON_TRAY)
    keeper.get_by_role("button", name="Remind them").click()
    expect(keeper.get_by_text("Reminded: Ana, Boss.")).to_be_visible()
    expect(keeper.get_by_role("button", name="Remind them")).to_have_count(0)
    look(keeper, "keeper-reminded")


def test_the_phone_carries_when_the_office_has_no_way(keeper: Page, office_box: ScriptedGateway) -> None:
    seen: list[str] = []

    def headquarters(route: Route) -> None:
        seen.append(route.request.method)
        allowed = {"access-control-allow-origin": "*", "access-control-allow-headers": "content-type"}
        answer = {"status": 200, "content_type": "application/json", "body": "", "down": [], "mac": "00"}
        route.fulfill(json=answer, headers=allowed)

    keeper.route("https://hq.example:8443/gateway/v1/carry", headquarters)
    office_box.uplink, office_box.carried = False, True
    keeper.goto("/")
    expect(keeper.get_by_text("Working through this phone.")).to_be_visible()
    look(keeper, "keeper-carry")
    with keeper.expect_response("**/api/carry/answer"):
        office_box.carry.parcels.append({"nonce": "n1", "path": "devices/MAD-0001/jobs"})
    assert seen[0] == "GET", "it finds out first whether it gets through"
    assert "POST" in seen
    assert office_box.carry.answered == ["n1"]
