"""What stands on the device's own small screen."""

from dataclasses import dataclass

from firmware_protocol.messages import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """The device's own small screen. Title and short code are what the gateway says; nobody signed them."""

    state: State
    title: str | None
    short: str | None
    strokes_left: int | None
    pages_swept: int | None
    pages_expected: int | None
    digits: str | None
    operator: bytes | None
