"""What travels through this office for one device: its events and photos up, headquarters' signed orders down."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Receipt
from gateway.bulk import BulkLink
from gateway.connection import Connection, Office
from gateway.errors import (
    DeviceRefused,
    GatewayError,
    HeadOfficeRefused,
    HeadOfficeUnreachable,
    PhotoBroken,
    PhotoGone,
)
from gateway.outbox import BEGINNING, KeptEvent, Place

RECEIPT_PATIENCE_S: Final = 10.0
"""Without a receipt for this long, what is unsettled goes up again; at once when the broker is back."""
WINDOW: Final = 256
"""Events of one device on their way without a receipt. Less than what a broker holds back (iotcore: 100 with the
ledger, the rest in memory), more than one batch; 20 devices then wait 3 s for their turn, far below the patience."""
READ_AT_ONCE: Final = 64
"""Events between two durable writes while a device that was long alone is read."""
FULL_S: Final = 0.05
"""How soon a full MQTT queue is tried again."""
DOWN_TIMEOUT_S: Final = 5.0
RETRY_UPLOAD_S: Final = 0.5
LONGEST_RETRY_UPLOAD_S: Final = 4.0
"""Without one photo taken in between. After days alone headquarters reads events for minutes before it knows of their
photos, and each question that comes too early costs both sides more than an event does."""
IDLE_S: Final = 5.0

log = structlog.get_logger("gateway.carrying")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    kind: str
    fits: Callable[[bytes], bool]
    arrived: asyncio.Future[bytes]


class _Flight:
    """What was sent since the broker last came back. Sent in one thread, landed in another."""

    def __init__(self) -> None:
        self.sent: Place = BEGINNING
        self.on_the_way: deque[Place] = deque()
        self.heard = 0.0  # when a receipt came, or when the first of these left

    def took_off(self, place: Place, now: float) -> None:
        """`now` in seconds of the event loop."""
        if not self.on_the_way:
            self.heard = now
        self.on_the_way.append(place)
        self.sent = place

    def landed(self, up_to: Place, now: float) -> None:
        while self.on_the_way and self.on_the_way[0] <= up_to:
            self.on_the_way.popleft()
            self.heard = now

    def silent(self, now: float) -> bool:
        """No receipt for too long, however much is sent meanwhile: in a busy office something new always is."""
        return bool(self.on_the_way) and now - self.heard >= RECEIPT_PATIENCE_S


class Carrying:
    """`learned` hears of every event once it is kept. Set `look` when the device may have news, `send` to send it."""

    def __init__(
        self, device: Connection, office: Office, bulk: BulkLink, *, learned: Callable[[KeptEvent], None]
    ) -> None:
        self._device = device
        self._office = office
        self._bulk = bulk
        self._learned = learned
        self.look = asyncio.Event()
        self.send = asyncio.Event()
        self._photos_wake = asyncio.Event()
        self._drain_turn = asyncio.Lock()
        self._awaited: list[_Awaited] = []
        self._flight = _Flight()
        self._receipts: deque[tuple[bytes, Receipt]] = deque()
        self._refused: set[bytes] = set()

    # Events up

    async def read_events(self) -> None:
        while True:
            await self.drain()
            await self.look.wait()
            self.look.clear()

    async def drain(self, *, at_least: int = 0) -> None:
        """Every event the device has and this office has not, into the outbox."""
        async with self._drain_turn:
            hello = self._device.introduced()
            safe = hello.acked_seq
            if self._device.status is not None:
                safe = max(safe, self._device.status.acked_seq)
                at_least = max(at_least, self._device.status.last_seq)
            outbox = self._office.outbox
            wanted = outbox.missing(hello.device_id, hello.generation, after=safe, up_to=at_least)
            for first in range(0, len(wanted), READ_AT_ONCE):
                await self._read(hello, wanted[first : first + READ_AT_ONCE])

    async def _read(self, hello: messages.Hello, numbers: list[int]) -> None:
        fresh: list[KeptEvent] = []
        for seq in numbers:
            answer = await self._device.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)
            kept = KeptEvent(device_id=hello.device_id, generation=hello.generation, seq=seq, signed=answer.event)
            fresh.append(kept)
        await asyncio.to_thread(self._office.outbox.keep, fresh, photos=_photos_in(fresh))
        if (hello.generation, numbers[0]) <= self._flight.sent:
            self._send_again()  # a hole was filled: in order again, from there
        self.send.set()
        self._photos_wake.set()
        for kept in fresh:
            self._learned(kept)

    async def send_events(self) -> None:
        """In order, at most WINDOW ahead of the last receipt."""
        full, now = False, asyncio.get_running_loop().time
        while True:
            told = await woken(self.send, FULL_S if full else RECEIPT_PATIENCE_S)
            if not (told or full) or self._flight.silent(now()):
                self._send_again()
            full = self._device.enrolment != "unknown" and not await asyncio.to_thread(self._send_some, now())

    def broker_back(self) -> None:
        """What the broker had not passed on may be gone with it."""
        self._send_again()
        self.send.set()

    def _send_again(self) -> None:
        self._flight = _Flight()

    def _send_some(self, now: float) -> bool:
        """False when the uplink's own queue is full; while it is not connected there is nothing to do."""
        uplink, flight = self._office.uplink, self._flight
        room = WINDOW - len(flight.on_the_way)
        for kept in self._office.outbox.after(self._device.device_id, flight.sent, limit=max(room, 0)):
            if not uplink.connected:
                break
            if not uplink.event(kept.device_id, kept.signed):
                return False
            flight.took_off(kept.place, now)
        return True

    # Photos up

    async def upload_photos(self) -> None:
        asked, in_vain = False, 0
        while True:
            known = self._device.enrolment != "unknown"
            asked = asked or (known and await self._ask_for_wanted())
            owed = self._office.outbox.photos_owed(self._device.device_id) if known else []
            untried = [digest for digest in owed if digest not in self._refused]
            for digest in untried:
                if not await self._upload(digest):
                    in_vain += 1
                    break
                in_vain = 0
            if not untried:
                self._refused.clear()
            if in_vain > 1:
                await asyncio.sleep(min(LONGEST_RETRY_UPLOAD_S, RETRY_UPLOAD_S * 2 ** (in_vain - 2)))
            await woken(self._photos_wake, RETRY_UPLOAD_S if owed else IDLE_S)

    async def _ask_for_wanted(self) -> bool:
        """Another box may have announced photos and never brought them: the device keeps them until a receipt."""
        device_id = self._device.device_id
        try:
            digests = await self._office.head_office.photos_wanted(device_id)
            await asyncio.to_thread(self._office.outbox.owe, device_id, digests)
        except GatewayError as error:
            log.info("wanted_failed", error=str(error))
            return False
        return True

    async def _upload(self, digest: bytes) -> bool:
        """Whether the next one may be tried at once."""
        outbox = self._office.outbox
        try:
            try:
                await self._bulk.fetch(digest)
                await self._office.head_office.upload(digest, self._office.photos.path(digest))
            except PhotoGone:
                # Headquarters has it, or nobody has; a photo that it misses is asked for again after the next hello.
                log.warning("photo_gone", device=self._device.device_id, digest=digest.hex())
                await asyncio.to_thread(outbox.photo_gone, digest)
            except PhotoBroken as error:
                log.warning("upload_failed", error=str(error))
                self._refused.add(digest)
            else:
                await asyncio.to_thread(outbox.photo_uploaded, digest)
        except HeadOfficeRefused as error:
            # The event that announces it is not in the ledger yet: again after the next receipt.
            log.debug("upload_refused", code=error.code)
            self._refused.add(digest)
            return False
        except GatewayError as error:
            log.info("upload_failed", error=str(error))
            return False
        self._office.changed()
        return True

    async def event(self, seq: int) -> bytes:
        """The signed event `seq`, kept here first. Raises: what `Connection.ask` raises, and NoRoom."""
        await self.drain(at_least=seq)
        hello = self._device.introduced()
        kept = self._office.outbox.event(hello.device_id, hello.generation, seq)
        return kept or (await self._device.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)).event

    # Orders down

    def down(self, kind: str, payload: bytes) -> None:
        """A signed order arrived over MQTT. Runs in the event loop."""
        self.offer(kind, payload)
        if kind == "receipt":
            self._receipt(payload)
        elif kind == "policy":
            self._device.spawn(self._relay_policy(payload))
        else:
            self._delivered(kind, payload)

    def offer(self, kind: str, payload: bytes) -> None:
        """To whoever waits for just this."""
        for awaited in self._awaited:
            if awaited.kind == kind and not awaited.arrived.done() and awaited.fits(payload):
                awaited.arrived.set_result(payload)

    async def _relay_policy(self, payload: bytes) -> None:
        try:
            await self._device.ask(messages.PolicyRequest(policy=payload), messages.Accepted)
        except GatewayError as error:
            # A device that obeys a later policy refuses this one for ever: it is done with, and need not come again.
            if not (isinstance(error, DeviceRefused) and error.name == "OLD_EPOCH"):
                log.warning("order_not_delivered", kind="policy", device=self._device.device_id, error=str(error))
                return
        self._delivered("policy", payload)

    def _receipt(self, payload: bytes) -> None:
        try:
            receipt = from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload))
        except ProtocolError as error:
            log.warning("order_not_delivered", kind="receipt", device=self._device.device_id, error=str(error))
            return
        self._receipts.append((payload, receipt))
        if len(self._receipts) == 1:
            self._device.spawn(self._relay_receipts())

    async def _relay_receipts(self) -> None:
        """One after the other; one that a later one covers whole is not worth the device's time."""
        while self._receipts:
            payload, receipt = self._receipts[0]
            # The next may go, whatever the device says.
            self._flight.landed((receipt.generation, receipt.up_to_seq), asyncio.get_running_loop().time())
            self.send.set()
            later = list(self._receipts)[1:]
            if receipt.photo_digests or not any(_covers(other, receipt) for _, other in later):
                await self._relay_receipt(payload, receipt)
            self._receipts.popleft()

    async def _relay_receipt(self, payload: bytes, receipt: Receipt) -> None:
        try:
            await self._device.ask(messages.ReceiptRequest(receipt=payload), messages.Accepted)
            await asyncio.to_thread(self._settle, receipt)
        except GatewayError as error:
            log.warning("order_not_delivered", kind="receipt", device=self._device.device_id, error=str(error))
            return
        self._delivered("receipt", payload)
        self._refused.clear()
        self._photos_wake.set()
        self._office.changed()

    def _settle(self, receipt: Receipt) -> None:
        """Raises: NoRoom."""
        self._office.outbox.settle(
            receipt.device_id, receipt.generation, receipt.up_to_seq, photos=receipt.photo_digests
        )
        for digest in receipt.photo_digests:
            self._office.photos.drop(digest)

    def _delivered(self, kind: str, payload: bytes) -> None:
        """The order is where it belongs; headquarters may stop sending it."""
        self._office.uplink.delivered(self._device.device_id, kind=kind, sha256=hashlib.sha256(payload).hexdigest())

    @contextmanager
    def expect(self, kind: str, fits: Callable[[bytes], bool]) -> Iterator[asyncio.Future[bytes]]:
        """The next signed order of this kind that fits, from now on."""
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        awaited = _Awaited(kind=kind, fits=fits, arrived=arrived)
        self._awaited.append(awaited)
        try:
            yield arrived
        finally:
            self._awaited.remove(awaited)

    async def await_down(self, kind: str, fits: Callable[[bytes], bool], ask: Callable[[], Awaitable[bool]]) -> bytes:
        """Ask headquarters, and wait for the signed bytes; the same question brings the same bytes again."""
        with self.expect(kind, fits) as arrived:
            for _ in range(2):
                if not await ask():
                    return b""
                done, _pending = await asyncio.wait({arrived}, timeout=DOWN_TIMEOUT_S)
                if done:
                    return arrived.result()
        raise HeadOfficeUnreachable(f"{kind} did not arrive")


async def woken(wake: asyncio.Event, seconds: float) -> bool:
    """Whether `wake` was set in time; it is clear again.

    Not asyncio.wait_for: up to Python 3.11 it can swallow a cancellation, and a lost device's tasks would never end.
    """
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return False
    wake.clear()
    return True


def _covers(later: Receipt, earlier: Receipt) -> bool:
    return later.generation == earlier.generation and later.up_to_seq >= earlier.up_to_seq


def _photos_in(fresh: list[KeptEvent]) -> list[tuple[str, bytes]]:
    """Digests that the events announce: full photos first, since previews went up with the question."""
    full: list[tuple[str, bytes]] = []
    previews: list[tuple[str, bytes]] = []
    for kept in fresh:
        try:
            body = events.peek(kept.signed).body
        except ProtocolError:
            continue
        if isinstance(body, events.PageSeen | events.Done | events.Spoiled | events.Label):
            full.append((kept.device_id, body.photo_digest))
            previews += [(kept.device_id, body.preview_digest)] if body.preview_digest is not None else []
    return full + previews
