"""The public answer to a code: four outcomes, and what may be told with each. It judges the code, not the paper."""

from dataclasses import dataclass
from enum import StrEnum

from firmware_protocol import trace
from firmware_protocol.errors import ProtocolError
from server.public.snapshot import PublicCode, PublicSeal, Reader, SealState, Status
from server.verification.code import code_hash, signer_of
from server.verification.trust import DeviceStatus, Standing


class Outcome(StrEnum):
    KNOWN = "known"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"
    CANNOT_CONFIRM = "cannot_confirm"


class Why(StrEnum):
    """What stands behind CANNOT_CONFIRM."""

    NONE = ""
    NOT_RECORDED = "not_recorded"  # signed by a device of ours; its report has not arrived yet
    NOT_CONFIRMED = "not_confirmed"
    DISPUTED = "disputed"
    KEY = "key"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    outcome: Outcome
    why: Why = Why.NONE
    code: PublicCode | None = None
    seal: PublicSeal | None = None


UNKNOWN = Answer(outcome=Outcome.UNKNOWN)


def judge(text: str, reader: Reader, *, now: int) -> Answer:
    """The answer to a scanned code (its base32) or a typed short code; never raises on input. `now`: Unix seconds."""
    try:
        found = reader.typed(trace.normalise_short_code(text))
    except ProtocolError:
        return _scanned(text, reader, now)
    return _recorded(found, reader, now) if found else UNKNOWN


def _scanned(text: str, reader: Reader, now: int) -> Answer:
    try:
        signed = trace.parse_url(text)
    except ProtocolError:
        return UNKNOWN
    found = signer_of(signed, reader.trust)
    if found is None:
        return UNKNOWN
    record = reader.by_hash.get(code_hash(signed))
    device = found[1]
    if record is not None and record.status is Status.WITHDRAWN:
        pass  # whatever became of the device
    elif reader.trust.withdrawn_since(code_hash(signed)) is not None:
        return Answer(outcome=Outcome.WITHDRAWN, code=record)
    elif device is not None and device.status is DeviceStatus.COMPROMISED:
        return Answer(outcome=Outcome.CANNOT_CONFIRM, why=Why.KEY)
    if record is None:
        return Answer(outcome=Outcome.CANNOT_CONFIRM, why=Why.NOT_RECORDED)
    return _recorded(record, reader, now)


def _recorded(code: PublicCode, reader: Reader, now: int) -> Answer:
    seal = reader.seals.get(code.seal_id)
    outcome, why = Outcome.KNOWN, Why.NONE
    if code.status is Status.WITHDRAWN:
        outcome = Outcome.WITHDRAWN
    elif reader.trust.standing(pinned=[reader.trust.root_key], now=now) is not Standing.TRUSTED:
        outcome, why = Outcome.CANNOT_CONFIRM, Why.STALE
    elif code.status is Status.NOT_CONFIRMED or seal is None:
        outcome, why = Outcome.CANNOT_CONFIRM, Why.NOT_CONFIRMED
    elif seal.state is SealState.DISPUTED:
        outcome, why = Outcome.CANNOT_CONFIRM, Why.DISPUTED
    return Answer(outcome=outcome, why=why, code=code, seal=seal)
