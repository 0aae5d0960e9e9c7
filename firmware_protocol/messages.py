"""Messages of the control link: deterministic CBOR `[ver, type, msg_id, body]` of at most 512 bytes.

Requests (requests.py) go gateway -> device, each answered by one reply (answers.py) with the same msg_id; a retry has
the same msg_id and gets the cached reply. Notices go device -> gateway unasked and are not answered; nothing is lost
with a notice, it only says "look".
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from firmware_protocol import cbor
from firmware_protocol.answers import (
    ANSWER_TYPES,
    Accepted,
    Answer,
    Attestation,
    Captured,
    Challenge,
    Feature,
    Granted,
    Hello,
    Identified,
    Labelled,
    Looked,
    PairDevice,
    PairingNotice,
    PairStatus,
    PasskeyChallenge,
    Refused,
    SignedEvent,
    Spoiled,
    State,
    Status,
    StatusNotice,
    Swept,
    Unlocked,
)
from firmware_protocol.errors import Malformed, UnknownMessage
from firmware_protocol.framing import MAX_MESSAGE
from firmware_protocol.labelled import from_map, to_map
from firmware_protocol.requests import (
    REQUEST_TYPES,
    AttestRequest,
    CaptureRequest,
    ChallengeRequest,
    HelloRequest,
    LabelRequest,
    LookRequest,
    OperatorLeaveRequest,
    OperatorRequest,
    PairCommitRequest,
    PairStatusRequest,
    PairTermsRequest,
    PasskeyChallengeRequest,
    PasskeyRequest,
    PermitRequest,
    PolicyRequest,
    ReadEventRequest,
    ReceiptRequest,
    RelockRequest,
    Request,
    RosterRequest,
    SpoilRequest,
    StatusRequest,
    SweepEndRequest,
    TimeRequest,
    TokenRequest,
)

__all__ = [
    "MAX_MSG_ID",
    "REPLY",
    "TYPE_OF",
    "VERSION",
    "Accepted",
    "AttestRequest",
    "Attestation",
    "CaptureRequest",
    "Captured",
    "Challenge",
    "ChallengeRequest",
    "Envelope",
    "Feature",
    "Granted",
    "Hello",
    "HelloRequest",
    "Identified",
    "LabelRequest",
    "Labelled",
    "LookRequest",
    "Looked",
    "Message",
    "OperatorLeaveRequest",
    "OperatorRequest",
    "PairCommitRequest",
    "PairDevice",
    "PairStatus",
    "PairStatusRequest",
    "PairTermsRequest",
    "PairingNotice",
    "PasskeyChallenge",
    "PasskeyChallengeRequest",
    "PasskeyRequest",
    "PermitRequest",
    "PolicyRequest",
    "ReadEventRequest",
    "ReceiptRequest",
    "Refused",
    "RelockRequest",
    "RosterRequest",
    "SignedEvent",
    "SpoilRequest",
    "Spoiled",
    "State",
    "Status",
    "StatusNotice",
    "StatusRequest",
    "SweepEndRequest",
    "Swept",
    "TimeRequest",
    "TokenRequest",
    "Unlocked",
    "decode",
    "encode",
]

VERSION: Final = 1
MAX_MSG_ID: Final = 0xFFFF
REPLY: Final = 0x80
"""A reply's type is its request's with this bit set; Accepted and Refused have one number each."""

Message: TypeAlias = Request | Answer
TYPE_OF: Final[dict[type[Any], int]] = REQUEST_TYPES | ANSWER_TYPES
_CLASS_OF: Final = {number: cls for cls, number in TYPE_OF.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    msg_id: int
    message: Message


def encode(message: Message, *, msg_id: int) -> bytes:
    """Raises: Malformed, when the message would not fit MAX_MESSAGE."""
    data = cbor.encode_in_order([VERSION, TYPE_OF[type(message)], msg_id, to_map(message)])
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
    return Envelope(msg_id=msg_id, message=from_map(cls, body))
