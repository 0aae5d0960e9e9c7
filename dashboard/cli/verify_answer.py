"""What `cinnabar verify` prints, whichever target it looked at."""

from dataclasses import dataclass, field
from typing import Any, Final

from server.verification.checks import Check
from server.verification.target import Target

GOOD: Final = 0
REFUSED: Final = 1
CANNOT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    target: Target
    outcome: str
    words: str
    exit_code: int
    demo: bool = False
    checks: tuple[Check, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Unreadable(Exception):
    """Nothing could be said about the target; exit 2."""
