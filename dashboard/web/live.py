"""What changed, as it changes: one stream of server-sent events per open page. It carries ids; the page asks for more.

Two sources: devices and gateways speak over MQTT (`device:ID`), and every business step and device event makes the
ledger grow (`ledger`). A beat every few seconds lets the page say "stale since" when the stream stops.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Final

from server.core.clock import Clock

BEAT_S: Final = 4.0
"""The page greys its live values after 10 s of silence (static/live.js), so two beats may be lost."""
LOOK_EVERY_S: Final = 0.2
"""How often the ledger's size is read while somebody watches."""
_MOST_WAITING: Final = 64


class LiveHub:
    """Fan-out inside one process. `tell` may be called from any thread; streams live in the event loop."""

    def __init__(self, *, ledger_size: Callable[[], int], clock: Clock) -> None:
        self._ledger_size = ledger_size
        self._clock = clock
        self._listeners: dict[asyncio.Queue[str], asyncio.AbstractEventLoop] = {}
        self._watch: asyncio.Task[None] | None = None

    def tell(self, what: str) -> None:
        for queue, loop in list(self._listeners.items()):
            loop.call_soon_threadsafe(_offer, queue, what)

    async def stream(self) -> AsyncIterator[str]:
        """Frames of text/event-stream until the reader goes away."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._listeners[queue] = asyncio.get_running_loop()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._watch_ledger())
        try:
            yield self._frame("beat", [])
            while True:
                try:
                    first = await asyncio.wait_for(queue.get(), BEAT_S)
                except TimeoutError:
                    yield self._frame("beat", [])
                    continue
                yield self._frame("changed", sorted({first, *_rest(queue)}))
        finally:
            del self._listeners[queue]

    async def _watch_ledger(self) -> None:
        """Runs while somebody listens."""
        known = await asyncio.to_thread(self._ledger_size)
        while self._listeners:
            await asyncio.sleep(LOOK_EVERY_S)
            size = await asyncio.to_thread(self._ledger_size)
            if size != known:
                known = size
                self.tell("ledger")

    def _frame(self, event: str, what: list[str]) -> str:
        data = json.dumps({"at": self._clock.now().isoformat(timespec="milliseconds"), "what": what})
        return f"event: {event}\ndata: {data}\n\n"


def _offer(queue: asyncio.Queue[str], what: str) -> None:
    if not queue.full():  # a reader this far behind asks for everything anyway
        queue.put_nowait(what)


def _rest(queue: asyncio.Queue[str]) -> list[str]:
    found = []
    while not queue.empty():
        found.append(queue.get_nowait())
    return found
