"""Who stands at the device, and who works on it: badges, a deputy, services by two people, the next key. All real."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboard.demo import paper, story
from dashboard.demo.cast import BRANCH
from dashboard.demo.waiting import StoryFailed, until
from server.core.scope import Role
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.fixtures.running import Json, books, die_and_come_back, fsck, print_logs, stop_job
from tests.server.world import contract_pdf
from tests.story.keeping import Counter, counter

ONE: Final = contract_pdf(pages=1)
KEEPERS_BADGE, DEPUTYS_BADGE = "0004711-KEEPER", "0004712-DEPUTY"
NEW_HEAD: Final = bytes.fromhex("c1aabacadabe0002")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with counter(tmp_path_factory.mktemp("people")) as made:
        add_person(made, "second", Role.ADMINISTRATOR, "/")
        add_person(made, "deputy", Role.KEEPER, BRANCH)
        yield made


@pytest.fixture(autouse=True)
def tidy(office: Counter) -> Iterator[None]:
    yield
    print_logs(office.stage)
    stop_job(office.stage)


def add_person(office: Counter, username: str, role: Role, branch: str) -> None:
    admin, players = office.stage.person("admin"), office.stage.players
    players.passwords[username] = f"{username}-has-a-long-password"
    body = {
        "username": username,
        "name": username.title(),
        "branch_path": branch,
        "password": players.passwords[username],
    }
    players.people[username] = admin.post("people", "/api/v1/people", body)["id"]
    path = f"/api/v1/people/{players.people[username]}/roles"
    admin.post("people", path, {"role": role.value, "branch_path": branch})


@pytest.fixture
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def with_authenticator(browser: Browser, address: str) -> Page:
    """A browser that has a security key in it, whose owner touches it and is known to it."""
    page = browser.new_context(base_url=address, locale="en-GB").new_page()
    page.set_default_timeout(30_000)
    wires = page.context.new_cdp_session(page)
    wires.send("WebAuthn.enable")
    facts = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    wires.send("WebAuthn.addVirtualAuthenticator", {"options": facts | {"automaticPresenceSimulation": True}})
    return page


def device(office: Counter) -> Json:
    found: Json = office.stage.person("admin").get("device", f"/api/v1/devices/{office.stage.device_id}")
    return found


def order(office: Counter, kind: str, **facts: object) -> str:
    """One administrator proposes, the other confirms; nobody confirms the own proposal. The service's id."""
    admin, second = office.stage.person("admin"), office.stage.person("second")
    path = f"/api/v1/devices/{office.stage.device_id}/services"
    service = admin.post("service", path, {"kind": kind, "reason": "as planned", **facts})["id"]
    with pytest.raises(StoryFailed, match="answered 4"):
        admin.post("service", f"/api/v1/services/{service}/confirm", {"password": admin.password})
    second.post("service", f"/api/v1/services/{service}/confirm", {"password": second.password})
    return str(service)


def ended(office: Counter, service: str, state: str) -> None:
    path = f"/api/v1/devices/{office.stage.device_id}/services"

    def now() -> Json | None:
        row: Json = next(one for one in office.stage.person("admin").get("service", path) if one["id"] == service)
        return row if row["state"] in (state, "done", "refused", "timed_out") else None

    found = until("service", f"the service being {state}", now, timeout_s=30)
    assert found["state"] == state, found


def change_head(office: Counter, *, artwork: bytes) -> str:
    """A head with this artwork goes into slot 0 under the ordered id; a sample is pressed. The service's id."""
    service = order(office, "change_head", slot=0, head_id=NEW_HEAD.hex())
    office.until(lambda now: now["service"] == "change_head", "the order at the device")
    office.screen("Change the head in slot 0")
    office.hand("/cover", open=True)
    png = base64.b64encode(artwork).decode()
    diameter = office.stage.contract.seal_mm
    office.hand("/head", slot=0, head_id=NEW_HEAD.hex(), png_base64=png, diameter_mm=diameter)
    office.hand("/cover", open=False)
    office.hand("/lay", blank=True)
    until("sample", "a free latch", lambda: office.stage.beside.get("sample", "/state")["latch_free"])
    assert office.hand("/pull")["pressed"]
    office.until(lambda now: now["service"] == "", "the end of the service")
    office.hand("/take-away")
    return service


def test_a_deputy_takes_over_with_a_badge_and_goes_on_without_headquarters(office: Counter) -> None:
    people, admin = office.stage.players.people, office.stage.person("admin")
    for username, badge in (("keeper", KEEPERS_BADGE), ("deputy", DEPUTYS_BADGE)):
        admin.post("badge", f"/api/v1/people/{people[username]}/badges", {"badge": badge, "name": "white card"})
    now = datetime.now(UTC)
    deputy = {
        "person_id": str(people["deputy"]),
        "stands_for": str(people["keeper"]),
        "device_id": office.stage.device_id,
        "starts_at": (now - timedelta(minutes=1)).isoformat(),
        "ends_at": (now + timedelta(days=1)).isoformat(),
    }
    office.stage.person("keeper").post("deputy", "/api/v1/deputies", deputy)
    request_id = office.ask(ONE, (1,), copies=2, keeper_id=str(people["keeper"]))
    assert office.tap("badge", badge=KEEPERS_BADGE)["at_device"]
    office.start(request_id)
    office.stamp(ONE, 1)
    office.hand("/take-away")
    before = office.stage.beside.get("who", "/state")["operator"]
    handed = office.tap("badge", badge=DEPUTYS_BADGE)
    assert (handed["operator_id"], handed["at_device"], handed["method"]) == (str(people["deputy"]), True, "badge")
    assert office.stage.beside.get("who", "/state")["operator"] not in (None, before)
    office.until(lambda now: not now["busy"], "the end of the keeper's own grant")
    office.tap("abort")
    (job,) = (job for job in office.jobs() if job["request_id"] == request_id)
    assert job["mine"], "the deputy stands in for the keeper"
    office.start(request_id)
    office.stamp(ONE, 1)
    office.done()
    with office.nobody_answers():
        back = office.tap("badge", badge=KEEPERS_BADGE)
        assert (back["operator_id"], back["at_device"], back["offline"]) == (str(people["keeper"]), True, True), back
        assert office.stage.beside.get("who", "/state")["operator"] == before
    row = books(office.stage).row(request_id)
    assert (row["pressed"], row["approved"], row["state"]) == (2, 2, "done"), row


def test_a_passkey_made_at_the_device_counts_once_its_owner_said_so_and_then_without_headquarters(
    office: Counter, browser: Browser
) -> None:
    office.tap("sign-out")
    page = with_authenticator(browser, office.stage.at_gateway.base_url.replace("127.0.0.1", "localhost"))
    page.goto(f"/devices/{office.stage.device_id}")
    use = page.get_by_role("button", name="Use a passkey")
    use.click()
    expect(page.get_by_text("No passkey counts on this page yet.")).to_be_visible()
    page.get_by_label("User name").fill("keeper")
    page.get_by_label("PIN").fill(office.stage.players.keeper_pin)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Add a passkey for this device").click()
    told = page.get_by_text("Your passkey waits for you: confirm number")
    expect(told).to_be_visible()
    (waits,) = office.stage.person("keeper").get("passkey", "/api/v1/passkeys")
    number = f"{waits['number'][:3]} {waits['number'][3:]}"
    assert f"number {number} at headquarters" in told.inner_text()
    out = page.get_by_role("button", name="Sign out")
    with page.expect_navigation():  # the stream shows the sign-in form already before the form's own answer does
        out.click()
    use.click()
    expect(page.get_by_text("No passkey counts on this page yet.")).to_be_visible()
    office.lay(ONE, 1)
    expect(page.get_by_text("Page lies still")).to_be_visible()
    expect(page.get_by_text("No passkey counts on this page yet.")).to_be_visible()  # however often it is drawn again
    office.hand("/take-away")
    assert f"Passkey {number} waits" in office.page("keeper", "/passkeys")
    office.fill_in("keeper", f"/passkeys/{waits['id']}/confirm")
    page.reload()
    use.click()
    expect(out).to_be_visible()
    here = office.stage.at_gateway.device("who")["operator"]
    assert (here["method"], here["at_device"], here.get("offline")) == ("passkey", True, None), here
    assert office.stage.beside.get("who", "/state")["operator"] == here["operator"]
    request_id = office.ask(ONE, (1,))
    office.start(request_id)
    office.stamp(ONE, 1)
    office.done()
    office.tap("sign-out")
    with office.nobody_answers():
        page.reload()
        use.click()
        expect(out).to_be_visible()
        here = office.stage.at_gateway.device("who")["operator"]
        assert (here["method"], here["offline"]) == ("passkey", True), here
    page.context.close()


def test_a_pried_device_stays_locked_through_a_restart_until_two_people_clear_it(office: Counter) -> None:
    office.hand("/pry")
    assert office.stage.beside.get("pry", "/state")["state"] == "TAMPERED"
    until("pry", "headquarters hearing of it", lambda: device(office)["tamper"] == "pry")
    die_and_come_back(office.stage, "device")
    assert office.stage.beside.get("pry", "/state")["state"] == "TAMPERED"
    until("pry", "the gateway finding it again", lambda: office.stage.at_gateway.device("pry")["online"])
    service = order(office, "clear_tamper")
    ended(office, service, "done")
    until("pry", "a device in use", lambda: office.stage.beside.get("pry", "/state")["state"] == "LOCKED")
    until("pry", "headquarters knowing it", lambda: device(office)["tamper"] is None)


def test_a_released_device_is_paired_again_and_its_old_codes_still_verify(office: Counter) -> None:
    old = office.begin(ONE)
    office.stamp(ONE, 1)
    office.done()
    counted = books(office.stage).counter
    (stroke,) = (view["stroke"] for view in office.timeline(old))
    order(office, "release")
    until("release", "the device letting go", lambda: not office.stage.beside.get("release", "/state")["paired"])
    until("release", "headquarters knowing it", lambda: device(office)["state"] == "released")
    story.pair(office.stage)
    assert (device(office)["state"], device(office)["generation"]) == ("active", 2)
    fresh = office.begin(ONE)
    office.stamp(ONE, 1)
    office.done()
    assert books(office.stage).counter == counted + 1, "the counter goes on"
    assert books(office.stage).row(fresh)["pressed"] == 1
    office.public_word(bytes.fromhex(stroke["trace_code"]), "This code is real")
    (newer,) = (view["stroke"] for view in office.timeline(fresh))
    office.public_word(bytes.fromhex(newer["trace_code"]), "This code is real")
    fsck(office.stage)


def test_a_head_is_used_only_after_its_sample_agreed(office: Counter) -> None:
    seal = office.stage.players.seal_id
    admin = office.stage.person("admin")
    admin.post("head", f"/api/v1/seals/{seal}/heads", {"head_id": NEW_HEAD.hex()})
    before = books(office.stage)
    ended(office, change_head(office, artwork=paper.bundled("es").seal_png), "refused")
    (slot,) = device(office)["heads"]
    assert (slot["head_id"], slot["sampled"]) == (NEW_HEAD.hex(), False), slot
    request_id = office.ask(ONE, (1,))
    office.sign_in()
    assert request_id not in [job["request_id"] for job in office.jobs()], "no job for a head that nobody knows"
    ended(office, change_head(office, artwork=office.stage.contract.seal_png), "done")
    assert device(office)["heads"][0]["sampled"]
    office.start(request_id)
    office.stamp(ONE, 1)
    office.done()
    found = books(office.stage, samples=2)
    assert found.counter == before.counter + 3
    assert found.row(request_id)["pressed"] == 1
    fsck(office.stage)
