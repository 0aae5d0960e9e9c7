"""What a device says: a reply to each request, and notices that nobody asked for."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, TypeAlias

from firmware_protocol.events import MAX_EVENT, ResetCause
from firmware_protocol.labelled import label
from firmware_protocol.reasons import Reason


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
    SERVICE = 8
    """The cover may be open and a head out: two persons ordered it."""
    SWEEPING = 9
    """Pages are leafed through under the camera before the first stroke."""


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
    OPERATOR_PASSKEY = 512
    LOOK = 1024


# --- replies


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Type 0x81. A newer device may say more about itself."""

    GROWS: ClassVar[bool] = True

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
    """Type 0x83 and, as a notice, 0x40. A newer device may say more about itself."""

    GROWS: ClassVar[bool] = True

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
    operator: bytes | None = label(15, size=4, optional=True)  # who is signed in
    pages_swept: int | None = label(16, optional=True)  # in the sweep under way
    ink: int | None = label(17, optional=True)  # per cent, the device's own estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Type 0x84: Relock, Receipt, Policy, Time, PairTerms, Operator, OperatorLeave and Roster were obeyed."""


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
class Swept:
    """Type 0x93. PAGES_SWEPT is durable; with `seen` below `expected` the sweep goes on."""

    seen: int = label(1)
    expected: int = label(2)
    digest: bytes = label(3, size=32)  # SHA-256 over the page photo digests in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Type 0x94. LABEL is in the journal under `seq`."""

    seq: int = label(1)
    preview_digest: bytes = label(2, size=32)
    photo_digest: bytes = label(3, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """Type 0x95. SPOILED is in the journal under `seq`."""

    seq: int = label(1)
    preview_digest: bytes = label(2, size=32)
    photo_digest: bytes = label(3, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyChallenge:
    """Type 0x96: 16 fresh bytes; the authenticator signs over passkeys.challenge of them."""

    nonce: bytes = label(1, size=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Type 0x97: the passkey fits. `event` is the signed OPERATOR, which tells headquarters so at once."""

    event: bytes = label(1, most=MAX_EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Type 0x98: the picture waits at the bulk link until the next one; nothing is signed, written or counted.

    `place`: where an A4 sheet at the stops lies in it: x, y of its corners from the top left one clockwise, in
    thousandths of the picture's width and height.
    """

    digest: bytes = label(1, size=32)
    place: tuple[int, ...] = label(2, most=8)


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


Answer: TypeAlias = (
    Hello
    | Challenge
    | Status
    | Accepted
    | Granted
    | Captured
    | Unlocked
    | SignedEvent
    | PairDevice
    | PairStatus
    | Attestation
    | Swept
    | Labelled
    | Spoiled
    | PasskeyChallenge
    | Identified
    | Looked
    | Refused
    | StatusNotice
    | PairingNotice
)

ANSWER_TYPES: Final[dict[type[Any], int]] = {
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
    Swept: 0x93,
    Labelled: 0x94,
    Spoiled: 0x95,
    PasskeyChallenge: 0x96,
    Identified: 0x97,
    Looked: 0x98,
    Refused: 0xFF,
}
