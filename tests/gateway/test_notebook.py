"""What a keeper's session remembers over a restart of the gateway."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.notebook import Leftover, Note, Notebook, Voucher
from gateway.rules.session import Imprint, Plan, Session, Step, Sticker

TOKEN = "ab" * 16
BUSY = Session(
    step=Step.READY,
    plan=Plan(request_id="r1", title="Lease", pages=((2, 1), (2, 2)), mode="batch", spares_left=1),
    token_id=TOKEN,
    strokes_total=2,
    strokes_left=1,
    imprints=(Imprint(token_id=TOKEN, stroke=1, page=2, grade="faint"),),
    redo=(Imprint(token_id=TOKEN, stroke=1, page=2, grade="faint"),),
    stickers=(Sticker(token_id=TOKEN, stroke=1, copy=1, state="stick"),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.db"


def test_an_open_job_is_known_again_and_begins_with_the_paper(path: Path) -> None:
    notebook = Notebook(path)
    notebook.keep_session("CB-1", BUSY)
    notebook.close()
    notebook = Notebook(path)
    assert notebook.session("CB-1") == replace(BUSY, step=Step.OFFLINE)
    assert notebook.session("CB-2") is None
    notebook.keep_session("CB-1", Session())
    assert notebook.session("CB-1") is None
    notebook.close()


def test_a_question_about_a_bad_imprint_is_asked_again(path: Path) -> None:
    notebook = Notebook(path)
    notebook.keep_session("CB-1", replace(BUSY, step=Step.REDO))
    kept = notebook.session("CB-1")
    assert kept is not None
    assert kept.step is Step.REDO
    notebook.close()


def test_an_alarm_outlives_the_gateway_until_it_is_explained(path: Path) -> None:
    notebook = Notebook(path)
    notebook.keep_alarm("CB-1", 2)
    notebook.close()
    notebook = Notebook(path)
    assert (notebook.alarm("CB-1"), notebook.alarm("CB-2")) == (2, 0)
    notebook.keep_alarm("CB-1", 0)
    assert notebook.alarm("CB-1") == 0
    notebook.close()


def test_vouchers_are_kept_per_device_until_they_expire_or_are_spent(path: Path) -> None:
    notebook = Notebook(path)
    late = Voucher(device_id="CB-1", token_id=b"1" * 16, expires_ms=900, token=b"late", job={"request_id": "r1"})
    soon = replace(late, token_id=b"2" * 16, expires_ms=500, token=b"soon")
    notebook.keep_voucher(late)
    notebook.keep_voucher(soon)
    assert notebook.vouchers("CB-1", now_ms=100) == [soon, late]
    assert notebook.vouchers("CB-1", now_ms=500) == [late]
    assert notebook.vouchers("CB-2", now_ms=100) == []
    notebook.drop_voucher(late.token_id)
    assert notebook.vouchers("CB-1", now_ms=500) == []
    notebook.close()


def test_words_and_leftovers_stay_until_somebody_deals_with_them(path: Path) -> None:
    notebook = Notebook(path)
    notes = [
        Note(device_id="CB-1", at_ms=at, kind="stopped", about="Lease", who="Kim", words=f"reason {at}")
        for at in range(7)
    ]
    for note in notes:
        notebook.write(note)
    assert notebook.notes("CB-1") == list(reversed(notes))[:5]
    left = Leftover(device_id="CB-1", token_id=TOKEN, stroke=1, kind="label_missing", title="Lease", at_ms=3)
    notebook.leave(left)
    notebook.leave(left)
    assert notebook.leftovers("CB-1") == [left]
    notebook.settle(TOKEN, 1, "label_missing")
    assert notebook.leftovers("CB-1") == []
    notebook.close()


def test_the_public_host_is_known_after_a_restart(path: Path) -> None:
    notebook = Notebook(path)
    assert notebook.trace_host() == ""
    for host in ("seal.example:8444", "seal.example"):
        notebook.keep_trace_host(host)
    notebook.close()
    again = Notebook(path)
    assert again.trace_host() == "seal.example"
    again.close()
