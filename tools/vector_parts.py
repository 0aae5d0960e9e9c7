"""What the golden vectors are made of: published keys, one value of every message, event and order.

Keys are the secret seeds of RFC 8032 section 7.1, tests 1 to 3, so anybody can reproduce every signature.
"""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol import cbor, cose, events, messages, operators, orders, pairing, tokens, trace
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

SEEDS: Final = {
    "issuer": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",  # RFC 8032 7.1 test 1
    "device": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",  # RFC 8032 7.1 test 2
    "stranger": "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",  # RFC 8032 7.1 test 3
}
DEVICE: Final = "CB-4F7K92QX"
T0: Final = 1_793_000_000


class Key:
    def __init__(self, seed: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


KEYS: Final = {name: Key(seed) for name, seed in SEEDS.items()}
ISSUER, DEVICE_KEY, STRANGER = KEYS["issuer"], KEYS["device"], KEYS["stranger"]


def fill(byte: int, size: int) -> bytes:
    return bytes([byte]) * size


TOKEN_ID, NONCE, HEAD = fill(0xC7, 16), fill(0x4E, 16), fill(0x8E, 8)
OPERATOR, SALT, PIN = fill(0xAB, 4), fill(0x5A, 8), "246810"
DOCUMENT, PHOTO, PREVIEW = fill(0xD0, 32), fill(0xF0, 32), fill(0xE0, 32)
CODE: Final = trace.sign(
    trace.TraceCode(use=TOKEN_ID[:8], document=DOCUMENT[:16], counter=4711, head=HEAD[:4]), key=DEVICE_KEY
)


def token(**changes: Any) -> tokens.Token:  # noqa: ANN401 - any claim
    seal: dict[str, Any] = {
        "slot": 1,
        "max_strokes": 2,
        "policy": 0,
        "epoch": 3,
        "window_s": 120,
        "document_digest": DOCUMENT,
        "head_id": HEAD,
    }
    seal |= changes.pop("seal", {})
    facts: dict[str, Any] = {
        "device_id": DEVICE,
        "issued_at": T0,
        "not_before": T0,
        "expires_at": T0 + 600,
        "token_id": TOKEN_ID,
        "nonce": NONCE,
        "exi_s": 300,
    }
    return tokens.Token(seal=tokens.SealClaims(**seal), **(facts | changes))


def claims(value: tokens.Token) -> dict[int, Any]:
    return cbor.decode_map(cose.parse1(tokens.issue(value, key=ISSUER)).payload)


def event(body: events.Body, *, seq: int = 17, time_ms: int | None = T0 * 1000) -> bytes:
    header = events.Header(
        device_id=DEVICE,
        generation=1,
        seq=seq,
        boot=3,
        event_type=events.type_of(body),
        uptime_ms=123_456,
        counter=4711,
        head_id=HEAD,
        firmware="1.0.0",
        previous=fill(0xAA, 32),
        time_ms=time_ms,
    )
    return events.sign(events.Event(header=header, body=body), key=DEVICE_KEY)


TERMS: Final = orders.Terms(
    installation_id=fill(1, 16),
    issuer_keys=(ISSUER.public_key, fill(0x12, 32), fill(0x13, 32), fill(0x14, 32), fill(0x15, 32)),
    recovery_key=fill(2, 32),
    root_key=fill(3, 32),
    server_nonce=fill(4, 16),
    trace_host="seal.example.com",
)
STATUS: Final = messages.Status(
    state=messages.State.GRANTED,
    last_seq=17,
    acked_seq=12,
    counter=4711,
    page_present=True,
    cover_closed=True,
    journal_free=93,
    token_id=TOKEN_ID,
    strokes_left=2,
    page_still=True,
    operator=OPERATOR,
    ink=62,
)
MESSAGES: Final[tuple[messages.Message, ...]] = (
    messages.HelloRequest(),
    messages.ChallengeRequest(),
    messages.StatusRequest(),
    messages.RelockRequest(close_grant=True),
    messages.TokenRequest(token=tokens.issue(token(), key=ISSUER), title="Office lease", short="K7-42"),
    messages.CaptureRequest(),
    messages.PermitRequest(permit=fill(0xBE, 200)),
    messages.ReadEventRequest(seq=17),
    messages.ReceiptRequest(receipt=fill(0xBE, 180)),
    messages.PolicyRequest(policy=fill(0xBE, 120)),
    messages.TimeRequest(time=fill(0xBE, 120)),
    messages.PairCommitRequest(commitment=pairing.commitment(TERMS)),
    messages.PairTermsRequest(terms=TERMS),
    messages.PairStatusRequest(),
    messages.AttestRequest(nonce=NONCE),
    messages.OperatorRequest(operator=OPERATOR, method=1, proof=operators.proof(PIN, salt=SALT)),
    messages.OperatorLeaveRequest(),
    messages.RosterRequest(roster=fill(0xBE, 480)),
    messages.SweepEndRequest(),
    messages.LabelRequest(token_id=TOKEN_ID, stroke=1),
    messages.SpoilRequest(token_id=TOKEN_ID, stroke=1),
    messages.PasskeyChallengeRequest(),
    messages.PasskeyRequest(
        operator=OPERATOR,
        credential=fill(0xCE, 8),
        authenticator_data=fill(0xAD, 37),
        client_data=b'{"type":"webauthn.get"}',
        signature=fill(0x51, 64),
    ),
    messages.LookRequest(),
    messages.StatusNotice(status=STATUS),
    messages.PairingNotice(open=True),
    messages.Hello(
        proto_min=1,
        proto_max=1,
        device_id=DEVICE,
        model="cinnabar-sim",
        firmware="1.0.0",
        public_key=DEVICE_KEY.public_key,
        generation=1,
        boot=3,
        reset_cause=events.ResetCause.POWER,
        boot_nonce=NONCE,
        last_seq=17,
        acked_seq=12,
        chain_hash=fill(0xAA, 32),
        epoch=3,
        max_message=512,
        features=7,
        paired=True,
        counter=4711,
        heads=(HEAD, bytes(8)),
    ),
    messages.Challenge(nonce=NONCE),
    STATUS,
    messages.Accepted(),
    messages.Granted(token_id=TOKEN_ID, strokes_left=2),
    messages.Captured(seq=17, stroke=1, preview_digest=PREVIEW, photo_digest=PHOTO, stroke_nonce=NONCE),
    messages.Unlocked(stroke=1, window_ms=120_000),
    messages.SignedEvent(event=fill(0xBE, 300)),
    messages.PairDevice(device_id=DEVICE, public_key=DEVICE_KEY.public_key, nonce=NONCE),
    messages.PairStatus(confirmed=True),
    messages.Attestation(signed=fill(0xBE, 200)),
    messages.Swept(seen=40, expected=40, digest=fill(9, 32)),
    messages.Labelled(seq=19, preview_digest=PREVIEW, photo_digest=PHOTO),
    messages.Spoiled(seq=20, preview_digest=PREVIEW, photo_digest=PHOTO),
    messages.PasskeyChallenge(nonce=NONCE),
    messages.Identified(event=fill(0xBE, 320)),
    messages.Looked(digest=PREVIEW, place=(73, 52, 927, 52, 927, 918, 73, 918)),
    messages.Refused(request_type=5, reason=Reason.EXPIRED, detail="12 s ago"),
)
BODIES: Final[tuple[events.Body, ...]] = (
    events.Boot(cause=events.ResetCause.POWER, public_key=DEVICE_KEY.public_key),
    events.Paired(
        installation_id=fill(1, 16),
        terms_digest=pairing.commitment(TERMS),
        root_key=fill(3, 32),
        public_key=DEVICE_KEY.public_key,
    ),
    events.Grant(token_id=TOKEN_ID, token_digest=fill(5, 32), max_strokes=2),
    events.PageSeen(
        token_id=TOKEN_ID, stroke=1, preview_digest=PREVIEW, photo_digest=PHOTO, stroke_nonce=NONCE, page=2
    ),
    events.Intent(token_id=TOKEN_ID, stroke=1, permit_digest=fill(6, 32), page=2),
    events.Done(token_id=TOKEN_ID, stroke=1, preview_digest=PREVIEW, photo_digest=PHOTO, trace_code=CODE),
    events.Cancelled(token_id=TOKEN_ID, stroke=1, cause=events.Cause.TIMED_OUT, returned=True),
    events.Settled(token_id=TOKEN_ID, stroke=1, outcome=events.Outcome.UNKNOWN),
    events.Closed(token_id=TOKEN_ID, strokes_used=2, cause=events.Cause.USED_UP),
    events.Refusal(message_type=5, reason=Reason.REPLAYED, token_id=TOKEN_ID),
    events.Tamper(sensor="cover"),
    events.ExtraStroke(strokes=1, token_id=TOKEN_ID, photo_digest=PHOTO),
    events.Label(token_id=TOKEN_ID, copy=1, trace_code=CODE, photo_digest=PHOTO),
    events.HeadChanged(slot=1, old_head=HEAD, new_head=fill(0x9E, 8), sample_digest=PHOTO),
    events.PolicySet(epoch=4, suspended=False, policy_digest=fill(7, 32)),
    events.TimeSet(unix_ms=T0 * 1000, drift_ms=40),
    events.Sensor(sensor="battery", value=81),
    events.Reset(order_digest=fill(8, 32)),
    events.PagesSwept(token_id=TOKEN_ID, seen=40, expected=40, digest=fill(9, 32)),
    events.Operator(operator=fill(0xAB, 4), method=1, present=True),
    events.Firmware(version="1.1.0", image_digest=fill(10, 32), manifest_seq=12),
    events.Lost(from_seq=3, to_seq=5, order_digest=fill(11, 32)),
    events.Spoiled(token_id=TOKEN_ID, stroke=1, preview_digest=PREVIEW, photo_digest=PHOTO),
    events.Service(
        order_digest=fill(8, 32), kind=orders.ServiceKind.CHANGE_HEAD, stage=events.ServiceStage.BEGUN, slot=1
    ),
)


def good(name: str, data: bytes, rule: str, **more: str | int) -> dict[str, Any]:
    return {"name": name, "hex": data.hex(), "rule": rule, **more}


def bad(name: str, data: bytes, refused: str) -> dict[str, Any]:
    return {"name": name, "hex": data.hex(), "refused": refused}


def resigned(payload: bytes, *, key: Key = ISSUER, purpose: Purpose = Purpose.TOKEN) -> bytes:
    return cose.sign1(payload, key=key, purpose=purpose)


def shown(value: Any) -> Any:  # noqa: ANN401 - any CBOR value
    """A decoded value in JSON: labels as text, byte strings as h'..' (RFC 8949 section 8)."""
    match value:
        case bytes():
            return f"h'{value.hex()}'"
        case dict():
            return {str(key): shown(item) for key, item in value.items()}
        case list():
            return [shown(item) for item in value]
        case _:
            return value
