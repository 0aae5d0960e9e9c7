"""Wait for something another process does, without sleeping blindly."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

POLL_S: Final = 0.02
T = TypeVar("T")


class StoryFailed(Exception):
    """A step did not happen. `step` names it."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(f"{step}: {why}")
        self.step = step
        self.why = why


def until(step: str, what: str, look: Callable[[], T | None], *, timeout_s: float = 20.0) -> T:
    """The first answer of `look` that is neither None nor False.

    Raises: StoryFailed, after `timeout_s`.
    """
    pause = threading.Event()
    ends = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > ends:
            raise StoryFailed(step, f"{what} did not happen within {timeout_s:.0f} s")
        pause.wait(POLL_S)
