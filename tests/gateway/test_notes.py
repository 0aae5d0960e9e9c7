"""Keepers' words reach headquarters, once, however long it is away; pictures of what differs are shown if they came."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable
from gateway.rules import facts
from gateway.rules.session import Step
from gateway.telling import tell_once
from tests.gateway.stand import TOKEN, Stand, at_desk
from tests.gateway.test_desk import DOUBTFUL, ready_for_a_page

APPROVED, ON_TRAY = b"approved crop", b"photo crop"
NAMES = [hashlib.sha256(picture).hexdigest() for picture in (APPROVED, ON_TRAY)]


def told(stand: Stand) -> list[tuple[str, str, dict[str, Any]]]:
    return stand.notebook.owed()


def test_a_stop_and_its_reason_are_owed_until_headquarters_has_them(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        await stand.stamping.abort()
        stand.stamping.give_reason("doubt", "odd amount")
        ((note_id, device, said),) = told(stand)
        assert (said["kind"], said["text"], said["token_id"]) == ("stopped", "doubt: odd amount", TOKEN.hex())
        refused = HeadOfficeRefused(status=404, code="no_such_device", detail="")
        stand.head_office.says["note"] = [HeadOfficeUnreachable("note"), refused, None]
        for left in (1, 1, 0):
            await tell_once(stand.notebook, stand.desk.office.head_office)
            assert len(told(stand)) == left
        assert device == "CB-TEST"
        assert said["note_id"] == note_id

    at_desk(tmp_path, work)


def test_what_happened_at_an_alarm_names_its_event_and_a_leftover_its_imprint(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.extra_seq = 41
        stand.desk.step(facts.ExtraStrokes(strokes=1))
        stand.stamping.explain_alarm("The sleeve caught the handle.")
        stand.desk.leave("look_at_imprint", token_id=TOKEN.hex(), stroke=2, title="Lease")
        stand.desk.settle(f"{TOKEN.hex()}-2-look_at_imprint")
        said = {note["kind"]: note for _, _, note in told(stand)}
        assert said["extra_stroke"]["seq"] == 41
        assert [said[kind].get("stroke") for kind in ("left_over", "settled")] == [2, 2]

    at_desk(tmp_path, work)


def test_pictures_of_what_differs_are_fetched_and_one_that_is_not_itself_is_not_shown(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        difference = {"kind": "text", "text": "1.200", "approved": NAMES[0], "photo": NAMES[1]}
        stand.head_office.says["permit"] = [replace(DOUBTFUL, finding_id="f1", differences=(difference,))]
        stand.head_office.says["case"] = [{"state": "waiting", "by": "", "reason": "", "asked_ms": 1}]
        stand.head_office.says["crop"] = [APPROVED, b"another picture"]
        stand.lay()
        await stand.until(Step.ASKED)
        await stand.until_true(lambda: len([1 for name, _ in stand.head_office.heard if name == "crop"]) == 2)
        await asyncio.sleep(0)
        assert stand.desk.picture(NAMES[0]) == APPROVED
        assert stand.desk.picture(NAMES[1]) is None

    at_desk(tmp_path, work)


def test_without_headquarters_there_are_words_only(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        difference = {"kind": "text", "text": "1.200", "approved": NAMES[0], "photo": NAMES[1]}
        stand.head_office.says["permit"] = [replace(DOUBTFUL, finding_id="f1", differences=(difference,))]
        stand.head_office.says["case"] = [{"state": "waiting", "by": "", "reason": "", "asked_ms": 1}]
        stand.lay()
        await stand.until(Step.ASKED)
        assert stand.desk.picture(NAMES[0]) is None

    at_desk(tmp_path, work)
