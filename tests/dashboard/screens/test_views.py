"""The pure parts: places, sentences, words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.view import placing
from dashboard.view.rules import rule_sentence
from dashboard.web.words import entry_word
from firmware_protocol.events import EventType
from server.approvals.schemas import PlaceIn
from server.ledger.entry_types import EntryType
from server.seals.schemas import ApprovalRule, Stage

A4 = [(210.0, 297.0), (210.0, 297.0)]
HERE = (PlaceIn(page=2, x_mm=150, y_mm=235),)


def test_the_usual_place_is_at_the_foot_of_the_last_page() -> None:
    place = placing.usual_place(A4)
    assert place.page == 2
    assert place.x_mm > 105
    assert place.y_mm > 148


@given(x=st.integers(0, placing.SHOWN_PX), y=st.integers(0, 480))
def test_a_tap_puts_the_seal_where_the_finger_was(x: int, y: int) -> None:
    places = placing.moved(HERE, {"page": "1", "at.x": str(x), "at.y": str(y)}, A4)
    assert [place.page for place in places] == [1, 2]
    assert places[0].x_mm == pytest.approx(x * 210 / placing.SHOWN_PX, abs=0.06)
    assert places[0].y_mm == pytest.approx(y * 210 / placing.SHOWN_PX, abs=0.06)


def test_a_second_tap_on_a_page_moves_its_seal_and_the_last_one_stays() -> None:
    moved = placing.moved(HERE, {"page": "2", "x_mm": "20,5", "y_mm": "30"}, A4)
    assert moved == (PlaceIn(page=2, x_mm=20.5, y_mm=30),)
    assert placing.moved(moved, {"page": "2", "remove": "1"}, A4) == moved


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"page": "3", "x_mm": "1", "y_mm": "1"},
        {"page": "0", "x_mm": "1", "y_mm": "1"},
        {"page": "1", "x_mm": "211", "y_mm": "1"},
        {"page": "1", "x_mm": "-1", "y_mm": "1"},
        {"page": "1", "x_mm": "nan", "y_mm": "1"},
        {"page": "nan", "x_mm": "1", "y_mm": "1"},
        {"page": "inf", "x_mm": "1", "y_mm": "1"},
        {"page": "1", "at.x": "x", "at.y": "1"},
    ],
)
def test_a_place_off_the_pages_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(placing.BadTap):
        placing.moved(HERE, fields, A4)


def test_a_rule_reads_as_a_sentence() -> None:
    rule = ApprovalRule(stages=(Stage(name="Finance", quorum=2), Stage(name="Legal")))
    assert rule_sentence(rule) == (
        "Needs 2 approvals from Finance, then 1 approval from Legal. Who asks must not stamp."
    )


def test_an_entry_and_an_event_with_the_same_number_have_their_own_words() -> None:
    for number in {int(kind) for kind in EntryType} & {int(kind) for kind in EventType}:
        assert entry_word(EntryType(number)) != entry_word(EventType(number))
