"""One device as the rest of the gateway sees it: what it said last, and how to ask it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from firmware_protocol.messages import Hello, Message, Status, StatusRequest
from gateway.bulk import PhotoStore
from gateway.clock import Clock
from gateway.errors import OutOfOrder
from gateway.labels.book import LabelBook
from gateway.labels.label import LabelPrinter
from gateway.notebook import Notebook
from gateway.outbox import Outbox
from gateway.uplink.head_office import HeadOffice
from gateway.uplink.mqtt import Uplink

if TYPE_CHECKING:
    from gateway.link import DeviceLink

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What every device of one gateway shares."""

    gateway_id: str
    outbox: Outbox
    notebook: Notebook
    labels: LabelBook
    label_printer: LabelPrinter | None
    server_host: str
    photos: PhotoStore
    head_office: HeadOffice
    uplink: Uplink
    clock: Clock
    auto: bool
    changed: Callable[[], None]

    @property
    def trace_host(self) -> str:
        """What codes on labels name; the server's own address only until it has said which."""
        return self.notebook.trace_host() or self.server_host


class Connection:
    """Lives as long as the gateway; `link` comes and goes with the cable. Everything runs in the event loop.

    `on_status` gets each status the device tells, and the one before it.
    """

    def __init__(self, clock: Clock, *, on_status: Callable[[Status, Status | None], None]) -> None:
        self.link: DeviceLink | None = None
        self.hello: Hello | None = None
        self.status: Status | None = None
        self.enrolment = "unknown"
        self.seen_ms = 0
        self._clock = clock
        self._on_status = on_status
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def device_id(self) -> str:
        return self.hello.device_id if self.hello else ""

    @property
    def online(self) -> bool:
        return self.link is not None and not self.link.lost.is_set()

    def introduced(self) -> Hello:
        """Raises: OutOfOrder."""
        if self.hello is None:
            raise OutOfOrder("The device has not introduced itself yet. It stays locked. Wait a moment and try again.")
        return self.hello

    def saw(self, status: Status) -> None:
        before, self.status = self.status, status
        self.seen_ms = self._clock.now_ms()
        self._on_status(status, before)

    async def look(self) -> None:
        """Ask the device for its status. Raises: as `ask`."""
        before = self.status
        told = await self.ask(StatusRequest(), Status)
        if self.status is before or _later(told, self.status):  # else a notice came after it, and was heard first
            self.saw(told)

    async def ask(self, request: Message, reply: type[T], *, slow: bool = False) -> T:
        """Raises: DeviceUnreachable, DeviceRefused; OutOfOrder, when it is not connected."""
        if self.link is None:
            raise OutOfOrder("The device is not connected. It is locked. Check its power, and its cable or radio link.")
        return await self.link.ask(request, reply, slow=slow)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _later(told: Status, heard: Status | None) -> bool:
    """Times of uptime: after a restart the device is connected, and asked, anew."""
    return heard is None or (told.uptime_ms or 0) > (heard.uptime_ms or 0)
