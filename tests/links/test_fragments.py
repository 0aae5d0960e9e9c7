"""Cutting for BLE and putting together again: pure, for every size and every accident."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol.errors import FrameTooLong
from firmware_protocol.fragments import INDEX, LAST, MAX_VALUE, FragmentAssembler, cut, room
from firmware_protocol.framing import CRC_SIZE, MAX_MESSAGE

MTUS = st.sampled_from([23, 24, 185, 247, 515, 516, 517])
MESSAGES = st.binary(min_size=1, max_size=MAX_MESSAGE)


def put_together(fragments: list[bytes]) -> list[bytes]:
    assembler = FragmentAssembler()
    return [message for one in fragments if (message := assembler.feed(one)) is not None]


@pytest.mark.parametrize(("mtu", "size"), [(23, 20), (185, 182), (247, 244), (515, 512), (517, 512)])
def test_a_fragment_fits_a_packet_and_an_attribute(mtu: int, size: int) -> None:
    assert room(mtu) == size
    longest = cut(bytes(MAX_MESSAGE), size=room(mtu))
    assert max(len(one) for one in longest) <= min(mtu - 3, MAX_VALUE)
    assert len(longest) <= INDEX + 1


def test_a_full_token_message_is_one_packet_at_mtu_247() -> None:
    assert len(cut(bytes(239), size=room(247))) == 1
    assert len(cut(bytes(240), size=room(247))) == 2


@given(MESSAGES, MTUS)
def test_what_is_cut_comes_out_whole(message: bytes, mtu: int) -> None:
    fragments = cut(message, size=room(mtu))
    assert put_together(fragments) == [message]
    assert [one[0] & INDEX for one in fragments] == list(range(len(fragments)))
    assert [bool(one[0] & LAST) for one in fragments] == [False] * (len(fragments) - 1) + [True]


@given(st.lists(MESSAGES, min_size=2, max_size=4), MTUS, st.data())
def test_a_lost_fragment_costs_its_message_and_no_other(sent: list[bytes], mtu: int, data: st.DataObject) -> None:
    cuts = [cut(message, size=room(mtu)) for message in sent]
    victim = data.draw(st.integers(0, len(sent) - 1))
    cuts[victim].pop(data.draw(st.integers(0, len(cuts[victim]) - 1)))
    assert put_together([one for fragments in cuts for one in fragments]) == sent[:victim] + sent[victim + 1 :]


@given(MESSAGES, MTUS, st.data())
def test_repeats_and_swaps_never_make_another_message(message: bytes, mtu: int, data: st.DataObject) -> None:
    fragments = cut(message, size=room(mtu))
    for _ in range(3):
        at, to = (data.draw(st.integers(0, len(fragments) - 1)) for _ in "ab")
        if data.draw(st.booleans()):
            fragments.insert(to, fragments[at])
        else:
            fragments[at], fragments[to] = fragments[to], fragments[at]
    assert set(put_together(fragments)) <= {message}
    assembler = FragmentAssembler()
    for one in [*fragments, *cut(b"the next", size=room(mtu))]:
        last = assembler.feed(one)
    assert last == b"the next"


@given(st.lists(st.binary(max_size=600), max_size=40))
def test_garbage_is_counted_never_raised_never_hoarded(noise: list[bytes]) -> None:
    assembler = FragmentAssembler()
    for one in noise:
        assembler.feed(one)
        assert len(assembler._buffer) <= MAX_MESSAGE + CRC_SIZE
    out = [assembler.feed(one) for one in cut(b"after it", size=20)]
    assert out[-1] == b"after it"


def test_what_went_wrong_is_counted() -> None:
    assembler = FragmentAssembler()
    first, second, third = cut(bytes(50), size=20)
    for one in (first, third, third):  # one message lost, however many of its pieces come
        assert assembler.feed(one) is None
    assert assembler.counters.bad == 1
    for one in (first, second, first, second, third):  # begun anew
        last = assembler.feed(one)
    assert last == bytes(50)
    assert (assembler.counters.bad, assembler.counters.good) == (2, 1)
    assembler.feed(b"\x00" + bytes(517))
    assert assembler.counters.too_long == 1


def test_a_message_that_is_too_long_is_refused_before_it_is_cut() -> None:
    with pytest.raises(FrameTooLong):
        cut(bytes(MAX_MESSAGE + 1), size=20)


def vectors(*, refused: bool) -> list[Any]:
    found = json.loads((Path(__file__).parents[1] / "vectors" / "fragments.json").read_text())["vectors"]
    return [pytest.param(one, id=one["name"]) for one in found if ("refused" in one) is refused]


@pytest.mark.parametrize("vector", vectors(refused=False))
def test_a_good_vector_is_cut_and_put_together_so(vector: dict[str, Any]) -> None:
    message, fragments = bytes.fromhex(vector["hex"]), [bytes.fromhex(one) for one in vector["fragments"]]
    assert cut(message, size=room(vector["mtu"])) == fragments
    assert put_together(fragments) == [message]


@pytest.mark.parametrize("vector", vectors(refused=True))
def test_nothing_comes_out_of_a_bad_vector(vector: dict[str, Any]) -> None:
    assert put_together([bytes.fromhex(one) for one in vector["fragments"]]) == []
