"""Messages of the control link: deterministic CBOR `[ver, type, msg_id, body]` of at most 512 bytes.

Requests go gateway -> device, each answered by one reply with the same msg_id; a retry has the same msg_id and gets
the cached reply. Notices go device -> gateway unasked and are not answered; nothing is lost with a notice, it only
says "look".
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

from firmware_protocol import cbor
from firmware_protocol.errors import Malformed, UnknownMessage
from firmware_protocol.events import MAX_EVENT, ResetCause
from firmware_protocol.framing import MAX_MESSAGE
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.orders import Terms
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import MAX_TOKEN

VERSION: Final = 1
MAX_MSG_ID: Final = 0xFFFF
REPLY: Final = 0x80
"""A reply's type is its request's with this bit set."""


class State(IntEnum):
    """What the latch and the session are doing."""

    LOCKED = 0
    GRANTED = 1
    PAGE_SEEN = 2
    UNLOCKED = 3
    PRESSED = 4
    TAMPERED = 5
    SUSPENDED = 6
    FAULT = 7


class Feature(IntEnum):
    """Bits of Hello.features."""

    INLINE_CODER = 1
    BULK_LINK = 2
    LIGHT_STRIP = 4
    BATCH = 8
    CONTINUOUS = 16
    STRADDLE = 32
    VOUCHERS = 64
    SWEEP = 128
    OPERATOR_PIN = 256


# --- requests


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloRequest:
    """Type 0x01. Never changes the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRequest:
    """Type 0x02: a fresh nonce for one token; the one before it dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    """Type 0x03."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelockRequest:
    """Type 0x04: lock now, cancel the stroke, close the grant. Always allowed."""

    close_grant: bool = label(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """Type 0x05: here is a token. Answered by Granted or Refused."""

    token: bytes = label(1, most=MAX_TOKEN)
    title: str | None = label(
        2, most=60, optional=True
    )  # for the device's display; not signed, shown as "says the gateway"
    short: str | None = label(3, most=16, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """Type 0x06: photograph the page on the tray for the next stroke. Answered by Captured or Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRequest:
    """Type 0x07: here is a permit for the photo just taken. Answered by Unlocked or Refused."""

    permit: bytes = label(1, most=320)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEventRequest:
    """Type 0x08: the signed event with this sequence number."""

    seq: int = label(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequest:
    """Type 0x09: the ledger holds what the receipt names; the device may delete it."""

    receipt: bytes = label(1, most=480)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """Type 0x0A."""

    policy: bytes = label(1, most=320)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRequest:
    """Type 0x0B: signed server time over this boot's nonce (HelloReply.boot_nonce)."""

    time: bytes = label(1, most=320)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCommitRequest:
    """Type 0x0C: the server commits to its terms. Only within the pairing window."""

    commitment: bytes = label(1, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTermsRequest:
    """Type 0x0D: the terms behind the commitment. The device shows six digits and waits for its person."""

    terms: Terms = label(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStatusRequest:
    """Type 0x0E: has the person at the device confirmed? The gateway asks until PAIRED or Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestRequest:
    """Type 0x0F: sign head hash, sequence number and counter for an auditor's nonce."""

    nonce: bytes = label(1, size=16)


# --- replies


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Type 0x81."""

    proto_min: int = label(1)
    proto_max: int = label(2)
    device_id: str = label(3, most=12)
    model: str = label(4, most=24)
    firmware: str = label(5, most=16)
    public_key: bytes = label(6, size=32)
    generation: int = label(7)
    boot: int = label(8)
    reset_cause: ResetCause = label(9)
    boot_nonce: bytes = label(10, size=16)
    last_seq: int = label(11)
    acked_seq: int = label(12)
    chain_hash: bytes = label(13, size=32)
    epoch: int = label(14)
    max_message: int = label(15)
    features: int = label(16)
    paired: bool = label(17)
    counter: int = label(18)
    heads: tuple[bytes, ...] = label(19, size=8, most=8)  # head id per slot; 8 zero bytes: empty slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Type 0x82."""

    nonce: bytes = label(1, size=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Type 0x83 and, as a notice, 0x40."""

    state: State = label(1)
    last_seq: int = label(2)
    acked_seq: int = label(3)
    counter: int = label(4)
    page_present: bool = label(5)
    cover_closed: bool = label(6)
    journal_free: int = label(7)  # per cent
    token_id: bytes | None = label(8, size=16, optional=True)
    strokes_left: int | None = label(9, optional=True)
    page_still: bool | None = label(10, optional=True)
    uptime_ms: int | None = label(11, optional=True)
    battery: int | None = label(12, optional=True)  # per cent
    temperature: int | None = label(13, optional=True)  # kelvin
    last_reason: Reason | None = label(14, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Type 0x84 (Relock), 0x89 (Receipt), 0x8A (Policy), 0x8B (Time), 0x8D (PairTerms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Type 0x85."""

    token_id: bytes = label(1, size=16)
    strokes_left: int = label(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """Type 0x86. PAGE_SEEN with these facts is in the journal, signed, under `seq`."""

    seq: int = label(1)
    stroke: int = label(2)
    preview_digest: bytes = label(3, size=32)
    photo_digest: bytes = label(4, size=32)
    stroke_nonce: bytes = label(5, size=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """Type 0x87: INTENT is durable and the latch is free for one stroke."""

    stroke: int = label(1)
    window_ms: int = label(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """Type 0x88."""

    event: bytes = label(1, most=MAX_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDevice:
    """Type 0x8C."""

    device_id: str = label(1, most=12)
    public_key: bytes = label(2, size=32)
    nonce: bytes = label(3, size=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStatus:
    """Type 0x8E."""

    confirmed: bool = label(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Type 0x8F: COSE_Sign1, purpose seal/1/attest, over [nonce, device id, generation, seq, chain hash, counter]."""

    signed: bytes = label(1, most=320)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Type 0xFF: no, and why. The lock did not move."""

    request_type: int = label(1)
    reason: Reason = label(2)
    detail: str | None = label(3, most=120, optional=True)


# --- notices


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNotice:
    """Type 0x40: something changed; the same facts as Status."""

    status: Status = label(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingNotice:
    """Type 0x41: a person opened the device's pairing window."""

    open: bool = label(1)


Message: TypeAlias = (
    HelloRequest
    | ChallengeRequest
    | StatusRequest
    | RelockRequest
    | TokenRequest
    | CaptureRequest
    | PermitRequest
    | ReadEventRequest
    | ReceiptRequest
    | PolicyRequest
    | TimeRequest
    | PairCommitRequest
    | PairTermsRequest
    | PairStatusRequest
    | AttestRequest
    | Hello
    | Challenge
    | Status
    | Granted
    | Captured
    | Unlocked
    | SignedEvent
    | PairDevice
    | PairStatus
    | Attestation
    | Refused
    | Accepted
    | StatusNotice
    | PairingNotice
)

TYPE_OF: Final[dict[type[Any], int]] = {
    HelloRequest: 0x01,
    ChallengeRequest: 0x02,
    StatusRequest: 0x03,
    RelockRequest: 0x04,
    TokenRequest: 0x05,
    CaptureRequest: 0x06,
    PermitRequest: 0x07,
    ReadEventRequest: 0x08,
    ReceiptRequest: 0x09,
    PolicyRequest: 0x0A,
    TimeRequest: 0x0B,
    PairCommitRequest: 0x0C,
    PairTermsRequest: 0x0D,
    PairStatusRequest: 0x0E,
    AttestRequest: 0x0F,
    StatusNotice: 0x40,
    PairingNotice: 0x41,
    Hello: 0x81,
    Challenge: 0x82,
    Status: 0x83,
    Accepted: 0x84,
    Granted: 0x85,
    Captured: 0x86,
    Unlocked: 0x87,
    SignedEvent: 0x88,
    PairDevice: 0x8C,
    PairStatus: 0x8E,
    Attestation: 0x8F,
    Refused: 0xFF,
}
_CLASS_OF: Final = {number: cls for cls, number in TYPE_OF.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    msg_id: int
    message: Message


def encode(message: Message, *, msg_id: int) -> bytes:
    """Raises: Malformed, when the message would not fit MAX_MESSAGE."""
    data = cbor.encode([VERSION, TYPE_OF[type(message)], msg_id, to_map(message)])
    if len(data) > MAX_MESSAGE:
        raise Malformed(f"{type(message).__name__} has {len(data)} bytes, at most {MAX_MESSAGE}")
    return data


def decode(data: bytes) -> Envelope:
    """Raises: Malformed, UnknownMessage (which keeps the msg_id, so that it can be answered)."""
    match cbor.decode(data):
        case [int() as version, int() as number, int() as msg_id, dict() as body]:
            pass
        case _:
            raise Malformed("a message is [version, type, msg_id, body]")
    if version != VERSION:
        raise Malformed(f"protocol version {version}, this side speaks {VERSION}")
    if not 0 <= msg_id <= MAX_MSG_ID:
        raise Malformed(f"msg_id {msg_id} does not fit 16 bits")
    cls = _CLASS_OF.get(number)
    if cls is None:
        raise UnknownMessage(message_type=number, msg_id=msg_id)
    # A newer device may say more about itself; nothing else may.
    return Envelope(msg_id=msg_id, message=from_map(cls, body, ignore_unknown=cls in (Hello, Status)))
