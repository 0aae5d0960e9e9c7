"""How often a stranger may look, guess and upload. Counts live in memory; addresses are never written down."""

from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

LOOKS_A_MINUTE: Final = 60
WRONG_WORDS: Final = 5
WRONG_WINDOW_MIN: Final = 60
"""Wrong words for one code in an hour, over all visitors: three places and two slips of the finger."""
UPLOADS_A_MINUTE: Final = 6


class Tries:
    """Thread-safe."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._looks: RateLimitItem = RateLimitItemPerMinute(LOOKS_A_MINUTE)
        self._words: RateLimitItem = RateLimitItemPerMinute(WRONG_WORDS, WRONG_WINDOW_MIN)
        self._uploads: RateLimitItem = RateLimitItemPerMinute(UPLOADS_A_MINUTE)

    def look(self, address: str) -> bool:
        """Whether this address may look at one more code."""
        return self._limiter.hit(self._looks, "look", address)

    def may_guess(self, code: str) -> bool:
        """Whether a word may still be tried for this code."""
        return self._limiter.test(self._words, "word", code)

    def wrong(self, code: str) -> None:
        self._limiter.hit(self._words, "word", code)

    def upload(self, address: str) -> bool:
        return self._limiter.hit(self._uploads, "upload", address)
