"""What the device answers to each request. What may be obeyed: checks.py; in which order: states.py."""

from typing import Final

from device_sim.core import checks, rights, service, standing
from device_sim.core.checks import Moment, No, Nonce
from device_sim.core.log import EventLog, Identity
from device_sim.core.memory import Memory, receipt_record
from device_sim.core.operators import Operators
from device_sim.core.pairing import Pairing
from device_sim.core.ports import Parts
from device_sim.core.sensors import Sensors
from device_sim.core.sheets import Sheets
from device_sim.core.stamping import Stamping
from device_sim.core.states import Step
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from device_sim.core.viewfinder import Viewfinder
from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.events import Cause, ResetCause
from firmware_protocol.framing import MAX_MESSAGE
from firmware_protocol.messages import Feature, Message, State
from firmware_protocol.orders import ServiceKind
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Token

_FEATURES: Final = (
    Feature.BULK_LINK
    | Feature.LIGHT_STRIP
    | Feature.BATCH
    | Feature.CONTINUOUS
    | Feature.STRADDLE
    | Feature.VOUCHERS
    | Feature.SWEEP
    | Feature.OPERATOR_PIN
    | Feature.OPERATOR_PASSKEY
    | Feature.LOOK
)


class Requests:
    """One boot's worth of answers. The outstanding challenge is in RAM: it dies with the power."""

    def __init__(
        self,
        *,
        identity: Identity,
        cause: ResetCause,
        parts: Parts,
        log: EventLog,
        time: Timekeeper,
        stamping: Stamping,
        pairing: Pairing,
        sensors: Sensors,
        sheets: Sheets,
        viewfinder: Viewfinder,
    ) -> None:
        self._identity = identity
        self._cause = cause
        self._parts = parts
        self._log = log
        self._time = time
        self._stamping = stamping
        self._pairing = pairing
        self._sensors = sensors
        self._sheets = sheets
        self._viewfinder = viewfinder
        self._operators = Operators(device_id=identity.device_id, log=log, time=time, stamping=stamping, rng=parts.rng)
        self._challenge: Nonce | None = None
        self.title: str | None = None
        """Of the open grant, as the gateway says it; with `short` for the device's display."""
        self.short: str | None = None

    def answer(self, request: Message) -> Message | No | int:  # noqa: PLR0911 - one case, one return
        """The reply, a refusal, or the number of the photo that has to be there first.

        Raises: OutOfOrder, StorageFailed.
        """
        match request:
            case messages.HelloRequest():
                return self._hello()
            case messages.ReadEventRequest(seq=seq):
                return self._read_event(seq)
            case messages.AttestRequest(nonce=nonce):
                return self._attest(nonce)
            case messages.RelockRequest(close_grant=close_grant):
                return self._relock(close_grant=close_grant)
            case messages.PairStatusRequest():
                return self._pairing.status()
            case messages.PairCommitRequest(commitment=commitment):
                return self._pairing.commit(commitment)
            case messages.PairTermsRequest(terms=terms):
                return self._pairing.reveal(terms)
            case _:
                return self._answer_order(request)

    def _answer_order(self, request: Message) -> Message | No | int:  # noqa: PLR0911 - one case, one return
        """Requests that lead to a stroke, or carry a signed object."""
        match request:
            case messages.ChallengeRequest():
                return self._make_challenge()
            case messages.TokenRequest():
                return self._take_token(request)
            case messages.CaptureRequest():
                self._log.journal.check_alive()
                return self._stamping.photograph_page()
            case messages.PermitRequest(permit=permit):
                return self._take_permit(permit)
            case messages.ReceiptRequest(receipt=receipt):
                return self._take_receipt(receipt)
            case messages.PolicyRequest(policy=policy):
                return self._take_policy(policy)
            case messages.TimeRequest(time=time):
                return self._take_time(time)
            case _:
                return self._answer_people(request)

    def _answer_people(self, request: Message) -> Message | No | int:  # noqa: PLR0911 - one case, one return
        """Requests about who stands there, and about sheets around the strokes."""
        match request:
            case messages.OperatorRequest():
                return self._operators.sign_in(request)
            case messages.OperatorLeaveRequest():
                return self._operators.leave()
            case messages.PasskeyChallengeRequest():
                return self._operators.passkey_challenge()
            case messages.PasskeyRequest():
                return self._operators.sign_in_passkey(request)
            case messages.RosterRequest(roster=roster):
                return self._operators.take_roster(roster)
            case messages.SweepEndRequest():
                self._log.journal.check_alive()
                return self._stamping.end_sweep()
            case messages.LabelRequest(token_id=token_id, stroke=stroke):
                self._log.journal.check_alive()
                return self._sheets.label(token_id, stroke)
            case messages.SpoilRequest(token_id=token_id, stroke=stroke):
                self._log.journal.check_alive()
                return self._sheets.spoil(token_id, stroke)
            case messages.LookRequest():
                self._log.journal.check_alive()
                return self._viewfinder.look()
            case _:
                return No(reason=Reason.UNKNOWN_MESSAGE, detail="a device says this, it doesn't obey it")

    @property
    def _memory(self) -> Memory:
        return self._log.memory

    def _hello(self) -> messages.Hello:
        memory = self._memory
        return messages.Hello(
            proto_min=messages.VERSION,
            proto_max=messages.VERSION,
            device_id=self._identity.device_id,
            model=self._identity.model,
            firmware=self._identity.firmware,
            public_key=self._log.key.public_key,
            generation=memory.generation,
            boot=memory.boot,
            reset_cause=self._cause,
            boot_nonce=self._time.offer_nonce(),
            last_seq=memory.seq,
            acked_seq=memory.acked_seq,
            chain_hash=memory.chain_hash,
            epoch=memory.epoch,
            max_message=MAX_MESSAGE,
            features=_FEATURES | (Feature.INLINE_CODER if self._identity.inline_coder else 0),
            paired=memory.paired,
            counter=self._parts.counter.read(),
            heads=memory.heads,
        )

    def _read_event(self, seq: int) -> Message | No:
        event = self._log.journal.event(seq)
        if event is None:
            return No(reason=Reason.OUT_OF_ORDER, detail=f"there is no event {seq}, or a receipt covered it")
        return messages.SignedEvent(event=event)

    def _attest(self, nonce: bytes) -> Message:
        memory, counter = self._memory, self._parts.counter.read()
        head = [memory.generation, memory.seq, memory.chain_hash]
        statement = cbor.encode([nonce, self._identity.device_id, *head, counter])
        return messages.Attestation(signed=cose.sign1(statement, key=self._log.key, purpose=Purpose.ATTEST))

    def _relock(self, *, close_grant: bool) -> Message:
        self._parts.latch.hold()
        if close_grant:
            self._stamping.close(Cause.BY_KEEPER)
        else:
            self._stamping.cancel(Cause.BY_KEEPER)
        return messages.Accepted()

    def _make_challenge(self) -> Message | No:
        if not self._memory.paired:
            return No(reason=Reason.NOT_PAIRED, detail="this device belongs to nobody yet")
        self._log.journal.check_alive()
        self._stamping.check_order(Step.TOKEN_ACCEPTED)
        self._challenge = Nonce(value=self._parts.rng.token_bytes(NONCE_SIZE), made_ms=self._time.uptime_ms)
        return messages.Challenge(nonce=self._challenge.value)

    def _take_token(self, request: messages.TokenRequest) -> Message | No:
        data = request.token
        token = rights.authentic_token(data, self._memory)
        if isinstance(token, No):
            return token
        if data == self._memory.token:  # the reply was lost with the gateway's memory; nothing new is granted
            return messages.Granted(token_id=token.token_id, strokes_left=self._stamping.strokes_left or 0)
        nonce = self._challenge
        if nonce is None or nonce.value != token.nonce:
            nonce = None
        else:
            self._challenge = None  # single use, whatever the other claims say
        moment = self._time.moment
        no = rights.check_token(
            token, memory=self._memory, device_id=self._identity.device_id, nonce=nonce, moment=moment
        )
        if no is not None:
            return no
        self._log.journal.check_alive()
        self._stamping.check_order(Step.TOKEN_ACCEPTED)
        if not self._log.journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt", token_id=token.token_id)
        self._stamping.grant(token, signed=data, ends_ms=_ends_ms(token, nonce, moment))
        self.title, self.short = request.title, request.short
        return messages.Granted(token_id=token.token_id, strokes_left=token.seal.max_strokes)

    def _take_permit(self, data: bytes) -> Message | No:
        permit = self._stamping.check_permit(data, device_id=self._identity.device_id)
        if isinstance(permit, No):
            return permit
        self._log.journal.check_alive()
        self._stamping.unlock(permit, signed=data)
        return messages.Unlocked(stroke=permit.stroke, window_ms=self._stamping.window_ms)

    def _take_receipt(self, data: bytes) -> Message | No:
        receipt = checks.check_receipt(
            data, memory=self._memory, device_id=self._identity.device_id, chain_hash=self._log.journal.hash_at
        )
        if isinstance(receipt, No):
            return receipt
        named = [digest for digest in receipt.photo_digests if digest in self._memory.photos]
        if named or receipt.up_to_seq > self._memory.acked_seq:
            self._log.journal.append([receipt_record(data)])
        for digest in named:
            self._parts.photos.forget(digest)
        self._log.journal.compact()
        return messages.Accepted()

    def _take_policy(self, data: bytes) -> Message | No:
        if checks.digest(data) == self._memory.policy_digest:
            return messages.Accepted()
        policy = standing.check_policy(data, memory=self._memory, device_id=self._identity.device_id)
        if isinstance(policy, No):
            return policy
        no = self._cannot_serve(policy.service)
        if no is not None:
            return no
        if policy.suspended or policy.service is not None:
            self._stamping.close(Cause.BY_KEEPER)
        if policy.service is ServiceKind.RELEASE:
            self._operators.leave()
        self._log.write(*service.ordered(policy, data))
        if policy.service is ServiceKind.CLEAR_TAMPER:
            self._sensors.cleared()
        if policy.service in _OPENS:
            self._stamping.begin_service()
        self._challenge = None
        return messages.Accepted()

    def _cannot_serve(self, kind: ServiceKind | None) -> No | None:
        """Why a service cannot begin now."""
        if kind is None:
            return None
        opens = kind in _OPENS
        return checks.first_no(
            (self._stamping.state in _MOVING, Reason.BUSY, "the stroke under way comes first"),
            (not self._log.journal.has_room, Reason.JOURNAL_FULL, "too much waits for a receipt"),
            (not opens and not self._sensors.cover_closed, Reason.COVER_OPEN, "close the cover first"),
            (opens and self._memory.tampered, Reason.TAMPERED, "two persons have to clear that first"),
            (
                kind is ServiceKind.RELEASE and bool(self._memory.photos),
                Reason.BUSY,
                "photos still wait for a receipt",
            ),
            (
                kind is ServiceKind.RELEASE and self._parts.later_key is None,
                Reason.NOT_SUPPORTED,
                "this device cannot make another key",
            ),
        )

    def _take_time(self, data: bytes) -> Message | No:
        nonce, now_ms = self._time.open_nonce(), self._time.uptime_ms
        signed = checks.check_time(
            data, memory=self._memory, device_id=self._identity.device_id, nonce=nonce, now_ms=now_ms
        )
        if isinstance(signed, No):
            return signed
        drift_ms = self._time.set(signed.unix_ms)
        self._log.write(events.TimeSet(unix_ms=signed.unix_ms, drift_ms=drift_ms))
        return messages.Accepted()


_OPENS: Final = (ServiceKind.CHANGE_HEAD, ServiceKind.REFILL_INK)
_MOVING: Final = (State.UNLOCKED, State.PRESSED)


def _ends_ms(token: Token, nonce: Nonce | None, moment: Moment) -> int:
    """Uptime until which strokes of the grant may begin: the lease, or for a voucher its expiry."""
    if nonce is not None:
        return nonce.made_ms + (token.exi_s or 0) * 1000
    return moment.now_ms + token.expires_at * 1000 - (moment.unix_ms or 0)
