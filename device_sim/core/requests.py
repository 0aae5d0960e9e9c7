"""What the device answers to each request. What may be obeyed: checks.py; in which order: states.py."""

from device_sim.core import checks
from device_sim.core.checks import No, Nonce
from device_sim.core.log import Attached, EventLog, Identity
from device_sim.core.memory import Memory, receipt_record
from device_sim.core.pairing import Pairing
from device_sim.core.ports import Parts
from device_sim.core.stamping import Stamping
from device_sim.core.states import Step
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.events import Cause, ResetCause
from firmware_protocol.framing import MAX_MESSAGE
from firmware_protocol.messages import Feature, Message
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

FEATURES = Feature.INLINE_CODER | Feature.BULK_LINK | Feature.LIGHT_STRIP


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
    ) -> None:
        self._identity = identity
        self._cause = cause
        self._parts = parts
        self._log = log
        self._time = time
        self._stamping = stamping
        self._pairing = pairing
        self._challenge: Nonce | None = None

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
            case messages.TokenRequest(token=token):
                return self._take_token(token)
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

    def _read_event(self, seq: int) -> Message | No:
        event = self._log.journal.event(seq)
        if event is None:
            return No(reason=Reason.OUT_OF_ORDER, detail=f"there is no event {seq}, or a receipt covered it")
        return messages.SignedEvent(event=event)

    def _attest(self, nonce: bytes) -> Message:
        memory, counter = self._memory, self._parts.counter.read()
        head = [memory.generation, memory.seq, memory.chain_hash]
        statement = cbor.encode([nonce, self._identity.device_id, *head, counter])
        return messages.Attestation(signed=cose.sign1(statement, key=self._parts.key, purpose=Purpose.ATTEST))

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

    def _take_token(self, data: bytes) -> Message | No:
        token = checks.authentic_token(data, self._memory)
        if isinstance(token, No):
            return token
        if data == self._memory.token:  # the reply was lost with the gateway's memory; nothing new is granted
            return messages.Granted(token_id=token.token_id, strokes_left=self._stamping.strokes_left or 0)
        nonce = self._challenge
        if nonce is None or nonce.value != token.nonce:
            nonce = None
        else:
            self._challenge = None  # single use, whatever the other claims say
        no = checks.check_token(
            token, memory=self._memory, device_id=self._identity.device_id, nonce=nonce, moment=self._time.moment
        )
        if no is not None or nonce is None:
            return no or No(reason=Reason.WRONG_NONCE, detail="no challenge is out")
        self._log.journal.check_alive()
        self._stamping.check_order(Step.TOKEN_ACCEPTED)
        if not self._log.journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt", token_id=token.token_id)
        self._stamping.grant(token, signed=data, nonce_made_ms=nonce.made_ms)
        return messages.Granted(token_id=token.token_id, strokes_left=token.seal.max_strokes)

    def _take_permit(self, data: bytes) -> Message | No:
        permit = self._stamping.check_permit(data, device_id=self._identity.device_id)
        if isinstance(permit, No):
            return permit
        self._log.journal.check_alive()
        self._stamping.unlock(permit, signed=data)
        return messages.Unlocked(stroke=permit.stroke, window_ms=self._stamping.window_ms)

    def _take_receipt(self, data: bytes) -> Message | No:
        receipt = checks.check_receipt(data, memory=self._memory, device_id=self._identity.device_id)
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
        policy = checks.check_policy(data, memory=self._memory, device_id=self._identity.device_id)
        if isinstance(policy, No):
            return policy
        body = events.PolicySet(epoch=policy.epoch, suspended=policy.suspended, policy_digest=checks.digest(data))
        if policy.suspended:
            self._stamping.close(Cause.BY_KEEPER)
        self._log.write(Attached(body=body, attachment=data))
        self._challenge = None
        return messages.Accepted()

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
