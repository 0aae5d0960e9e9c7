"""How often a refusal is written down: garbage from the line must not fill the journal."""

from typing import Final

BURST: Final = 6
REFILL_MS: Final = 10_000


class RefusalBudget:
    """A token bucket: BURST at once, then one every REFILL_MS."""

    def __init__(self, *, now_ms: int) -> None:
        self._full_at_ms = now_ms

    def take(self, now_ms: int) -> bool:
        """Whether one more may be written now."""
        full_at = max(self._full_at_ms, now_ms) + REFILL_MS
        if full_at - now_ms > BURST * REFILL_MS:
            return False
        self._full_at_ms = full_at
        return True
