"""Virtual time: what happens next, in the one order that the seed gives; and tasks that wait without threads."""

import heapq
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias, TypeVar

Action: TypeAlias = Callable[[], None]
T = TypeVar("T")
Talk = Generator["Wait", Any, T]
Task: TypeAlias = "Talk[Any]"

UNIX_MS: Final = 1_800_000_000_000
"""Unix time at the start of every schedule, in milliseconds."""


class Timeline:
    """Events in order of their moment; two of one moment in the order in which they were planned."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._planned: list[tuple[int, int, Action]] = []
        self._count = 0

    @property
    def unix_ms(self) -> int:
        """The true time of day."""
        return UNIX_MS + self.now_ms

    @property
    def next_ms(self) -> int | None:
        """When the next event is due; None when nothing is planned."""
        return self._planned[0][0] if self._planned else None

    def after(self, delay_ms: float, action: Action) -> None:
        self._count += 1
        heapq.heappush(self._planned, (self.now_ms + int(delay_ms), self._count, action))

    def step(self) -> None:
        """The next event happens."""
        self.now_ms, _, action = heapq.heappop(self._planned)
        action()


class Failed(Exception):
    """What was waited for did not come. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Wait:
    """An answer that comes later, once: a value or a failure."""

    def __init__(self) -> None:
        self.done = False
        self._value: Any = None
        self._failed: Failed | None = None
        self._resume: Action | None = None

    @property
    def value(self) -> Any:
        """None while there is none, or when it failed."""
        return self._value

    def set(self, value: Any = None) -> None:
        self._end(value, None)

    def fail(self, code: str) -> None:
        self._end(None, Failed(code))

    def _end(self, value: Any, failed: Failed | None) -> None:
        if self.done:
            return
        self.done, self._value, self._failed = True, value, failed
        if self._resume is not None:
            self._resume()

    def then(self, resume: Action) -> None:
        """`resume` is called once, now or when the answer is there."""
        if self.done:
            resume()
        else:
            self._resume = resume

    def send_into(self, task: Task) -> "Wait":
        """The task's next wait. Raises: StopIteration, Failed."""
        return task.throw(self._failed) if self._failed is not None else task.send(self._value)


class Tasks:
    """The tasks of one process; they end without a word when it is killed."""

    def __init__(self) -> None:
        self.alive = True

    def spawn(self, task: Task) -> Wait:
        """Runs until its first wait. The returned wait ends with the task: its value, or its Failed."""
        ended = Wait()
        first = Wait()
        first.set()
        self._go_on(task, first, ended)
        return ended

    def _go_on(self, task: Task, wait: Wait, ended: Wait) -> None:
        while self.alive:
            try:
                wait = wait.send_into(task)
            except StopIteration as stop:
                ended.set(stop.value)
                return
            except Failed as failed:
                ended.fail(failed.code)
                return
            if not wait.done:
                wait.then(lambda wait=wait: self._go_on(task, wait, ended))  # type: ignore[misc]
                return


class Turn:
    """One at a time, in the order of asking."""

    def __init__(self) -> None:
        self._taken = False
        self._queue: deque[Wait] = deque()

    def take(self) -> Wait:
        wait = Wait()
        if self._taken:
            self._queue.append(wait)
        else:
            self._taken = True
            wait.set()
        return wait

    def give(self) -> None:
        if self._queue:
            self._queue.popleft().set()
        else:
            self._taken = False
