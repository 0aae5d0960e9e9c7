"""The keeper's session at one device, acted out over its link: the rules say what, this does it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from firmware_protocol import cbor, cose, events, messages, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.messages import State, Status
from firmware_protocol.orders import Permit
from gateway.bulk import BulkLink
from gateway.carrying import Carrying
from gateway.connection import Connection, Office
from gateway.errors import DeviceRefused, GatewayError, HeadOfficeRefused, OutOfOrder
from gateway.outbox import OpenJob
from gateway.rules import session as rules
from gateway.rules.session import Do, Session, Step

if TYPE_CHECKING:
    from gateway.uplink.head_office import PageAnswer

MAX_TITLE: Final = 60

log = structlog.get_logger("gateway.stamping")


class Stamping:
    """One job at a time. `step` and `saw` are told what happens at the device."""

    def __init__(self, device: Connection, office: Office, bulk: BulkLink, carrying: Carrying) -> None:
        self.session = Session(step=Step.OFFLINE)
        self.operator: dict[str, Any] | None = None
        self.hops: dict[str, dict[str, float]] = {}
        self._device = device
        self._office = office
        self._bulk = bulk
        self._carrying = carrying
        self._work_turn = asyncio.Lock()
        self._laid_at = 0.0
        self._pages: tuple[int, ...] = ()
        self._token_id: bytes | None = None

    # What happens at the device

    def resume(self) -> None:
        """After a restart of either side: does the device still hold the grant we opened?"""
        job = self._office.outbox.job(self._device.device_id)
        status = self._device.status
        left = status.strokes_left if job and status and status.token_id == job.token_id else None
        if job and left is not None and not self.session.busy:
            self._token_id, self._pages = job.token_id, job.pages
            self.session = Session(
                step=Step.PLACE, request_id=job.request_id, title=job.title, strokes_total=len(job.pages)
            )
        self.step(rules.DeviceBack(strokes_left=left))

    def learn(self, body: events.Body) -> None:
        """What an event of the grant in hand means for the session."""
        if getattr(body, "token_id", None) != self._token_id or self._token_id is None:
            return
        left = self.session.strokes_left
        match body:
            case events.Done():
                self.step(rules.StrokeDone(strokes_left=left - 1))
            case events.Cancelled(cause=cause, returned=returned):
                self.step(rules.StrokeCancelled(strokes_left=left if returned else left - 1, cause=cause.name.lower()))
            case events.Closed(cause=cause):
                self._token_id = None
                self._office.outbox.close_job(self._device.device_id)
                self.step(rules.GrantClosed(cause=cause.name.lower()))
            case _:
                return

    def saw(self, status: Status, before: Status | None) -> None:
        """The device told its status."""
        if status.page_present and not (before and before.page_present):
            self._laid_at = asyncio.get_running_loop().time()
        if status.state is State.UNLOCKED:
            self.step(rules.LatchFree())

    def look_at_tray(self) -> None:
        status = self._device.status
        if status is not None and self._office.auto:
            self.step(rules.TrayChanged(present=status.page_present, still=bool(status.page_still)))

    def step(self, fact: rules.Fact) -> None:
        self.session, todo = rules.advance(self.session, fact)
        if Do.CAPTURE in todo:
            self._device.spawn(self.capture())
        self._office.changed()

    # The keeper's session

    async def sign_in(self, username: str, pin: str) -> dict[str, Any]:
        """Raises: HeadOfficeRefused, HeadOfficeUnreachable."""
        self.operator = await self._office.head_office.sign_in(self._device.device_id, username, pin)
        self._office.changed()
        return self.operator

    def sign_out(self) -> None:
        self.operator = None
        self._office.changed()

    async def jobs(self) -> list[dict[str, Any]]:
        return await self._office.head_office.jobs(self._device.device_id)

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
                device_id=self._device.device_id,
                token_id=granted.token_id,
                request_id=request_id,
                title=job["title"],
                pages=self._pages,
            )
            await asyncio.to_thread(self._office.outbox.open_job, opened)
            self.step(
                rules.Started(
                    request_id=request_id,
                    title=job["title"],
                    strokes=granted.strokes_left,
                    page=self._pages[0] if self._pages else 0,
                )
            )
            await self._device.look()
        self.look_at_tray()

    async def _grant(self, job: dict[str, Any], hops: Callable[[str], None]) -> messages.Granted:
        if self._device.status is not None and self._device.status.token_id is not None:
            await self._device.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        nonce = (await self._device.ask(messages.ChallengeRequest(), messages.Challenge)).nonce
        hops("challenge")
        operator_id = str((self.operator or {}).get("operator_id", ""))

        async def ask() -> bool:
            await self._office.head_office.token(
                self._device.device_id, request_id=job["request_id"], nonce=nonce, operator_id=operator_id
            )
            return True

        token = await self._carrying.await_down("token", lambda data: _nonce_of_token(data) == nonce, ask)
        hops("token")
        request = messages.TokenRequest(token=token, title=job["title"][:MAX_TITLE], short=job.get("short"))
        granted = await self._device.ask(request, messages.Granted, slow=True)
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
                self.step(rules.WentWrong(code=error.name.lower(), text=str(error)))
            except HeadOfficeRefused as error:
                self.step(rules.WentWrong(code=error.code, text=str(error)))
            except GatewayError as error:
                self.step(rules.WentWrong(code=error.code, text=str(error)))

    async def _photograph_and_unlock(self) -> None:
        hops = self._timing("checked", self._laid_at)
        hops("still")
        captured = await self._device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
        hops("captured")
        self.step(rules.PhotoTaken())
        event, preview = await asyncio.gather(
            self._carrying.event(captured.seq), self._bulk.fetch(captured.preview_digest, urgent=True)
        )
        hops("preview")
        answer: PageAnswer | None = None

        async def ask() -> bool:
            nonlocal answer
            answer = await self._office.head_office.permit(self._device.device_id, event=event, preview=preview)
            hops("judged")
            return answer.permit_sent

        def fits(data: bytes) -> bool:
            return _nonce_of_permit(data) == captured.stroke_nonce

        permit = await self._carrying.await_down("permit", fits, ask)
        if answer is not None:
            self.step(
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
            await self._device.ask(messages.PermitRequest(permit=permit), messages.Unlocked, slow=True)
            hops("unlocked")
            self.step(rules.LatchFree())

    async def abort(self) -> None:
        """Lock first, always."""
        self.step(rules.Aborted())
        await self._device.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        self._office.outbox.close_job(self._device.device_id)
        self._token_id = None

    async def scan(self) -> dict[str, Any]:
        """Photograph paper for a new request; the device must be idle. Raises: GatewayError."""
        if self.session.busy:
            raise OutOfOrder("A job is open at this device. Finish or stop it first.")
        async with self._work_turn:
            captured = await self._device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
            photo = await self._bulk.fetch(captured.photo_digest, urgent=True)
            return await self._office.head_office.scan(
                self._device.device_id, event=await self._carrying.event(captured.seq), photo=photo
            )

    def _timing(self, name: str, begun: float) -> Callable[[str], None]:
        """Notes, for each hop of a flow, how many milliseconds after `begun` (loop time) it was over."""
        hops: dict[str, float] = {}
        self.hops[name] = hops
        now = asyncio.get_running_loop().time

        def note(hop: str) -> None:
            hops[hop] = round((now() - begun) * 1000, 2)

        return note


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
