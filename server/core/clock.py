"""The one clock. Everything that needs the time takes a `Clock`; only composition roots pick `SystemClock`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and expiry; monotonic time for durations inside one process."""

    def now(self) -> datetime:
        """The current time, always aware, always UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC)  # noqa: TID251 - this class is the one place that reads the real clock

    def monotonic(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock that stands still until it is moved; shipped for simulations and tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, step: timedelta | float) -> datetime:
        """Move both hands forward by `step` (a timedelta, or seconds).

        Raises: ValueError for a negative step; use `set` to turn the wall clock back.
        """
        delta = step if isinstance(step, timedelta) else timedelta(seconds=step)
        if delta < timedelta(0):
            raise ValueError("a monotonic clock cannot go back; use set()")
        self._now += delta
        self._monotonic += delta.total_seconds()
        return self._now

    def set(self, moment: datetime) -> None:
        """Set the wall clock only, also backwards, as an operator or an attacker could."""
        self._now = moment.astimezone(UTC)
