"""Places to compare: fixed, spread over pages, countable by a person, and blind."""

import pytest

from server.core.rng import SeededRng
from server.public.places import MAX_LINE, MAX_POSITION, WordBox, choose, lines_of, normal


def page(*lines: str, dense: bool = False) -> list[WordBox]:
    words = [list(line) if dense else line.split() for line in lines]
    return [
        (word, 10.0 * at, 20.0 * row, 10.0 * at + 8, 20.0 * row + 12)
        for row, line in enumerate(words)
        for at, word in enumerate(line)
    ]


TEXT = [page(*(f"alpha{n} bravo{n} charlie{n} delta{n}" for n in range(30))) for _ in range(4)]


def test_three_places_on_different_pages_the_same_for_the_same_code() -> None:
    first = choose(TEXT, seed=b"one", salt=SeededRng(1).token_bytes)
    again = choose(TEXT, seed=b"one", salt=SeededRng(1).token_bytes)
    other = choose(TEXT, seed=b"two", salt=SeededRng(1).token_bytes)
    assert first == again
    assert [(p.page, p.line, p.position) for p in first] != [(p.page, p.line, p.position) for p in other]
    assert len({place.page for place in first}) == 3
    assert all(place.line <= MAX_LINE and place.position <= MAX_POSITION for place in first)


def test_one_page_gives_three_places_and_a_scan_none() -> None:
    assert len(choose(TEXT[:1], seed=b"x", salt=SeededRng(1).token_bytes)) == 3
    assert choose([[], []], seed=b"x", salt=SeededRng(1).token_bytes) == ()


def test_the_word_itself_is_nowhere_but_agrees() -> None:
    for place in choose(TEXT, seed=b"one", salt=SeededRng(2).token_bytes):
        word = lines_of(TEXT[place.page - 1])[place.line - 1][place.position - 1][0]
        assert place.agrees(word)
        assert place.agrees(f" {word.upper()}, ")
        assert not place.agrees(word + "x")
        assert not place.agrees("")
        assert word not in repr(place)


def test_text_without_spaces_is_compared_by_two_characters() -> None:
    chinese = [page("采购合同甲方乙方签订本合同", "交货日期为十二月一日前完成", dense=True)]
    for place in choose(chinese, seed=b"one", salt=SeededRng(3).token_bytes):
        assert place.letters == 2
        line = lines_of(chinese[0])[place.line - 1]
        assert place.agrees(line[place.position - 1][0] + line[place.position][0])


@pytest.mark.parametrize(
    ("typed", "same"), [("Jerónimo,", "jeronimo"), ("1.200,00", "1 200 00"), ("\uff21\uff22", "ab")]
)
def test_what_people_type_differently_is_the_same(typed: str, same: str) -> None:
    assert normal(typed) == normal(same)


def test_words_on_one_line_stay_together_although_their_boxes_differ() -> None:
    words: list[WordBox] = [("Title", 0, 0, 30, 20), ("low", 40, 8, 50, 18), ("next", 0, 30, 20, 40)]
    assert [[word[0] for word in line] for line in lines_of(words)] == [["Title", "low"], ["next"]]
