"""The same answers, computed once: parsing is pure, and a signature that held once holds for the same bytes and key.

Nothing is assumed: the first time each signature is really checked, and a refusal is never remembered.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

from firmware_protocol import cbor, cose, events, messages, tokens

_KEPT: Final = 4_096


@contextmanager
def parsed_once() -> Iterator[None]:
    """While this is open; the real functions are back afterwards."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(cbor, "decode", _copied(lru_cache(maxsize=_KEPT)(cbor.decode))))
        for owner, name in ((cose, "parse1"), (cose, "check_signature"), (cose, "key_id")):
            stack.enter_context(_cached(owner, name))
        for owner, name in ((events, "read"), (tokens, "read"), (messages, "decode")):
            stack.enter_context(_cached(owner, name))
        yield


def _copied(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Whoever asks gets a list or map of his own."""

    def copied(data: bytes) -> Any:
        value = decode(data)
        return value.copy() if isinstance(value, dict | list) else value

    return copied


def _cached(owner: Any, name: str) -> Any:
    real: Callable[..., Any] = getattr(owner, name)
    return patch.object(owner, name, lru_cache(maxsize=_KEPT)(real))
