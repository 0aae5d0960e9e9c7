"""One device at this office: its link, its events up, its orders down, and the keeper's session."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from firmware_protocol import cbor, cose, events, messages, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.messages import Hello, Message, State, Status
from firmware_protocol.orders import Permit, Receipt
from gateway.bulk import BulkLink, PhotoStore
from gateway.clock import Clock
from gateway.errors import (
    AnotherDevice,
    DeviceRefused,
    GatewayError,
    HeadOfficeRefused,
    HeadOfficeUnreachable,
    OutOfOrder,
)
from gateway.link import DeviceLink
from gateway.outbox import KeptEvent, OpenJob, Outbox
from gateway.rules import session as rules
from gateway.rules.session import Do, Session, Step
from gateway.settings import DeviceSettings
from gateway.transports.serial_port import SerialTransport
from gateway.uplink.head_office import HeadOffice, PageAnswer
from gateway.uplink.mqtt import Uplink

RECONNECT_S: Final = 0.5
HEARTBEAT_S: Final = 5.0
RECEIPT_PATIENCE_S: Final = 10.0
"""Without a receipt for this long, everything unsettled goes up again."""
DOWN_TIMEOUT_S: Final = 5.0
RETRY_UPLOAD_S: Final = 0.5
VERSION: Final = "0.1.0"
MAX_TITLE: Final = 60

T = TypeVar("T")
log = structlog.get_logger("gateway.device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What every device of one gateway shares."""

    gateway_id: str
    outbox: Outbox
    photos: PhotoStore
    head_office: HeadOffice
    uplink: Uplink
    clock: Clock
    auto: bool
    changed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    kind: str
    fits: Callable[[bytes], bool]
    arrived: asyncio.Future[bytes]


class DeviceAgent:
    """Everything about one device runs in the event loop; `down` may be called from another thread through the loop."""

    def __init__(self, settings: DeviceSettings, office: Office) -> None:
        self.settings = settings
        self.session = Session(step=Step.OFFLINE)
        self.hello: Hello | None = None
        self.status: Status | None = None
        self.operator: dict[str, Any] | None = None
        self.enrolment = "unknown"
        self.seen_ms = 0
        self._office = office
        self._bulk = BulkLink(settings.bulk, store=office.photos)
        self._link: DeviceLink | None = None
        self._drain_turn = asyncio.Lock()
        self._work_turn = asyncio.Lock()
        self._events_wake = asyncio.Event()
        self._send_wake = asyncio.Event()
        self._photos_wake = asyncio.Event()
        self._awaited: list[_Awaited] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.hops: dict[str, dict[str, float]] = {}
        self._laid_at = 0.0
        self._pages: tuple[int, ...] = ()
        self._token_id: bytes | None = None

    @property
    def device_id(self) -> str:
        return self.hello.device_id if self.hello else ""

    @property
    def online(self) -> bool:
        return self._link is not None and not self._link.lost.is_set()

    # The link

    async def run(self) -> None:
        """Until cancelled: connect, serve, and connect again."""
        while True:
            try:
                await self._serve()
            except GatewayError as error:
                self._step(rules.DeviceLost(text=str(error)))
            except ExceptionGroup as group:
                if group.split(GatewayError)[1] is not None:
                    raise
                self._step(rules.DeviceLost(text=str(group.exceptions[0])))
            finally:
                await self._hang_up()
            await asyncio.sleep(RECONNECT_S)

    async def _serve(self) -> None:
        link = DeviceLink(
            SerialTransport(self.settings.control), where=self.settings.control, on_notice=self._on_notice
        )
        await link.open()
        self._link = link
        self.hello = self._expected(await link.ask(messages.HelloRequest(), Hello))
        self._saw(await link.ask(messages.StatusRequest(), Status))
        self._resume()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_lost(link))
            group.create_task(self._introduce())
            group.create_task(self._read_events())
            group.create_task(self._send_events())
            group.create_task(self._upload_photos())
            group.create_task(self._heartbeat())

    def _expected(self, hello: Hello) -> Hello:
        """Raises: AnotherDevice."""
        if self.settings.device_id not in (None, hello.device_id):
            raise AnotherDevice(expected=str(self.settings.device_id), found=hello.device_id)
        return hello

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        await self._bulk.close()
        self._office.changed()

    async def _until_lost(self, link: DeviceLink) -> None:
        await link.lost.wait()
        raise OutOfOrder("The device was unplugged. It locks by itself; nothing is lost. Plug it in again.")

    def _resume(self) -> None:
        """After a restart of either side: does the device still hold the grant we opened?"""
        job = self._office.outbox.job(self.device_id)
        status = self.status
        left = status.strokes_left if job and status and status.token_id == job.token_id else None
        if job and left is not None and not self.session.busy:
            self._token_id, self._pages = job.token_id, job.pages
            self.session = Session(
                step=Step.PLACE, request_id=job.request_id, title=job.title, strokes_total=len(job.pages)
            )
        self._step(rules.DeviceBack(strokes_left=left))

    async def _introduce(self) -> None:
        """Say hello to headquarters until it knows the device; set the device's clock."""
        while True:
            try:
                await self.greet()
                if self.enrolment != "unknown":
                    await self._set_clock()
                    return
            except (HeadOfficeRefused, HeadOfficeUnreachable, DeviceRefused) as error:
                log.info("hello_failed", device=self.device_id, error=str(error))
            await asyncio.sleep(HEARTBEAT_S)

    async def greet(self) -> None:
        """Raises: HeadOfficeRefused, HeadOfficeUnreachable."""
        hello = self._hello()
        facts = {
            "device_id": hello.device_id,
            "public_key": hello.public_key.hex(),
            "generation": hello.generation,
            "model": hello.model,
            "firmware": hello.firmware,
            "heads": [head.hex() for head in hello.heads],
            "last_seq": hello.last_seq,
            "acked_seq": hello.acked_seq,
            "counter": hello.counter,
            "boot": hello.boot,
            "paired": hello.paired,
        }
        answer = await self._office.head_office.hello(self._office.gateway_id, VERSION, [facts])
        self.enrolment = next((d["status"] for d in answer["devices"] if d["device_id"] == hello.device_id), "unknown")
        self._send_wake.set()

    async def _tell_heads(self) -> None:
        """Another head sits in the device: headquarters should know before somebody waits for it."""
        try:
            self.hello = await self.ask(messages.HelloRequest(), Hello)
            await self.greet()
        except GatewayError as error:
            log.info("hello_failed", device=self.device_id, error=str(error))

    async def _set_clock(self) -> None:
        hello = await self.ask(messages.HelloRequest(), Hello)  # a nonce counts for ten seconds; this one is fresh
        signed = await self._office.head_office.signed_time(self.device_id, hello.boot_nonce)
        await self.ask(messages.TimeRequest(time=signed), messages.Accepted)

    # Events up

    async def _read_events(self) -> None:
        while True:
            await self.drain()
            await self._events_wake.wait()
            self._events_wake.clear()

    async def drain(self, *, at_least: int = 0) -> None:
        """Every event the device has and this office has not, into the outbox."""
        async with self._drain_turn:
            hello = self._hello()
            known = max(hello.acked_seq, self._office.outbox.last_seq(hello.device_id, hello.generation))
            if self.status is not None:
                known = max(known, self.status.acked_seq)
                at_least = max(at_least, self.status.last_seq)
            fresh: list[KeptEvent] = []
            for seq in range(known + 1, at_least + 1):
                answer = await self.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)
                kept = KeptEvent(device_id=hello.device_id, generation=hello.generation, seq=seq, signed=answer.event)
                fresh.append(kept)
            if fresh:
                await asyncio.to_thread(self._office.outbox.keep, fresh, photos=_photos_in(fresh))
                self._send_wake.set()
                self._photos_wake.set()
        for kept in fresh:
            self._learn(kept)

    def _learn(self, kept: KeptEvent) -> None:
        """What an event of the grant in hand means for the session."""
        try:
            body = events.peek(kept.signed).body
        except ProtocolError:
            log.warning("odd_event", device=kept.device_id, seq=kept.seq)
            return
        if isinstance(body, events.HeadChanged):
            self._spawn(self._tell_heads())
        if getattr(body, "token_id", None) != self._token_id or self._token_id is None:
            return
        left = self.session.strokes_left
        match body:
            case events.Done():
                self._step(rules.StrokeDone(strokes_left=left - 1))
            case events.Cancelled(cause=cause, returned=returned):
                self._step(rules.StrokeCancelled(strokes_left=left if returned else left - 1, cause=cause.name.lower()))
            case events.Closed(cause=cause):
                self._token_id = None
                self._office.outbox.close_job(self.device_id)
                self._step(rules.GrantClosed(cause=cause.name.lower()))
            case _:
                return

    async def _send_events(self) -> None:
        while True:
            if not await _woken(self._send_wake, RECEIPT_PATIENCE_S):
                self._office.outbox.send_again(self.device_id)
            if self.enrolment != "unknown":
                await asyncio.to_thread(self._send_unsent)

    def _send_unsent(self) -> None:
        outbox = self._office.outbox
        while batch := outbox.unsent(self.device_id, limit=64):
            for kept in batch:
                if not self._office.uplink.event(kept.device_id, kept.signed):
                    return
                outbox.mark_sent(kept)

    # Photos up

    async def _upload_photos(self) -> None:
        while True:
            owed = self._office.outbox.photos_owed(self.device_id) if self.enrolment != "unknown" else []
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
            await _woken(self._photos_wake, RETRY_UPLOAD_S if owed else HEARTBEAT_S)

    # Orders down

    def down(self, kind: str, payload: bytes) -> None:
        """A signed order arrived over MQTT. Runs in the event loop."""
        for awaited in self._awaited:
            if awaited.kind == kind and not awaited.arrived.done() and awaited.fits(payload):
                awaited.arrived.set_result(payload)
        if kind in ("receipt", "policy"):
            self._spawn(self._relay(kind, payload))
        else:
            self._delivered(kind, payload)

    async def _relay(self, kind: str, payload: bytes) -> None:
        try:
            if kind == "policy":
                await self.ask(messages.PolicyRequest(policy=payload), messages.Accepted)
                self._delivered(kind, payload)
                return
            await self.ask(messages.ReceiptRequest(receipt=payload), messages.Accepted)
            receipt = from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload))
        except (GatewayError, ProtocolError) as error:
            log.warning("order_not_delivered", kind=kind, device=self.device_id, error=str(error))
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
        self._office.uplink.delivered(self.device_id, kind=kind, sha256=hashlib.sha256(payload).hexdigest())

    async def _await_down(self, kind: str, fits: Callable[[bytes], bool], ask: Callable[[], Any]) -> bytes:
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

    # The keeper's session

    async def sign_in(self, username: str, pin: str) -> dict[str, Any]:
        """Raises: HeadOfficeRefused, HeadOfficeUnreachable."""
        self.operator = await self._office.head_office.sign_in(self.device_id, username, pin)
        self._office.changed()
        return self.operator

    def sign_out(self) -> None:
        self.operator = None
        self._office.changed()

    async def jobs(self) -> list[dict[str, Any]]:
        return await self._office.head_office.jobs(self.device_id)

    async def start(self, request_id: str) -> None:
        """Challenge, token, grant. Raises: GatewayError."""
        if self.operator is None:
            raise OutOfOrder("Nobody is signed in at this device. Sign in first.")
        if self.session.busy and self.session.step is not Step.DONE:
            raise OutOfOrder("A job is open at this device. Finish or stop it first.")
        async with self._work_turn:
            job = next((job for job in await self.jobs() if job["request_id"] == request_id), None)
            if job is None:
                raise OutOfOrder("This job is not waiting for this device any more. Pick another.")
            hops = self._timing("unlock", asyncio.get_running_loop().time())
            granted = await self._grant(job, hops)
            self._token_id = granted.token_id
            self._pages = tuple(page["page"] for page in job["pages"])
            opened = OpenJob(
                device_id=self.device_id,
                token_id=granted.token_id,
                request_id=request_id,
                title=job["title"],
                pages=self._pages,
            )
            await asyncio.to_thread(self._office.outbox.open_job, opened)
            self._step(
                rules.Started(
                    request_id=request_id,
                    title=job["title"],
                    strokes=granted.strokes_left,
                    page=self._pages[0] if self._pages else 0,
                )
            )
            self._saw(await self.ask(messages.StatusRequest(), Status))
        self._look_at_tray()

    async def _grant(self, job: dict[str, Any], hops: Callable[[str], None]) -> messages.Granted:
        if self.status is not None and self.status.token_id is not None:
            await self.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        nonce = (await self.ask(messages.ChallengeRequest(), messages.Challenge)).nonce
        hops("challenge")
        operator_id = str((self.operator or {}).get("operator_id", ""))

        async def ask() -> bool:
            await self._office.head_office.token(
                self.device_id, request_id=job["request_id"], nonce=nonce, operator_id=operator_id
            )
            return True

        token = await self._await_down("token", lambda data: _nonce_of_token(data) == nonce, ask)
        hops("token")
        request = messages.TokenRequest(token=token, title=job["title"][:MAX_TITLE], short=job.get("short"))
        granted = await self.ask(request, messages.Granted, slow=True)
        hops("granted")
        return granted

    async def capture(self) -> None:
        """Photograph, have it judged, and free the latch for one stroke if headquarters permits it."""
        async with self._work_turn:
            if not self.session.busy or self.session.step in (Step.READY, Step.DONE):
                return
            try:
                await self._photograph_and_unlock()
            except DeviceRefused as error:
                self._step(rules.WentWrong(code=error.name.lower(), text=str(error)))
            except HeadOfficeRefused as error:
                self._step(rules.WentWrong(code=error.code, text=str(error)))
            except GatewayError as error:
                self._step(rules.WentWrong(code=error.code, text=str(error)))

    async def _photograph_and_unlock(self) -> None:
        hops = self._timing("checked", self._laid_at)
        hops("still")
        captured = await self.ask(messages.CaptureRequest(), messages.Captured, slow=True)
        hops("captured")
        self._step(rules.PhotoTaken())
        event, preview = await asyncio.gather(
            self._event(captured.seq), self._bulk.fetch(captured.preview_digest, urgent=True)
        )
        hops("preview")
        answer: PageAnswer | None = None

        async def ask() -> bool:
            nonlocal answer
            answer = await self._office.head_office.permit(self.device_id, event=event, preview=preview)
            hops("judged")
            return answer.permit_sent

        permit = await self._await_down("permit", lambda data: _nonce_of_permit(data) == captured.stroke_nonce, ask)
        if answer is not None:
            self._step(
                rules.PageJudged(
                    answer=answer.answer,
                    reason=answer.reason,
                    page=answer.page,
                    text=answer.text,
                    differences=answer.differences,
                )
            )
        if permit:
            hops("permit")
            await self.ask(messages.PermitRequest(permit=permit), messages.Unlocked, slow=True)
            hops("unlocked")
            self._step(rules.LatchFree())

    async def _event(self, seq: int) -> bytes:
        """The signed event `seq`, kept here first. Raises: DeviceUnreachable."""
        await self.drain(at_least=seq)
        hello = self._hello()
        kept = self._office.outbox.event(hello.device_id, hello.generation, seq)
        return kept or (await self.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)).event

    async def abort(self) -> None:
        """Lock first, always."""
        self._step(rules.Aborted())
        await self.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        self._office.outbox.close_job(self.device_id)
        self._token_id = None

    async def scan(self) -> dict[str, Any]:
        """Photograph paper for a new request; the device must be idle. Raises: GatewayError."""
        if self.session.busy:
            raise OutOfOrder("A job is open at this device. Finish or stop it first.")
        async with self._work_turn:
            captured = await self.ask(messages.CaptureRequest(), messages.Captured, slow=True)
            photo = await self._bulk.fetch(captured.photo_digest, urgent=True)
            return await self._office.head_office.scan(
                self.device_id, event=await self._event(captured.seq), photo=photo
            )

    # Small things

    async def ask(self, request: Message, reply: type[T], *, slow: bool = False) -> T:
        """Raises: DeviceUnreachable, DeviceRefused."""
        if self._link is None:
            raise OutOfOrder("The device is not connected. Check its cable.")
        return await self._link.ask(request, reply, slow=slow)

    def facts(self) -> dict[str, Any]:
        """For headquarters' live view: what this device said last."""
        status = self.status
        facts: dict[str, Any] = {
            "online": self.online,
            "at_ms": self._office.clock.now_ms(),
            "seen_ms": self.seen_ms,
            "step": self.session.step.value,
        }
        if status is not None:
            facts |= {
                "state": status.state.name.lower(),
                "page_present": status.page_present,
                "page_still": bool(status.page_still),
                "cover_closed": status.cover_closed,
                "counter": status.counter,
                "strokes_left": status.strokes_left,
                "journal_free": status.journal_free,
                "last_seq": status.last_seq,
                "acked_seq": status.acked_seq,
            }
        return facts

    async def _heartbeat(self) -> None:
        while True:
            self._office.uplink.state(self.device_id, self.facts())
            await asyncio.sleep(HEARTBEAT_S)
            self._saw(await self.ask(messages.StatusRequest(), Status))

    def _on_notice(self, message: Message) -> None:
        if isinstance(message, messages.StatusNotice):
            self._saw(message.status)
            self._look_at_tray()
        self._office.uplink.state(self.device_id, self.facts())

    def _timing(self, name: str, begun: float) -> Callable[[str], None]:
        """Notes, for each hop of a flow, how many milliseconds after `begun` (loop time) it was over."""
        hops: dict[str, float] = {}
        self.hops[name] = hops
        now = asyncio.get_running_loop().time

        def note(hop: str) -> None:
            hops[hop] = round((now() - begun) * 1000, 2)

        return note

    def _saw(self, status: Status) -> None:
        if status.page_present and not (self.status and self.status.page_present):
            self._laid_at = asyncio.get_running_loop().time()
        self.status = status
        self.seen_ms = self._office.clock.now_ms()
        if status.state is State.UNLOCKED:
            self._step(rules.LatchFree())
        self._events_wake.set()
        self._office.changed()

    def _look_at_tray(self) -> None:
        status = self.status
        if status is not None and self._office.auto:
            self._step(rules.TrayChanged(present=status.page_present, still=bool(status.page_still)))

    def _step(self, fact: rules.Fact) -> None:
        self.session, todo = rules.advance(self.session, fact)
        if Do.CAPTURE in todo:
            self._spawn(self.capture())
        self._office.changed()

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hello(self) -> Hello:
        if self.hello is None:
            raise OutOfOrder("The device has not introduced itself yet.")
        return self.hello


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


def _nonce_of_token(data: bytes) -> bytes | None:
    try:
        return tokens.read(cose.parse1(data).payload).nonce
    except ProtocolError:
        return None


def _nonce_of_permit(data: bytes) -> bytes | None:
    try:
        return from_map(Permit, cbor.decode_map(cose.parse1(data).payload)).stroke_nonce
    except ProtocolError:
        return None
