"""Identifiers: UUID version 7 (RFC 9562 section 5.7), ordered by the time they were made."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from server.core.clock import Clock
from server.core.rng import Rng

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def new_id(clock: Clock, rng: Rng) -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, 12 of their fraction (RFC 9562 section 6.2, method 3), 62 random.

    Ids are not secrets: whoever may see an object is decided by `Scope`, never by knowing its id.
    """
    micros = (clock.now() - _EPOCH) // _MICROSECOND
    millis, rest = divmod(micros, 1000)
    fraction = rest * 4096 // 1000
    tail = int.from_bytes(rng.token_bytes(8), "big") & ((1 << 62) - 1)
    return UUID(int=(millis & ((1 << 48) - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail)
