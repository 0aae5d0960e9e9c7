"""How often someone may try a password, a PIN or a link. Counts in this process: the web role is one process."""

from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from server.identity.errors import TooManyTries

WINDOW_MIN: Final = 5
PER_NAME: Final = 10
PER_PLACE: Final = 50
"""Wrong tries in five minutes. A name's limit slows a guesser; the window moves, so nobody is locked out for long."""


class LoginLimits:
    """Counts wrong tries only; thread-safe."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_name: RateLimitItem = RateLimitItemPerMinute(PER_NAME, WINDOW_MIN)
        self._per_place: RateLimitItem = RateLimitItemPerMinute(PER_PLACE, WINDOW_MIN)

    def check(self, *, kind: str, name: str, place: str) -> None:
        """Raises: TooManyTries."""
        by_name = self._limiter.test(self._per_name, kind, name)
        if not (by_name and self._limiter.test(self._per_place, kind, place)):
            raise TooManyTries(retry_after_s=WINDOW_MIN * 60)

    def wrong(self, *, kind: str, name: str, place: str) -> None:
        """Note a wrong try."""
        self._limiter.hit(self._per_name, kind, name)
        self._limiter.hit(self._per_place, kind, place)
