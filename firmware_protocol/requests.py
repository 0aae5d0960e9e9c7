"""What a gateway asks of a device: one class per request, its type number beside it."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from firmware_protocol.labelled import label
from firmware_protocol.orders import Terms
from firmware_protocol.passkeys import AUTHENTICATOR_DATA_SIZE, CREDENTIAL_SIZE, MAX_CLIENT_DATA, SIGNATURE_SIZE
from firmware_protocol.tokens import MAX_TOKEN


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """Type 0x10: who stands at the device. `proof`: operators.proof of the PIN or badge, made by the gateway."""

    operator: bytes = label(1, size=4)
    method: int = label(2)  # 1 PIN, 2 badge
    proof: bytes = label(3, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorLeaveRequest:
    """Type 0x11: the operator goes; an open grant is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRequest:
    """Type 0x12: one signed part of the list of people who may identify themselves here."""

    roster: bytes = label(1, most=480)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyChallengeRequest:
    """Type 0x16: a fresh nonce for one sign-in with a passkey; the one before it dies. Answered by PasskeyChallenge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRequest:
    """Type 0x17: who stands at the device, by a passkey over the nonce. Answered by Identified or Refused."""

    operator: bytes = label(1, size=4)
    credential: bytes = label(2, size=CREDENTIAL_SIZE)
    authenticator_data: bytes = label(3, size=AUTHENTICATOR_DATA_SIZE)
    client_data: bytes = label(4, most=MAX_CLIENT_DATA)
    signature: bytes = label(5, size=SIGNATURE_SIZE)  # r || s


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEndRequest:
    """Type 0x13: the last page was leafed. Answered by Swept or Refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """Type 0x14: photograph the sheet with the label of that stroke stuck on. Answered by Labelled or Refused."""

    token_id: bytes = label(1, size=16)
    stroke: int = label(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoilRequest:
    """Type 0x15: print CANCELLED on the sheet of that stroke and photograph it. Answered by Spoiled or Refused."""

    token_id: bytes = label(1, size=16)
    stroke: int = label(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequest:
    """Type 0x18: a small picture of the tray for whoever lays the page. Answered by Looked or Refused."""


Request: TypeAlias = (
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
    | OperatorRequest
    | OperatorLeaveRequest
    | RosterRequest
    | SweepEndRequest
    | LabelRequest
    | SpoilRequest
    | PasskeyChallengeRequest
    | PasskeyRequest
    | LookRequest
)

REQUEST_TYPES: Final[dict[type[Any], int]] = {
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
    OperatorRequest: 0x10,
    OperatorLeaveRequest: 0x11,
    RosterRequest: 0x12,
    SweepEndRequest: 0x13,
    LabelRequest: 0x14,
    SpoilRequest: 0x15,
    PasskeyChallengeRequest: 0x16,
    PasskeyRequest: 0x17,
    LookRequest: 0x18,
}
