"""The same answers, computed once: parsing is pure, and a signature that held once holds for the same bytes and key.

A message that was encoded here is what its bytes are decoded to; every _LOOKED_ATth of these is really decoded, and
must be equal. A signature that a key of this process made over these very bytes holds too; every other is really
checked, and a refusal is never remembered.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

from firmware_protocol import cbor, cose, events, messages, tokens
from firmware_protocol.messages import Envelope, Message
from firmware_protocol.purposes import Purpose
from server.ledger import ed25519

_KEPT: Final = 4_096
_MOST_MADE: Final = 20_000
_LOOKED_AT: Final = 16
_WORLDS: Final = 200
"""Unswept, each leaves half a megabyte behind. A chunk of the campaign is shorter, and has a process of its own."""
_made: set[tuple[bytes, bytes, bytes]] = set()
"""(public key, signature, what was signed)."""
_CHECK: Final = cose.check_signature
_HOLDS: Final = ed25519.holds


def made(public_key: bytes, signature: bytes, signed: bytes) -> None:
    """A key of this process made this signature, just now."""
    if len(_made) >= _MOST_MADE:
        _made.clear()
    _made.add((public_key, signature, signed))


@contextmanager
def parsed_once() -> Iterator[None]:
    """While this is open; the real functions are back afterwards."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(cbor, "decode", _copied(lru_cache(maxsize=_KEPT)(cbor.decode))))
        stack.enter_context(patch.object(cose, "check_signature", lru_cache(maxsize=_KEPT)(_check)))
        stack.enter_context(patch.object(ed25519, "holds", _holds))
        for owner, name in ((cose, "parse1"), (cose, "key_id")):
            stack.enter_context(_cached(owner, name))
        for owner, name in ((events, "read"), (tokens, "read")):
            stack.enter_context(_cached(owner, name))
        told = _Told()
        stack.enter_context(patch.object(messages, "encode", told.encode))
        stack.enter_context(patch.object(messages, "decode", told.decode))
        yield


@contextmanager
def swept_seldom() -> Iterator[Callable[[], None]]:
    """A world is one knot that only the collector unties: it looks after every _WORLDSth, not all the time.

    Gives what is to be called after each world.
    """
    count = 0

    def sweep() -> None:
        nonlocal count
        count += 1
        if count % _WORLDS == 0:
            gc.collect()

    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield sweep
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


class _Told:
    """Messages by their bytes."""

    def __init__(self) -> None:
        self._encode, self._decode = messages.encode, messages.decode
        self._known: dict[bytes, Envelope] = {}
        self._count = 0

    def encode(self, message: Message, *, msg_id: int) -> bytes:
        data = self._encode(message, msg_id=msg_id)
        envelope = self._known[data] = Envelope(msg_id=msg_id, message=message)
        self._count += 1
        if self._count % _LOOKED_AT == 0 and self._decode(data) != envelope:
            raise AssertionError(f"{message} is read as {self._decode(data)}")
        if len(self._known) > _KEPT:
            self._known.clear()
        return data

    def decode(self, data: bytes) -> Envelope:
        return self._known.get(data) or self._decode(data)


def _check(parts: cose.Sign1, *, public_key: bytes, purpose: Purpose) -> None:
    if (public_key, parts.signature, cose.to_be_signed(parts, purpose=purpose)) not in _made:
        _CHECK(parts, public_key=public_key, purpose=purpose)


def _holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    return (public_key, signature, message) in _made or _HOLDS(public_key, signature, message)


def _copied(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Whoever asks gets a list or map of his own."""

    def copied(data: bytes) -> Any:
        value = decode(data)
        return value.copy() if isinstance(value, dict | list) else value

    return copied


def _cached(owner: Any, name: str) -> Any:
    real: Callable[..., Any] = getattr(owner, name)
    return patch.object(owner, name, lru_cache(maxsize=_KEPT)(real))
