"""What travels through this office for one device: its events and photos up, headquarters' signed orders down."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Receipt
from gateway.bulk import BulkLink
from gateway.connection import Connection, Office
from gateway.errors import GatewayError, HeadOfficeRefused, HeadOfficeUnreachable
from gateway.outbox import KeptEvent

RECEIPT_PATIENCE_S: Final = 10.0
"""Without a receipt for this long, everything unsettled goes up again."""
DOWN_TIMEOUT_S: Final = 5.0
RETRY_UPLOAD_S: Final = 0.5
IDLE_S: Final = 5.0

log = structlog.get_logger("gateway.carrying")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    kind: str
    fits: Callable[[bytes], bool]
    arrived: asyncio.Future[bytes]


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
            known = max(hello.acked_seq, self._office.outbox.last_seq(hello.device_id, hello.generation))
            if self._device.status is not None:
                known = max(known, self._device.status.acked_seq)
                at_least = max(at_least, self._device.status.last_seq)
            fresh: list[KeptEvent] = []
            for seq in range(known + 1, at_least + 1):
                answer = await self._device.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)
                kept = KeptEvent(device_id=hello.device_id, generation=hello.generation, seq=seq, signed=answer.event)
                fresh.append(kept)
            if fresh:
                await asyncio.to_thread(self._office.outbox.keep, fresh, photos=_photos_in(fresh))
                self.send.set()
                self._photos_wake.set()
        for kept in fresh:
            self._learned(kept)

    async def send_events(self) -> None:
        while True:
            if not await _woken(self.send, RECEIPT_PATIENCE_S):
                self._office.outbox.send_again(self._device.device_id)
            if self._device.enrolment != "unknown":
                await asyncio.to_thread(self._send_unsent)

    def _send_unsent(self) -> None:
        outbox = self._office.outbox
        while batch := outbox.unsent(self._device.device_id, limit=64):
            for kept in batch:
                if not self._office.uplink.event(kept.device_id, kept.signed):
                    return
                outbox.mark_sent(kept)

    # Photos up

    async def upload_photos(self) -> None:
        while True:
            owed = (
                self._office.outbox.photos_owed(self._device.device_id) if self._device.enrolment != "unknown" else []
            )
            for digest in owed:
                try:
                    await self._bulk.fetch(digest)
                    await self._office.head_office.upload(digest, self._office.photos.path(digest))
                except HeadOfficeRefused as error:
                    log.debug("upload_refused", code=error.code)
                    continue  # the event that announces it is not in the ledger yet: asked again below
                except GatewayError as error:
                    log.info("upload_failed", error=str(error))
                    break
                self._office.outbox.photo_uploaded(digest)
                self._office.changed()
            await _woken(self._photos_wake, RETRY_UPLOAD_S if owed else IDLE_S)

    async def event(self, seq: int) -> bytes:
        """The signed event `seq`, kept here first. Raises: DeviceUnreachable."""
        await self.drain(at_least=seq)
        hello = self._device.introduced()
        kept = self._office.outbox.event(hello.device_id, hello.generation, seq)
        return kept or (await self._device.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)).event

    # Orders down

    def down(self, kind: str, payload: bytes) -> None:
        """A signed order arrived over MQTT. Runs in the event loop."""
        for awaited in self._awaited:
            if awaited.kind == kind and not awaited.arrived.done() and awaited.fits(payload):
                awaited.arrived.set_result(payload)
        if kind in ("receipt", "policy"):
            self._device.spawn(self._relay(kind, payload))
        else:
            self._delivered(kind, payload)

    async def _relay(self, kind: str, payload: bytes) -> None:
        try:
            if kind == "policy":
                await self._device.ask(messages.PolicyRequest(policy=payload), messages.Accepted)
                self._delivered(kind, payload)
                return
            await self._device.ask(messages.ReceiptRequest(receipt=payload), messages.Accepted)
            receipt = from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload))
        except (GatewayError, ProtocolError) as error:
            log.warning("order_not_delivered", kind=kind, device=self._device.device_id, error=str(error))
            return
        self._delivered(kind, payload)
        outbox = self._office.outbox
        await asyncio.to_thread(outbox.settle, receipt.device_id, receipt.generation, receipt.up_to_seq)
        for digest in receipt.photo_digests:
            outbox.photo_settled(digest)
            self._office.photos.drop(digest)
        self._office.changed()

    def _delivered(self, kind: str, payload: bytes) -> None:
        """The order is where it belongs; headquarters may stop sending it."""
        self._office.uplink.delivered(self._device.device_id, kind=kind, sha256=hashlib.sha256(payload).hexdigest())

    async def await_down(self, kind: str, fits: Callable[[bytes], bool], ask: Callable[[], Awaitable[bool]]) -> bytes:
        """Ask headquarters, and wait for the signed bytes; the same question brings the same bytes again."""
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        awaited = _Awaited(kind=kind, fits=fits, arrived=arrived)
        self._awaited.append(awaited)
        try:
            for _ in range(2):
                if not await ask():
                    return b""
                done, _pending = await asyncio.wait({arrived}, timeout=DOWN_TIMEOUT_S)
                if done:
                    return arrived.result()
        finally:
            self._awaited.remove(awaited)
        raise HeadOfficeUnreachable(f"{kind} did not arrive")


async def _woken(wake: asyncio.Event, seconds: float) -> bool:
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


def _photos_in(fresh: list[KeptEvent]) -> list[tuple[str, bytes]]:
    """Digests that the events announce: full photos first, since previews went up with the question."""
    full: list[tuple[str, bytes]] = []
    previews: list[tuple[str, bytes]] = []
    for kept in fresh:
        try:
            body = events.peek(kept.signed).body
        except ProtocolError:
            continue
        if isinstance(body, events.PageSeen | events.Done):
            full.append((kept.device_id, body.photo_digest))
            previews.append((kept.device_id, body.preview_digest))
    return full + previews
