"""The straight way over a device's link: token, page, permit, press. The rules say what, this does it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from firmware_protocol import cbor, cose, events, messages, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.messages import State, Status
from firmware_protocol.orders import Permit
from firmware_protocol.tokens import Mode, PageCheck, Token
from gateway.bulk import BulkLink
from gateway.carrying import Carrying
from gateway.cases import Cases
from gateway.crops import Crops
from gateway.desk import Desk
from gateway.errors import DeviceRefused, GatewayError, HeadOfficeRefused, HeadOfficeUnreachable, OutOfOrder
from gateway.notebook import Voucher
from gateway.rules import facts, look
from gateway.rules.session import Do, Plan, Session, Step
from gateway.sticking import code_words
from gateway.uplink.head_office import PageAnswer
from gateway.vouchers import Vouchers

MAX_TITLE: Final = 60
SPARE_AGAIN_S: Final = 0.5
SPARE_TRIES: Final = 120
"""A minute: the device's report of the press that went before is on its way, or the line is down for a moment."""
_PASSES: Final = frozenset({"still_open", "device_must_report"})
"""Headquarters' refusals that end by themselves, once it has that report."""
_MODES: Final = ((Mode.CONTINUOUS, "continuous"), (Mode.STRADDLE, "straddle"), (Mode.VOUCHER, "voucher"))

log = structlog.get_logger("gateway.stamping")


class Stamping:
    """One job at a time."""

    def __init__(
        self,
        desk: Desk,
        bulk: BulkLink,
        carrying: Carrying,
        *,
        cases: Cases,
        vouchers: Vouchers,
        spare_again_s: float = SPARE_AGAIN_S,
    ) -> None:
        self._desk = desk
        self._spare_again_s = spare_again_s
        self._device = desk.device
        self._office = desk.office
        self._bulk = bulk
        self._carrying = carrying
        self._cases = cases
        self._vouchers = vouchers
        self._crops = Crops(desk)
        self._laid_at = 0.0
        self._stopped_token = ""
        self._unanswered: tuple[tuple[str, str], bytes] | None = None
        """(Request, operator) and nonce of a token that did not come. It may be on its way, and headquarters gives no
        second one for ten minutes: the same challenge brings the same bytes.
        """
        desk.does |= {Do.CAPTURE: self.capture, Do.CONTINUE: self.go_on}

    @property
    def session(self) -> Session:
        return self._desk.session

    # What happens at the device

    def resume(self) -> None:
        """After a restart of either side: does the device still hold the grant we opened?"""
        self._desk.recall()
        status = self._device.status
        held = status.token_id.hex() if status and status.token_id else ""
        ours = status is not None and held != "" and held == self.session.token_id
        left = status.strokes_left if ours and status else None
        sweeping = status is not None and status.state is State.SWEEPING
        self._desk.step(facts.DeviceBack(strokes_left=left, sweeping=sweeping))

    def learn(self, body: events.Body) -> None:
        """What an event means for the session."""
        match body:
            case events.ExtraStroke(strokes=strokes):
                self._desk.step(facts.ExtraStrokes(strokes=strokes))
            case events.Done() | events.Cancelled() | events.Settled() | events.Closed():
                if self.session.token_id == body.token_id.hex():
                    self._learn_of_grant(body)
            case _:
                return

    def _learn_of_grant(self, body: events.Done | events.Cancelled | events.Settled | events.Closed) -> None:
        match body:
            case events.Done(stroke=stroke):
                url, short = code_words(body.trace_code, host=self._office.trace_host)
                self._desk.step(facts.StrokeDone(stroke=stroke, url=url, short=short))
                if self._device.status is not None and self._device.status.state is State.UNLOCKED:
                    self._desk.step(facts.LatchFree())  # continuous: the latch is free for the next one already
            case events.Cancelled(cause=cause, returned=returned):
                self._desk.step(facts.StrokeCancelled(cause=cause.name.lower(), returned=returned))
            case events.Settled(stroke=stroke, outcome=outcome):
                self._desk.step(facts.StrokeSettled(stroke=stroke, outcome=outcome.name.lower()))
            case events.Closed(cause=cause):
                self._desk.step(facts.GrantClosed(cause=cause.name.lower()))

    def saw(self, status: Status, before: Status | None) -> None:
        """The device told its status."""
        if status.page_present and not (before and before.page_present):
            self._laid_at = asyncio.get_running_loop().time()
        if status.state is State.UNLOCKED:
            self._desk.step(facts.LatchFree())

    # The keeper's session

    async def jobs(self) -> list[dict[str, Any]]:
        """What can be stamped here now; without headquarters, what the vouchers kept here allow.

        Raises: HeadOfficeRefused; HeadOfficeUnreachable, when there is no voucher either.
        """
        operator = str((self._desk.operator or {}).get("operator_id", ""))
        try:
            jobs = await self._office.head_office.jobs(self._device.device_id, operator_id=operator)
        except HeadOfficeUnreachable:
            jobs = self._vouchers.jobs()
            if not jobs:
                raise
            return jobs
        self._vouchers.wanted(jobs, operator)
        return jobs

    async def start(self, request_id: str) -> None:
        """Challenge, token, grant. Raises: GatewayError."""
        async with self._desk.turn:  # before anything is asked: of two taps the second finds the job of the first open
            self._check_idle()
            job = next((job for job in await self.jobs() if job["request_id"] == request_id), None)
            if job is None:
                raise OutOfOrder("This job is not waiting for this device any more. Pick another.")
            self._desk.step(await self._begin(job))
            await self._device.look()
        self._desk.look_at_tray()

    def _check_idle(self) -> None:
        """Raises: OutOfOrder."""
        if self._desk.operator is None:
            raise OutOfOrder("Nobody is signed in at this device. Sign in first.")
        if self.session.busy and self.session.step not in (Step.DONE, Step.CONTINUE):
            raise OutOfOrder("A job is open at this device. Finish or stop it first.")
        if self.session.alarm:
            raise OutOfOrder("There was an imprint that was not approved. Write down what happened first.")

    async def start_scanned(self, code: str) -> None:
        """The job whose number was scanned from its cover sheet. Raises: GatewayError."""
        wanted = code.strip().upper()
        fits = [str(job["request_id"]) for job in await self.jobs() if str(job.get("short", "")).upper() == wanted]
        if len(fits) != 1:
            raise OutOfOrder(f"{wanted[:40]} is not waiting for this device. Nothing was started. Pick from the list.")
        await self.start(fits[0])

    async def go_on(self) -> None:
        """A spare of the same request is free: no tap between. What passes by itself is waited for."""
        plan, tries_left = self.session.plan, SPARE_TRIES
        while plan is not None and self._spare_waits(plan):
            tries_left -= 1
            try:
                await self.start(plan.request_id)
            except GatewayError as error:
                if tries_left and _passes(error):
                    await asyncio.sleep(self._spare_again_s)
                    continue
                if self._spare_waits(plan):
                    self._desk.wrong(error)
                return

    def _spare_waits(self, plan: Plan) -> bool:
        """Nobody stopped that job meanwhile."""
        return self.session.plan is plan and self.session.step is Step.CONTINUE

    async def _begin(self, job: dict[str, Any]) -> facts.Started:
        hops = self._desk.timing("unlock", asyncio.get_running_loop().time())
        if self._device.status is not None and self._device.status.token_id is not None:
            await self._device.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        voucher = self._vouchers.for_job(job) if job.get("offline") else None
        token = voucher.token if voucher else await self._fetch_token(job, hops)
        granted = await self._grant(token, job, voucher)
        hops("granted")
        return _started(job, _read(token), granted, now_ms=self._office.clock.now_ms())

    async def _fetch_token(self, job: dict[str, Any], hops: Callable[[str], None]) -> bytes:
        operator_id = str((self._desk.operator or {}).get("operator_id", ""))
        asked = (str(job["request_id"]), operator_id)
        before, self._unanswered = self._unanswered, None
        if before is not None and before[0] == asked:
            nonce = before[1]
        else:
            nonce = (await self._device.ask(messages.ChallengeRequest(), messages.Challenge)).nonce
        hops("challenge")

        async def ask() -> bool:
            await self._office.head_office.token(
                self._device.device_id, request_id=job["request_id"], nonce=nonce, operator_id=operator_id
            )
            return True

        try:
            token = await self._carrying.await_down("token", lambda data: _nonce_of_token(data) == nonce, ask)
        except HeadOfficeUnreachable:
            self._unanswered = (asked, nonce)
            raise
        hops("token")
        return token

    async def _grant(self, token: bytes, job: dict[str, Any], voucher: Voucher | None) -> messages.Granted:
        request = messages.TokenRequest(token=token, title=job["title"][:MAX_TITLE], short=job.get("short"))
        try:
            granted = await self._device.ask(request, messages.Granted, slow=True)
        except DeviceRefused as error:
            if voucher is not None and error.name in ("VOUCHER_SPENT", "EXPIRED", "REPLAYED", "OLD_EPOCH"):
                self._office.notebook.drop_voucher(voucher.token_id)
            if error.name == "OPERATOR_NEEDED":
                self._desk.operator = None  # it learned of people after this one signed in
                raise OutOfOrder("The device asks who you are. Sign in once more, then pick the job again.") from error
            raise
        if voucher is not None:
            self._office.notebook.drop_voucher(voucher.token_id)
        return granted

    async def capture(self) -> None:
        """Photograph, have it judged, and free the latch for one stroke if headquarters permits it."""
        async with self._desk.turn:
            if not self.session.busy or self.session.step in (Step.READY, Step.DONE):
                return
            try:
                await self._photograph_and_unlock()
            except GatewayError as error:
                self._desk.wrong(error)
        self._desk.look_at_tray()  # another page may have come to lie still meanwhile

    async def _photograph_and_unlock(self) -> None:
        hops = self._desk.timing("checked", self._laid_at)
        hops("still")
        captured = await self._device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
        hops("captured")
        if self.session.plan is not None and self.session.plan.unchecked:
            await self._device.look()  # no permit is asked for: the device frees the latch by itself
            return
        self._desk.step(facts.PhotoTaken())
        event, preview = await asyncio.gather(
            self._carrying.event(captured.seq), self._bulk.fetch(captured.preview_digest, urgent=True)
        )
        self._desk.show("page", preview)
        hops("preview")
        answer: PageAnswer | None = None

        async def ask() -> bool:
            nonlocal answer
            answer = await self._office.head_office.permit(self._device.device_id, event=event, preview=preview)
            hops("judged")
            return answer.permit_sent

        def fits(data: bytes) -> bool:
            return nonce_of_permit(data) == captured.stroke_nonce

        permit = await self._carrying.await_down("permit", fits, ask)
        if answer is not None:
            self._judged(answer, fits)
        if permit:
            hops("permit")
            await self._device.ask(messages.PermitRequest(permit=permit), messages.Unlocked, slow=True)
            hops("unlocked")
            self._desk.step(facts.LatchFree())

    def _judged(self, answer: PageAnswer, fits: Callable[[bytes], bool]) -> None:
        self._desk.step(
            facts.PageJudged(
                answer=answer.answer,
                reason=answer.reason,
                page=answer.page,
                text=answer.text,
                differences=answer.differences,
                case_id=answer.case_id,
                stage=answer.stage,
                at_ms=self._office.clock.now_ms(),
            )
        )
        self._crops.wanted(answer)
        if answer.case_id and self.session.case_id == answer.case_id:
            self._cases.open(answer.case_id, fits)

    async def abort(self) -> None:
        """Lock first, always; why is asked afterwards."""
        self._stopped_token = self.session.token_id
        for sticker in self.session.stickers:
            if sticker.state in ("print", "stick"):
                self._desk.leave_label(sticker)
        self._desk.step(facts.Aborted())
        self._cases.drop()
        await self._device.ask(messages.RelockRequest(close_grant=True), messages.Accepted)

    def give_reason(self, reason: str, text: str) -> None:
        """Why the keeper stopped; both may be empty."""
        if self.session.stopped and (reason or text):
            words = f"{reason}: {text}" if reason and text else reason or text
            self._desk.note("stopped", about=self.session.stopped, words=words, token_id=self._stopped_token)
        self._desk.step(facts.ReasonGiven())

    def explain_alarm(self, text: str) -> None:
        """Raises: OutOfOrder, when nothing was written."""
        if not text.strip():
            raise OutOfOrder("Write what happened. Without it the alarm stays.")
        self._desk.note("extra_stroke", about=self.session.title, words=text.strip(), seq=self._desk.extra_seq)
        self._desk.step(facts.AlarmExplained())

    async def scan(self) -> dict[str, Any]:
        """Photograph paper for a new request; the device must be idle. Raises: GatewayError."""
        async with self._desk.turn:
            if self.session.busy:
                raise OutOfOrder("A job is open at this device. Finish or stop it first.")
            captured = await self._device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
            photo = await self._bulk.fetch(captured.photo_digest, urgent=True)
            return await self._office.head_office.scan(
                self._device.device_id, event=await self._carrying.event(captured.seq), photo=photo
            )


def _started(job: dict[str, Any], token: Token | None, granted: messages.Granted, *, now_ms: int) -> facts.Started:
    """What the token says wins over what the list of jobs said: a voucher's job is an ordinary one while online."""
    plan = Plan(
        request_id=job["request_id"],
        title=job["title"],
        pages=tuple((int(page["page"]), int(page.get("copy", 1))) for page in job["pages"]),
        papers=look.papers(job["pages"]),
        mode=job.get("mode", "single"),
        page_check=job.get("page_check", "before"),
        pages_total=int(job.get("pages_total", 0)),
        bound=bool(job.get("bound", False)),
        spares_left=int(job.get("spares_left", 0)),
        short=str(job.get("short") or ""),
    )
    sweep, until = 0, 0
    if token is not None:
        seal = token.seal
        named = next((name for bit, name in _MODES if seal.mode & bit), "")
        mode = named or ("batch" if seal.mode & Mode.BATCH else "single")
        check = {PageCheck.BEFORE: "before", PageCheck.AFTER: "after", PageCheck.NONE: "none"}[seal.page_check]
        plan = Plan(**{f: getattr(plan, f) for f in plan.__slots__} | {"mode": mode, "page_check": check})
        if seal.mode & Mode.SWEEP and seal.first_page is not None and seal.last_page is not None:
            sweep = seal.last_page - seal.first_page + 1
        until = now_ms + token.exi_s * 1000 if token.exi_s is not None else token.expires_at * 1000
    return facts.Started(
        plan=plan, token_id=granted.token_id.hex(), strokes=granted.strokes_left, sweep_pages=sweep, until_ms=until
    )


def _passes(error: GatewayError) -> bool:
    return isinstance(error, HeadOfficeUnreachable) or (isinstance(error, HeadOfficeRefused) and error.code in _PASSES)


def _read(data: bytes) -> Token | None:
    """The claims, unverified: what the screen shows. The device decides."""
    try:
        return tokens.read(cose.parse1(data).payload)
    except ProtocolError:
        return None


def _nonce_of_token(data: bytes) -> bytes | None:
    token = _read(data)
    return token.nonce if token else None


def nonce_of_permit(data: bytes) -> bytes | None:
    try:
        return from_map(Permit, cbor.decode_map(cose.parse1(data).payload)).stroke_nonce
    except ProtocolError:
        return None
