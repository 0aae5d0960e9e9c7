"""The same answers, computed once: parsing is pure, and a signature that held once holds for the same bytes and key.

One that a key of this process made over these very bytes holds too; every other is really checked, and a refusal is
never remembered.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

from nacl.bindings import crypto_sign_open

from firmware_protocol import cbor, cose, events, messages, tokens
from firmware_protocol.purposes import Purpose
from server.ledger import admission

_KEPT: Final = 4_096
_MOST_MADE: Final = 20_000
_made: set[tuple[bytes, bytes, bytes]] = set()
"""(public key, signature, what was signed)."""
_CHECK: Final = cose.check_signature


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
        stack.enter_context(patch.object(admission, "crypto_sign_open", _opened))
        for owner, name in ((cose, "parse1"), (cose, "key_id")):
            stack.enter_context(_cached(owner, name))
        for owner, name in ((events, "read"), (tokens, "read"), (messages, "decode")):
            stack.enter_context(_cached(owner, name))
        yield


def _check(parts: cose.Sign1, *, public_key: bytes, purpose: Purpose) -> None:
    if (public_key, parts.signature, cose.to_be_signed(parts, purpose=purpose)) not in _made:
        _CHECK(parts, public_key=public_key, purpose=purpose)


def _opened(signed: bytes, public_key: bytes) -> bytes:
    """Signature and message in one, as libsodium has it."""
    if (public_key, signed[:64], signed[64:]) in _made:
        return signed[64:]
    return crypto_sign_open(signed, public_key)


def _copied(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Whoever asks gets a list or map of his own."""

    def copied(data: bytes) -> Any:
        value = decode(data)
        return value.copy() if isinstance(value, dict | list) else value

    return copied


def _cached(owner: Any, name: str) -> Any:
    real: Callable[..., Any] = getattr(owner, name)
    return patch.object(owner, name, lru_cache(maxsize=_KEPT)(real))
