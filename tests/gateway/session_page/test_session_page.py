import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.labels.label import Label
from gateway.labels.layout import lay_out
from gateway.rules.session import Imprint, Session, Step, Sticker
from gateway.session_page import translation, view
from tests.gateway.session_page.conftest import BUSY, JOB, TOKEN, ScriptedDevice, ScriptedGateway, state_of

Ask = Callable[..., httpx.Response]
PAGE = "/devices/MAD-0001"


FAINT = Imprint(token_id=TOKEN, stroke=1, page=1, grade="faint", text="Too little ink.")
STICKER = Sticker(token_id=TOKEN, stroke=1, copy=1, state="stick", short="7K2M-9QXT-4F")

LABEL_OF_THREE = Label(
    device_id="",
    token_id=b"",
    stroke=1,
    url="HTTPS://SEAL.EXAMPLE/V/0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    short_code=STICKER.short,
    number=1,
    of=2,
    imprints=3,
)


def english(message: str) -> str:
    return message


def test_one_device_leads_straight_to_its_page(ask: Ask) -> None:
    assert ask("GET", "/").headers["location"] == PAGE


def test_a_keeper_signs_in_picks_a_job_and_is_told_to_lay_the_page(ask: Ask, device: ScriptedDevice) -> None:
    assert "Who are you?" in ask("GET", PAGE).text
    ask("POST", f"{PAGE}/sign-in", data={"username": "kim", "pin": "0000"})
    assert "The name or the PIN is not right." in ask("GET", PAGE).text
    ask("POST", f"{PAGE}/sign-in", data={"username": "kim", "pin": "4711"})
    listed = ask("GET", PAGE).text
    assert "Ready to stamp: 1" in listed
    assert JOB["short"] in listed
    ask("POST", f"{PAGE}/start", data={"request_id": "r1"})
    assert device.session.busy
    assert "Lay page 1 on the tray" in ask("GET", PAGE).text


def test_stop_reaches_the_device_from_every_step_of_a_job(ask: Ask, device: ScriptedDevice) -> None:
    for step in (Step.PLACE, Step.CHECKING, Step.READY, Step.STAMPED, Step.PROBLEM):
        device.session = replace(BUSY, step=step, code="blank_page" if step is Step.PROBLEM else "")
        assert f'action="{PAGE}/abort"' in ask("GET", PAGE).text
        ask("POST", f"{PAGE}/abort")
        assert "Why did you stop?" in ask("GET", PAGE).text
        ask("POST", f"{PAGE}/reason", data={"choice": "doubt", "words": " odd amount "})
        assert "Why did you stop?" not in ask("GET", PAGE).text
    assert device.asked == ["abort", "reason doubt odd amount"] * 5


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("signed_in", [True, False])
def test_no_screen_has_two_green_buttons_or_a_word_that_people_do_not_know(
    ask: Ask, device: ScriptedDevice, step: Step, *, signed_in: bool
) -> None:
    device.operator = {"operator_id": "o1", "name": "Kim"} if signed_in else None
    everything = replace(BUSY, code="text_differs", imprints=(FAINT,), redo=(FAINT,), stickers=(STICKER,), of=3)
    device.session = replace(everything, step=step) if step is not Step.PICK else Session()
    text = ask("GET", PAGE).text
    assert len(re.findall(r'class="primary"', text)) <= 1
    shown = re.sub(r"<[^>]+>", " ", text).lower()
    assert not re.search(r"\b(token|grant|epoch|exhibit)\b", shown)
    assert 'class="strip"' in text


def test_a_wrong_page_names_what_happened_whether_work_is_safe_and_what_next(device: ScriptedDevice) -> None:
    device.session = replace(
        BUSY, step=Step.PROBLEM, code="text_differs", differences=({"kind": "text", "box": [], "text": "1.200,00"},)
    )
    shown = view.screen(state_of(device), [], english, now_ms=0)
    assert shown.title == "Text on this page differs from what was approved."
    assert "nothing was stamped" in shown.text
    assert "Print the page again" in shown.text
    assert shown.lines == ()
    assert [seen.words for seen in shown.differences] == ["Differs: “1.200,00” was approved"]
    assert shown.cue == "alarm"


def test_the_two_pictures_stand_beside_the_words_once_both_are_there(ask: Ask, device: ScriptedDevice) -> None:
    differs = {"kind": "text", "text": "1.200,00", "approved": "aa" * 32, "photo": "bb" * 32}
    device.session = replace(BUSY, step=Step.ASKED, code="text_differs", case_id="c1", differences=(differs,))
    device.pictures = {"aa" * 32: b"\xff\xd8"}
    assert "pictures/" not in ask("GET", PAGE).text
    device.pictures["bb" * 32] = b"\xff\xd8"
    text = ask("GET", PAGE).text
    assert text.index("1.200,00") < text.index(f"{PAGE}/pictures/{'aa' * 32}") < text.index(f"pictures/{'bb' * 32}")
    assert "On the tray" in text
    assert ask("GET", f"{PAGE}/pictures/{'bb' * 32}").content == b"\xff\xd8"


def test_who_is_asked_can_be_reminded_once(ask: Ask, device: ScriptedDevice) -> None:
    waiting = replace(BUSY, step=Step.ASKED, code="text_differs", case_id="c1")
    device.session = waiting
    assert f'action="{PAGE}/remind"' in ask("GET", PAGE).text
    ask("POST", f"{PAGE}/remind")
    text = ask("GET", PAGE).text
    assert "Reminded: Ana, Boss." in text
    assert "/remind" not in text
    device.session, device.reminds = waiting, ()
    ask("POST", f"{PAGE}/remind")
    assert "There is nobody else who may answer." in ask("GET", PAGE).text
    assert device.asked == ["remind", "remind"]


def test_a_label_is_shown_as_it_comes_out_and_where(ask: Ask, device: ScriptedDevice) -> None:
    url = "HTTPS://SEAL.EXAMPLE/V/0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    device.facts = {"printer": "lp Zebra-2"}
    device.session = replace(BUSY, step=Step.LABEL, strokes_left=0, stickers=(replace(STICKER, url=url, imprints=3),))
    text = ask("GET", PAGE).text
    assert "Label printer: lp Zebra-2" in text
    assert "The label: a QR code, and below it 7K2M-9QXT-4F" in text
    assert ">3 imprints here</text>" in text
    shown = view.screen(state_of(device), [], english, now_ms=0).label
    assert shown is not None
    layout = lay_out(LABEL_OF_THREE, print_number=1)
    assert shown.path.count("M") == sum(sum(row) for row in layout.modules)
    bad = replace(FAINT, url=url, short="7K2M-9QXT-4F")
    device.session = replace(BUSY, step=Step.SPOIL, marker="stick", redo=(bad,), imprints=(bad,))
    assert ">CANCELLED</text>" in ask("GET", PAGE).text
    device.session, device.facts = replace(BUSY, step=Step.LABEL, stickers=(STICKER,)), {"printer": ""}
    text = ask("GET", PAGE).text
    assert "<svg" not in text, "no code, no picture of one"
    assert "Label printer" not in text


def test_an_unusable_photo_stays_and_the_page_says_why(ask: Ask, device: ScriptedDevice) -> None:
    missing = replace(FAINT, grade="missing")
    device.session = replace(BUSY, step=Step.REDO, redo=(missing,), imprints=(missing,))
    assert "The photo cannot be taken again" in ask("GET", PAGE).text
    unclear = replace(FAINT, grade="unclear")
    device.session = replace(BUSY, step=Step.DONE, strokes_left=0, imprints=(unclear,))
    assert "The photo cannot be taken again" in ask("GET", PAGE).text
    device.session = replace(device.session, imprints=(replace(FAINT, grade="clear"),))
    assert "The photo cannot be taken again" not in ask("GET", PAGE).text


def test_what_has_to_be_done_is_said_aloud_and_nothing_else(ask: Ask, device: ScriptedDevice) -> None:
    said = {}
    for step in Step:
        device.session = replace(BUSY, step=step, redo=(FAINT,), imprints=(FAINT,), stickers=(STICKER,), of=3)
        found = re.search(r'data-say="([^"]*)"', ask("GET", PAGE).text)
        assert found is not None
        said[step] = found[1]
    assert said[Step.PLACE] == "Lay page 1 on the tray"
    assert said[Step.READY] == "Press now"
    assert said[Step.STAMPED] == "Take this sheet away and lay the next one."
    assert {step for step, words in said.items() if not words} == {Step.PICK, Step.CHECKING, Step.CONTINUE}
    device.session = replace(BUSY, alarm=1)
    assert 'data-say="An imprint that was not approved. The device is locked.' in ask("GET", PAGE).text
    first = view.screen(state_of(device) | {"session": sweeping(device, seen=0)}, [], english, now_ms=0)
    second = view.screen(state_of(device) | {"session": sweeping(device, seen=1)}, [], english, now_ms=0)
    assert first.say == second.say != "", "once, not page by page"


def sweeping(device: ScriptedDevice, *, seen: int) -> dict[str, Any]:
    device.session = replace(BUSY, step=Step.SWEEP, seen=seen, of=3)
    return dict(state_of(device)["session"])


def test_the_tray_is_shown_where_a_page_is_to_be_laid_and_nowhere_else(ask: Ask, device: ScriptedDevice) -> None:
    device.tray = lambda: b"a picture"
    device.session = BUSY
    assert 'class="live"' not in ask("GET", PAGE).text, "a device that cannot be looked through"
    device.facts["live"] = ()
    assert f'src="{PAGE}/live"' in ask("GET", PAGE).text
    assert "<polygon" not in ask("GET", PAGE).text
    device.facts["live"] = (73, 52, 927, 52, 927, 918, 73, 918)
    assert 'points="73 52 927 52 927 918 73 918"' in ask("GET", PAGE).text
    shown = ask("GET", f"{PAGE}/live", headers={"sec-fetch-site": "same-origin"})
    assert (shown.content, shown.headers["cache-control"]) == (b"a picture", "no-store")
    foreign = ask("GET", f"{PAGE}/live", headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "cross_site_request")
    device.session = replace(BUSY, step=Step.READY)
    assert 'class="live"' not in ask("GET", PAGE).text
    device.tray = None
    assert ask("GET", f"{PAGE}/live").status_code == 204
    assert ask("GET", "/devices/NONE/live").status_code == 204


def test_what_is_left_over_of_finished_jobs_is_listed_until_it_is_dealt_with(ask: Ask, device: ScriptedDevice) -> None:
    device.operator = {"operator_id": "o1", "name": "Kim"}
    left = {"kind": "label_missing", "title": "Lease", "stroke": 2, "token_id": TOKEN}
    device.facts = {"leftovers": [left]}
    text = ask("GET", PAGE).text
    assert "Stamped, label missing: Lease, imprint 2" in text
    assert f'name="name" value="{TOKEN}-2-label_missing"' in text
    ask("POST", f"{PAGE}/settle", data={"name": f"{TOKEN}-2-label_missing"})
    assert device.asked == [f"settle {TOKEN}-2-label_missing"]


def test_what_a_tap_ran_into_stays_until_the_next_tap(ask: Ask) -> None:
    ask("POST", f"{PAGE}/sign-in", data={"username": "kim", "pin": "0000"})
    for _ in range(2):  # the page refreshes itself at once
        assert "The name or the PIN is not right." in ask("GET", PAGE).text
    ask("POST", f"{PAGE}/sign-in", data={"username": "kim", "pin": "4711"})
    assert "The name or the PIN is not right." not in ask("GET", PAGE).text


def test_a_phone_may_reach_headquarters_and_nobody_else(ask: Ask) -> None:
    policy = ask("GET", PAGE).headers["content-security-policy"]
    assert "connect-src 'self' https://hq.example:8443;" in policy


def test_what_waits_is_counted_while_headquarters_is_out_of_reach(ask: Ask, gateway: ScriptedGateway) -> None:
    assert 'class="banner"' not in ask("GET", PAGE).text
    gateway.uplink, gateway.waiting = False, {"events": 7, "photos": 5}
    assert "7 reports and 5 photos will be sent later" in ask("GET", PAGE).text


@pytest.mark.parametrize("path", [f"{PAGE}/abort", "/api/devices/MAD-0001/abort"])
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]
)
def test_another_site_cannot_press_the_buttons(
    ask: Ask, device: ScriptedDevice, path: str, headers: dict[str, str]
) -> None:
    assert ask("POST", path, headers=headers).status_code == 403
    assert device.asked == []


def test_a_site_that_points_its_name_at_this_machine_is_refused(ask: Ask, device: ScriptedDevice) -> None:
    headers = {"host": "evil.example:8080", "origin": "http://evil.example:8080"}
    assert ask("POST", f"{PAGE}/abort", headers=headers).status_code == 403
    assert ask("GET", PAGE, headers={"host": "evil.example"}).status_code == 403
    assert device.asked == []


def test_every_answer_forbids_inline_code_and_framing(ask: Ask) -> None:
    policy = ask("GET", PAGE).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    text = ask("GET", PAGE).text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", text)


def test_the_page_speaks_three_languages_without_headquarters(ask: Ask) -> None:
    for language in translation.LANGUAGES:
        text = ask("GET", PAGE, headers={"cookie": f"language={language}"}).text
        assert f'<html lang="{language}">' in text
    assert "¿Quién es usted?" in ask("GET", PAGE, headers={"accept-language": "es-ES,es;q=0.9"}).text
    assert "您是谁" in ask("GET", PAGE, headers={"cookie": "language=zh"}).text


@pytest.mark.parametrize("language", ["es", "zh"])
def test_no_word_of_the_gateway_is_missing_in_its_own_catalogue(language: str) -> None:
    from dashboard.cli.checks.translations import ROOT, template

    words = translation.catalogue(language)
    ours: list[Any] = [
        m.id for m in template(ROOT) if m.id and any(p.startswith("gateway/") for p, _line in m.locations)
    ]
    assert ours
    assert [word for word in ours if words.gettext(word) == word and word not in SAME] == []


SAME = {"PIN"}
"""Words that are the same in every language."""
