"""The device: messages in, replies and notices out. What a stamping is lives in stamping.py, what may be obeyed in checks.py."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from device_sim.core import checks, settle
from device_sim.core.checks import No, Nonce
from device_sim.core.errors import OutOfOrder, StorageFailed
from device_sim.core.journal import CAPACITY, RESERVE, Journal
from device_sim.core.limits import RefusalBudget
from device_sim.core.log import Attached, EventLog, Identity
from device_sim.core.memory import NO_HEAD, Memory, receipt_record
from device_sim.core.pairing import WINDOW_MS, PairingWindow
from device_sim.core.ports import NoShot, Parts, Shot
from device_sim.core.replies import Replies
from device_sim.core.stamping import Stamping
from device_sim.core.states import Step
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Body, Cause, ResetCause
from firmware_protocol.framing import MAX_MESSAGE
from firmware_protocol.labelled import to_map
from firmware_protocol.messages import Feature, Message, State
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

FEATURES: Final = Feature.INLINE_CODER | Feature.BULK_LINK | Feature.LIGHT_STRIP
STILL_MS: Final = 150
"""A page that did not move for so long lies still."""
RESTART_MS: Final = 1_000
"""How long after its storage failed the device tries again, as after a power cut."""
TORN_SENSOR: Final = "journal-torn"
"""SENSOR event: so many bytes of the journal were cut at boot, because a power cut had torn them."""

_ASKING: Final = (messages.StatusRequest, messages.ReadEventRequest, messages.PairStatusRequest)
"""Requests that change nothing: always answered afresh, never from the cache."""
_SIGNED: Final = (
    messages.TokenRequest,
    messages.PermitRequest,
    messages.ReceiptRequest,
    messages.PolicyRequest,
    messages.TimeRequest,
)
"""Requests that carry a signed object; a refusal of one is an event."""


class Device:
    """Sans-I/O: the driver calls the methods one at a time, sends what `take_outgoing` gives, and calls `tick` often."""

    def __init__(
        self, *, identity: Identity, parts: Parts, cause: ResetCause = ResetCause.POWER, capacity: int = CAPACITY
    ) -> None:
        """Boots: folds the journal, settles what the power cut left open. The latch is held before anything else."""
        self._identity = identity
        self._parts = parts
        self._capacity = capacity
        self._outgoing: list[bytes] = []
        self._cover_closed = True
        self._shown: messages.Status | None = None
        self._start(cause)

    def _start(self, cause: ResetCause) -> None:
        parts = self._parts
        parts.latch.hold()
        self._cause = cause
        self._time = Timekeeper(clock=parts.clock, rng=parts.rng)
        self._journal = Journal(parts.disk, capacity=self._capacity)
        self._log = EventLog(
            identity=self._identity,
            journal=self._journal,
            key=parts.key,
            counter=parts.counter,
            time=self._time,
            boot=self.memory.boot + 1,
        )
        self._fault = False
        self._fault_until_ms = 0
        with self._guarded():
            self._log.write(*self._boot_events(cause))
            parts.photos.keep_only(self.memory.photos)
        self._stamping = Stamping(parts=parts, log=self._log, time=self._time)
        self._replies = Replies()
        self._refusals = RefusalBudget(now_ms=self._time.uptime_ms)
        self._challenge: Nonce | None = None
        self._window: PairingWindow | None = None
        self._waiting: dict[int, tuple[bytes, int]] = {}
        self._tray_changed_ms = -STILL_MS
        self._last_reason: Reason | None = None

    def _boot_events(self, cause: ResetCause) -> list[Body]:
        torn: list[Body] = [events.Sensor(sensor=TORN_SENSOR, value=self._journal.torn)] if self._journal.torn else []
        boot = events.Boot(cause=cause, public_key=self._parts.key.public_key)
        if self.memory.seq == 0:
            return [*torn, boot]
        counter = self._parts.counter.read()
        return [*torn, boot, *settle.after_boot(self.memory, counter=counter, key=self._parts.key)]

    # --- what the driver sees ---------------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        return self._journal.memory

    @property
    def state(self) -> State:
        return State.FAULT if self._fault else self._stamping.state

    @property
    def digits(self) -> str | None:
        """Six digits on the device's display while a pairing waits for its person."""
        return self._window.digits if self._window else None

    @property
    def status(self) -> messages.Status:
        camera, token = self._parts.camera, self.memory.open_token()
        return messages.Status(
            state=self.state,
            last_seq=self.memory.seq,
            acked_seq=self.memory.acked_seq,
            counter=self._parts.counter.read(),
            page_present=camera.page_present,
            cover_closed=self._cover_closed,
            journal_free=self._journal.free_percent,
            token_id=None if token is None else token.token_id,
            strokes_left=self._stamping.strokes_left,
            page_still=camera.page_present and self._time.uptime_ms - self._tray_changed_ms >= STILL_MS,
            uptime_ms=self._time.uptime_ms,
            last_reason=self._last_reason,
        )

    def take_outgoing(self) -> list[bytes]:
        """Messages to send, in order; each is given once."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    # --- what happens to the device -----------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """One message from the control link. Garbage without a msg_id is not answered."""
        try:
            envelope = messages.decode(data)
        except ProtocolError as error:
            self._refuse_unread(data, error)
            return
        if self._replies.is_known(data):
            reply = self._replies.find(data)
            self._outgoing += [] if reply is None else [reply]
            return
        if isinstance(envelope.message, messages.HelloRequest):
            self._replies.clear()
        elif not isinstance(envelope.message, _ASKING):
            self._replies.begin(data)
        number = messages.TYPE_OF[type(envelope.message)]
        answer: Message | No | int
        try:
            with self._noticing():
                answer = self._answer(envelope.message)
                if isinstance(answer, int):
                    self._waiting[answer] = (data, envelope.msg_id)
                else:
                    self._reply(data, envelope.msg_id, self._said(answer, number))
        except (OutOfOrder, StorageFailed) as error:
            self._reply(data, envelope.msg_id, self._said(self._why(error), number))
            self._notice()

    def photographed(self, number: int, outcome: Shot | NoShot) -> None:
        """A photo that the camera was told to take is there, or is not."""
        with self._noticing(), self._guarded():
            answer: messages.Captured | No | None
            try:
                answer = self._stamping.page_photographed(number, outcome)
            except StorageFailed as error:
                answer = self._why(error)
            if answer is None:
                self._stamping.stroke_photographed(number, outcome)
            elif number in self._waiting:
                data, msg_id = self._waiting.pop(number)
                self._reply(data, msg_id, self._said(answer, messages.TYPE_OF[messages.CaptureRequest]))

    def lever_pulled(self) -> None:
        """Somebody pulled the lever, with or without a press."""
        with self._noticing(), self._guarded():
            self._stamping.lever_pulled()

    def tray_changed(self) -> None:
        """A sheet was laid, moved or taken away."""
        with self._noticing(), self._guarded():
            self._tray_changed_ms = self._time.uptime_ms
            self._stamping.tray_changed()

    def cover_moved(self, *, closed: bool) -> None:
        """An opened cover latches TAMPERED; closing it does not take that back."""
        with self._noticing(), self._guarded():
            opened = self._cover_closed and not closed
            self._cover_closed = closed
            if opened:
                self._stamping.close(Cause.TAMPERED)
                self._log.write(events.Tamper(sensor="cover"))

    def head_seen(self, slot: int, head: bytes | None) -> None:
        """The reader in a slot sees this head now. Another head than before ends the grant."""
        with self._noticing(), self._guarded():
            old = self.memory.heads[slot]
            if old == (head or NO_HEAD):
                return
            self._stamping.close(Cause.TAMPERED)
            self._log.write(events.HeadChanged(slot=slot, old_head=None if old == NO_HEAD else old, new_head=head))

    def press_pairing_button(self) -> bool:
        """Opens the pairing window. False: this device belongs to somebody."""
        if self.memory.paired or self._fault:
            return False
        closes_ms = self._time.uptime_ms + WINDOW_MS
        self._window = PairingWindow(closes_ms=closes_ms, nonce=self._parts.rng.token_bytes(NONCE_SIZE))
        self._send(messages.PairingNotice(open=True), msg_id=0)
        return True

    def confirm_pairing(self) -> bool:
        """The person at the device compared the digits. False: there is nothing to confirm."""
        terms = self._window.terms if self._window else None
        if terms is None or self.memory.paired:
            return False
        paired = events.Paired(
            installation_id=terms.installation_id,
            issuer_key=terms.issuer_key,
            root_key=terms.root_key,
            public_key=self._parts.key.public_key,
        )
        with self._noticing(), self._guarded():
            self._log.write(Attached(body=paired, attachment=cbor.encode(to_map(terms))))
            self._window = None
        return self.memory.paired

    def tick(self) -> None:
        """Let deadlines pass; call at least every 50 ms."""
        with self._noticing(), self._guarded():
            if self._fault:
                if self._time.uptime_ms >= self._fault_until_ms and self._parts.disk.free_bytes() > RESERVE:
                    self._start(ResetCause.WATCHDOG)
                return
            self._stamping.tick()
            if self._window and self._time.uptime_ms >= self._window.closes_ms:
                self._window = None
                self._send(messages.PairingNotice(open=False), msg_id=0)

    # --- requests -----------------------------------------------------------------------------------------------------------

    def _answer(self, request: Message) -> Message | No | int:  # noqa: C901, PLR0911, PLR0912 - one line for each message
        """The reply, a refusal, or the number of the photo that has to be there first."""
        match request:
            case messages.HelloRequest():
                return self._hello()
            case messages.StatusRequest():
                return self.status
            case messages.ChallengeRequest():
                return self._make_challenge()
            case messages.RelockRequest(close_grant=close_grant):
                return self._relock(close_grant=close_grant)
            case messages.TokenRequest(token=token):
                return self._take_token(token)
            case messages.CaptureRequest():
                self._refuse_in_fault()
                return self._stamping.photograph_page()
            case messages.PermitRequest(permit=permit):
                return self._take_permit(permit)
            case messages.ReadEventRequest(seq=seq):
                return self._read_event(seq)
            case messages.ReceiptRequest(receipt=receipt):
                return self._take_receipt(receipt)
            case messages.PolicyRequest(policy=policy):
                return self._take_policy(policy)
            case messages.TimeRequest(time=time):
                return self._take_time(time)
            case messages.PairCommitRequest(commitment=commitment):
                return self._pair_commit(commitment)
            case messages.PairTermsRequest():
                return self._pair_terms(request)
            case messages.PairStatusRequest():
                return self._pair_status()
            case messages.AttestRequest(nonce=nonce):
                return self._attest(nonce)
            case _:
                return No(reason=Reason.UNKNOWN_MESSAGE, detail="a device answers this, it doesn't obey it")

    def _hello(self) -> messages.Hello:
        memory = self.memory
        return messages.Hello(
            proto_min=messages.VERSION,
            proto_max=messages.VERSION,
            device_id=self._identity.device_id,
            model=self._identity.model,
            firmware=self._identity.firmware,
            public_key=self._parts.key.public_key,
            generation=memory.generation,
            boot=memory.boot,
            reset_cause=self._cause,
            boot_nonce=self._time.offer_nonce(),
            last_seq=memory.seq,
            acked_seq=memory.acked_seq,
            chain_hash=memory.chain_hash,
            epoch=memory.epoch,
            max_message=MAX_MESSAGE,
            features=FEATURES,
            paired=memory.paired,
            counter=self._parts.counter.read(),
            heads=memory.heads,
        )

    def _make_challenge(self) -> Message | No:
        if not self.memory.paired:
            return No(reason=Reason.NOT_PAIRED, detail="this device belongs to nobody yet")
        self._refuse_in_fault()
        self._stamping.check_order(Step.TOKEN_ACCEPTED)
        self._challenge = Nonce(value=self._parts.rng.token_bytes(NONCE_SIZE), made_ms=self._time.uptime_ms)
        return messages.Challenge(nonce=self._challenge.value)

    def _take_token(self, data: bytes) -> Message | No:
        token = checks.authentic_token(data, self.memory)
        if isinstance(token, No):
            return token
        if data == self.memory.token:  # the reply was lost with the gateway's memory; nothing new is granted
            return messages.Granted(token_id=token.token_id, strokes_left=self._stamping.strokes_left or 0)
        nonce = self._challenge
        if nonce is not None and nonce.value == token.nonce:
            self._challenge = None
        allowed = checks.check_token(
            token, memory=self.memory, device_id=self._identity.device_id, nonce=nonce, moment=self._time.moment
        )
        if isinstance(allowed, No) or nonce is None:
            return allowed if isinstance(allowed, No) else No(reason=Reason.WRONG_NONCE, detail="no challenge is out")
        self._refuse_in_fault()
        self._stamping.check_order(Step.TOKEN_ACCEPTED)
        if not self._journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt", token_id=token.token_id)
        self._stamping.grant(token, signed=data, nonce_made_ms=nonce.made_ms)
        return messages.Granted(token_id=token.token_id, strokes_left=token.seal.max_strokes)

    def _take_permit(self, data: bytes) -> Message | No:
        permit = self._stamping.check_permit(data, device_id=self._identity.device_id)
        if isinstance(permit, No):
            return permit
        self._refuse_in_fault()
        self._stamping.unlock(permit, signed=data)
        return messages.Unlocked(stroke=permit.stroke, window_ms=self._stamping.window_ms)

    def _relock(self, *, close_grant: bool) -> Message:
        self._parts.latch.hold()
        if close_grant:
            self._stamping.close(Cause.BY_KEEPER)
        else:
            self._stamping.cancel(Cause.BY_KEEPER)
        return messages.Accepted()

    def _read_event(self, seq: int) -> Message | No:
        event = self._journal.event(seq)
        if event is None:
            return No(reason=Reason.OUT_OF_ORDER, detail=f"there is no event {seq}, or a receipt covered it")
        return messages.SignedEvent(event=event)

    def _take_receipt(self, data: bytes) -> Message | No:
        receipt = checks.check_receipt(data, memory=self.memory, device_id=self._identity.device_id)
        if isinstance(receipt, No):
            return receipt
        named = [digest for digest in receipt.photo_digests if digest in self.memory.photos]
        if named or receipt.up_to_seq > self.memory.acked_seq:
            self._journal.append([receipt_record(data)])
        for digest in named:
            self._parts.photos.forget(digest)
        self._journal.compact()
        return messages.Accepted()

    def _take_policy(self, data: bytes) -> Message | No:
        if checks.digest(data) == self.memory.policy_digest:
            return messages.Accepted()
        policy = checks.check_policy(data, memory=self.memory, device_id=self._identity.device_id)
        if isinstance(policy, No):
            return policy
        body = events.PolicySet(epoch=policy.epoch, suspended=policy.suspended, policy_digest=checks.digest(data))
        if policy.suspended:
            self._stamping.close(Cause.BY_KEEPER)
        self._log.write(Attached(body=body, attachment=data))
        self._challenge = None
        return messages.Accepted()

    def _take_time(self, data: bytes) -> Message | No:
        nonce, uptime_ms = self._time.open_nonce(), self._time.uptime_ms
        signed = checks.check_time(
            data, memory=self.memory, device_id=self._identity.device_id, nonce=nonce, now_ms=uptime_ms
        )
        if isinstance(signed, No):
            return signed
        drift_ms = self._time.set(signed.unix_ms)
        self._log.write(events.TimeSet(unix_ms=signed.unix_ms, drift_ms=drift_ms))
        return messages.Accepted()

    def _pair_commit(self, commitment: bytes) -> Message | No:
        window = self._open_window()
        if isinstance(window, No):
            return window
        return window.commit(commitment) or messages.PairDevice(
            device_id=self._identity.device_id, public_key=self._parts.key.public_key, nonce=window.nonce
        )

    def _pair_terms(self, request: messages.PairTermsRequest) -> Message | No:
        window = self._open_window()
        if isinstance(window, No):
            return window
        no = window.reveal(request.terms, device_id=self._identity.device_id, device_key=self._parts.key.public_key)
        return no or messages.Accepted()

    def _pair_status(self) -> Message | No:
        window = self._open_window()
        if self.memory.paired or isinstance(window, PairingWindow):
            return messages.PairStatus(confirmed=self.memory.paired)
        return window

    def _open_window(self) -> PairingWindow | No:
        if self.memory.paired:
            return No(reason=Reason.ALREADY_PAIRED, detail="this device belongs to somebody")
        return self._window or No(reason=Reason.PAIRING_CLOSED, detail="press the pairing button first")

    def _attest(self, nonce: bytes) -> Message:
        memory, counter = self.memory, self._parts.counter.read()
        statement = [nonce, self._identity.device_id, memory.generation, memory.seq, memory.chain_hash, counter]
        return messages.Attestation(
            signed=cose.sign1(cbor.encode(statement), key=self._parts.key, purpose=Purpose.ATTEST)
        )

    # --- answers ------------------------------------------------------------------------------------------------------------

    def _said(self, answer: Message | No, request_type: int) -> Message:
        """The answer as a message; a refusal of a signed object also becomes an event."""
        if not isinstance(answer, No):
            return answer
        self._last_reason = answer.reason
        if messages._CLASS_OF[request_type] in _SIGNED and not self._fault:
            self._write_refusal(answer, request_type)
        return messages.Refused(request_type=request_type, reason=answer.reason, detail=answer.detail[:120])

    def _write_refusal(self, no: No, request_type: int) -> None:
        if self._journal.free_bytes < 2 * RESERVE or not self._refusals.take(self._time.uptime_ms):
            return
        with self._guarded():
            self._log.write(events.Refusal(message_type=request_type, reason=no.reason, token_id=no.token_id))

    def _refuse_unread(self, data: bytes, error: ProtocolError) -> None:
        """A message that is none, but says which one it wanted to be."""
        try:
            match cbor.decode(data):
                case [int(), int() as number, int() as msg_id, *_] if (
                    0 <= number <= 0xFF and 0 <= msg_id <= messages.MAX_MSG_ID
                ):
                    pass
                case _:
                    return
        except ProtocolError:
            return
        known = number in messages.TYPE_OF.values()
        reason = Reason.MALFORMED if known else Reason.UNKNOWN_MESSAGE
        self._send(messages.Refused(request_type=number, reason=reason, detail=str(error)[:120]), msg_id=msg_id)

    def _why(self, error: OutOfOrder | StorageFailed) -> No:
        if isinstance(error, StorageFailed):
            self._fail()
            return No(reason=Reason.STORAGE_FAILED, detail="the device can't write; nothing moved")
        reason = {
            State.TAMPERED: Reason.TAMPERED,
            State.FAULT: Reason.STORAGE_FAILED,
            State.LOCKED: Reason.NO_GRANT,
        }.get(self.state, Reason.BUSY if "TOKEN" in error.step else Reason.OUT_OF_ORDER)
        return No(reason=reason, detail=str(error))

    def _refuse_in_fault(self) -> None:
        if self._fault:
            raise StorageFailed("the storage failed before")

    def _fail(self) -> None:
        """The storage let us down: hold the latch and say so, until a restart finds it working."""
        self._parts.latch.hold()
        self._fault = True
        self._fault_until_ms = self._time.uptime_ms + RESTART_MS

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A failed write turns into FAULT."""
        try:
            yield
        except StorageFailed:
            self._fail()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """What the step changed goes out as a notice behind its reply."""
        yield
        self._notice()

    def _notice(self) -> None:
        status = self.status
        shown = dataclasses.replace(status, uptime_ms=None, journal_free=0)
        if shown != self._shown:
            self._shown = shown
            self._send(messages.StatusNotice(status=status), msg_id=0)

    def _reply(self, request: bytes, msg_id: int, message: Message) -> None:
        reply = messages.encode(message, msg_id=msg_id)
        self._replies.end(request, reply)
        self._outgoing.append(reply)

    def _send(self, message: Message, *, msg_id: int) -> None:
        self._outgoing.append(messages.encode(message, msg_id=msg_id))
