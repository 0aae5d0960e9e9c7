"""Request and reply over a real pty that pyserial opens, with loss, noise, chopping and unplugging."""

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from firmware_protocol import messages
from firmware_protocol.messages import Challenge, ChallengeRequest, Envelope, Message, Refused
from firmware_protocol.reasons import Reason
from gateway.errors import DeviceRefused, DeviceUnreachable
from gateway.link import DeviceLink
from gateway.transports.serial_port import SerialTransport

_spec = importlib.util.spec_from_file_location("scripted", Path(__file__).parent / "scripted.py")
assert _spec is not None
assert _spec.loader is not None
scripted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scripted)

CHALLENGE = Challenge(nonce=b"n" * 16)


def talk(
    answer: Callable[[Envelope], Message | None],
    work: Callable[[DeviceLink, Any, list[Message]], Coroutine[Any, Any, None]],
    **line: Any,
) -> Any:
    """Runs `work(link, device, notices)` against a scripted device; returns the device."""
    device = scripted.ScriptedDevice(answer, **line)
    notices: list[Message] = []

    async def run() -> None:
        link = DeviceLink(SerialTransport(device.path), where=device.path, on_notice=notices.append)
        await link.open()
        try:
            await work(link, device, notices)
        finally:
            await link.close()

    try:
        asyncio.run(run())
    finally:
        device.unplug()
    return device


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({}, id="clean"),
        pytest.param({"chop": 1}, id="one byte at a time"),
        pytest.param({"noise": b"\x00\x07garbage\x00\x01"}, id="garbage between frames"),
    ],
)
def test_a_question_gets_its_answer(line: dict[str, Any]) -> None:
    async def work(link: DeviceLink, _device: Any, _notices: list[Message]) -> None:
        for _ in range(5):
            assert await link.ask(ChallengeRequest(), Challenge) == CHALLENGE

    talk(lambda _envelope: CHALLENGE, work, **line)


def test_a_retry_keeps_its_number_so_the_device_acts_once() -> None:
    silent = iter([True, True, False])

    async def work(link: DeviceLink, _device: Any, _notices: list[Message]) -> None:
        assert await link.ask(ChallengeRequest(), Challenge) == CHALLENGE

    device = talk(lambda _envelope: None if next(silent) else CHALLENGE, work)
    assert len(device.asked) == 3
    assert len({envelope.msg_id for envelope in device.asked}) == 1


def test_no_is_told_with_its_reason() -> None:
    async def work(link: DeviceLink, _device: Any, _notices: list[Message]) -> None:
        with pytest.raises(DeviceRefused) as caught:
            await link.ask(ChallengeRequest(), Challenge)
        assert caught.value.name == "TAMPERED"

    talk(lambda _envelope: Refused(request_type=2, reason=Reason.TAMPERED), work)


def test_four_silences_are_unreachable() -> None:
    async def work(link: DeviceLink, _device: Any, _notices: list[Message]) -> None:
        with pytest.raises(DeviceUnreachable):
            await link.ask(ChallengeRequest(), Challenge)

    device = talk(lambda _envelope: None, work)
    assert len(device.asked) == 4


def test_a_late_answer_to_an_older_question_is_not_taken() -> None:
    async def work(link: DeviceLink, device: Any, _notices: list[Message]) -> None:
        device._write(messages.encode(Challenge(nonce=b"o" * 16), msg_id=999))
        assert await link.ask(ChallengeRequest(), Challenge) == CHALLENGE

    talk(lambda _envelope: CHALLENGE, work)


def test_notices_arrive_between_answers() -> None:
    notice = messages.PairingNotice(open=True)

    async def work(link: DeviceLink, device: Any, notices: list[Message]) -> None:
        device.notice(notice)
        await link.ask(ChallengeRequest(), Challenge)
        assert notices == [notice]

    talk(lambda _envelope: CHALLENGE, work)


def test_unplugging_wakes_whoever_waits() -> None:
    async def work(link: DeviceLink, device: Any, _notices: list[Message]) -> None:
        asking = asyncio.create_task(link.ask(ChallengeRequest(), Challenge))
        while not device.asked:  # noqa: ASYNC110 - the device answers in a thread of its own
            await asyncio.sleep(0)
        device.unplug()
        with pytest.raises(DeviceUnreachable):
            await asking
        assert link.lost.is_set()

    talk(lambda _envelope: None, work)


def test_two_programs_cannot_open_one_port() -> None:
    async def work(_link: DeviceLink, device: Any, _notices: list[Message]) -> None:
        second = DeviceLink(SerialTransport(device.path), where=device.path, on_notice=print)
        with pytest.raises(DeviceUnreachable):
            await second.open()

    talk(lambda _envelope: CHALLENGE, work)


def test_a_port_that_is_not_there_is_said_plainly() -> None:
    async def run() -> None:
        with pytest.raises(DeviceUnreachable, match="stays locked"):
            await DeviceLink(SerialTransport("/dev/no-such-port"), where="x", on_notice=print).open()

    asyncio.run(run())
