"""Writes tests/vectors/*.json. Run it only when the protocol version changes; the tests fail on any other difference.

Keys are the secret seeds of RFC 8032 section 7.1, tests 1 to 3, so anybody can reproduce every signature.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol import (
    bulk,
    cbor,
    cose,
    events,
    fragments,
    framing,
    messages,
    operators,
    orders,
    pairing,
    tokens,
    trace,
)
from firmware_protocol.labelled import to_map
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "vectors"
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


def frames() -> list[dict[str, Any]]:
    message = messages.encode(messages.HelloRequest(), msg_id=1)
    frame = framing.encode_frame(message)
    zeros = framing.encode_frame(messages.encode(messages.PairCommitRequest(commitment=bytes(32)), msg_id=0))
    flipped = bytearray(frame)
    flipped[3] ^= 1
    return [
        good("hello", frame, "frame", message=message.hex()),
        good("zeros", zeros, "frame", message=framing.decode_body(zeros.strip(b"\0")).hex()),
        bad("flipped bit", bytes(flipped), "bad_frame"),
        bad("cut short", frame[:-3] + b"\0", "bad_frame"),
        bad("only a checksum", b"\x00\x05abcd\x00", "bad_frame"),
    ]


def fragment_vectors() -> list[dict[str, Any]]:
    """`hex` is the message, `fragments` is what travels; refused: nothing comes out of them."""
    hello = messages.encode(messages.HelloRequest(), msg_id=1)
    longest = bytes(range(256)) * 2
    vectors: list[dict[str, Any]] = []
    for name, message, mtu in (
        ("one fragment", hello, 23),
        ("16 bytes are two fragments", fill(1, 16), 23),
        ("15 bytes are one", fill(1, 15), 23),
        ("longest at MTU 23", longest, 23),
        ("longest at MTU 185", longest, 185),
        ("longest at MTU 247", longest, 247),
        ("longest at MTU 517: 512 bytes a fragment", longest, 517),
    ):
        cuts = [one.hex() for one in fragments.cut(message, size=fragments.room(mtu))]
        vectors.append({**good(name, message, "fragments"), "mtu": mtu, "fragments": cuts})
    begun = fragments.cut(longest, size=fragments.room(185))
    only = fragments.cut(hello, size=fragments.room(23))[0]
    flipped = only[:-1] + bytes([only[-1] ^ 1])
    for name, wrong in (
        ("first fragment lost", begun[1:]),
        ("middle fragment lost", [begun[0], begun[2]]),
        ("last fragment lost", begun[:-1]),
        ("middle fragment twice", [begun[0], begun[1], begun[1], begun[2]]),
        ("two fragments swapped", [begun[1], begun[0], begun[2]]),
        ("begun anew in the middle", [begun[0], begun[0], begun[2]]),
        ("flipped bit", [flipped]),
        ("no header", [b""]),
        ("only a checksum", [b"\x80abcd"]),
        ("longer than a message", [*fragments.cut(longest, size=fragments.room(517))[:1], b"\x01" + bytes(9), b"\x82"]),
    ):
        vectors.append({**bad(name, b"", "bad_frame"), "fragments": [one.hex() for one in wrong]})
    return vectors


def control() -> list[dict[str, Any]]:
    vectors = []
    for number, message in enumerate(MESSAGES):
        data = messages.encode(message, msg_id=number)
        cddl = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(message).__name__).lstrip("-")
        vectors.append(good(type(message).__name__, data, cddl, type=data[2] if data[2] != 0x18 else data[3]))
    plain = cbor.encode([1, 3, 9, {}])
    return [
        *vectors,
        bad("protocol version 2", cbor.encode([2, 3, 9, {}]), "malformed"),
        bad("unknown type", cbor.encode([1, 0x3F, 9, {}]), "unknown_message"),
        bad("msg_id of 17 bits", cbor.encode([1, 3, 65_536, {}]), "malformed"),
        bad("three items", cbor.encode([1, 3, 9]), "malformed"),
        bad("bytes after the end", plain + b"\x00", "malformed"),
        bad("indefinite array", bytes.fromhex("9f010309a0ff"), "malformed"),
        bad("length not shortest", bytes.fromhex("8401180309a0"), "malformed"),
        bad("duplicate key", bytes.fromhex("84010409a201f401f5"), "malformed"),
        bad("unsorted keys", bytes.fromhex("84010509a203614b014101"), "malformed"),
        bad("unknown label", cbor.encode([1, 8, 9, {1: 17, 2: 0}]), "unknown_claim"),
        bad("missing label", cbor.encode([1, 8, 9, {}]), "malformed"),
        bad("wrong type of value", cbor.encode([1, 8, 9, {1: "17"}]), "malformed"),
        bad("boolean for a number", cbor.encode([1, 8, 9, {1: True}]), "malformed"),
        bad("negative number", cbor.encode([1, 8, 9, {1: -1}]), "malformed"),
        bad("nonce of 15 bytes", cbor.encode([1, 15, 9, {1: fill(1, 15)}]), "malformed"),
        bad("a float", bytes.fromhex("84010809a101f93c00"), "malformed"),
        bad("a tag", bytes.fromhex("84010809a101c11a6ae00000"), "malformed"),
        bad("nested too deep", bytes.fromhex("840108098181818181818181818181a0"), "malformed"),
        bad("empty", b"", "malformed"),
    ]


def resigned(payload: bytes, *, key: Key = ISSUER, purpose: Purpose = Purpose.TOKEN) -> bytes:
    return cose.sign1(payload, key=key, purpose=purpose)


def with_header(header: dict[int, Any], payload: bytes, unprotected: dict[int, Any] | None = None) -> bytes:
    protected = cbor.encode(header)
    signature = ISSUER.sign(cbor.encode(["Signature1", protected, Purpose.TOKEN.aad, payload]))
    return b"\xd2" + cbor.encode([protected, unprotected or {}, payload, signature])


def token_vectors() -> list[dict[str, Any]]:
    signed = tokens.issue(token(), key=ISSUER)
    payload = cose.parse1(signed).payload
    full = token(
        expires_at=T0 + 86_400,
        seal={"max_strokes": 60_000, "epoch": 60_000, "operator": fill(0xAB, 4), "policy": int(tokens.Mode.BATCH)},
    )
    voucher = token(nonce=None, exi_s=None, seal={"voucher_counter": 9, "policy": 2 | int(tokens.Mode.VOUCHER)})
    kid = cose.key_id(ISSUER.public_key)
    flipped = bytearray(signed)
    flipped[60] ^= 1
    seal = claims(token())[tokens.SEAL]

    def changed(*, claims: dict[int, Any]) -> bytes:
        new = cbor.decode_map(payload)
        for number, value in claims.items():
            new.pop(number) if value is None else new.update({number: value})
        return resigned(cbor.encode(new))

    return [
        good("minimal", signed, "token-claims", length=len(signed)),
        good("full, one BLE packet at MTU 247", tokens.issue(full, key=ISSUER), "token-claims"),
        good("voucher", tokens.issue(voucher, key=ISSUER), "token-claims"),
        bad("signed for another purpose", resigned(payload, purpose=Purpose.PERMIT), "bad_signature"),
        bad("signed by a stranger", resigned(payload, key=STRANGER), "unknown_key"),
        bad("flipped bit", bytes(flipped), "bad_signature"),
        bad("algorithm -8", with_header({1: -8, 4: kid}, payload), "wrong_algorithm"),
        bad("algorithm HS256", with_header({1: 5, 4: kid}, payload), "wrong_algorithm"),
        bad("no algorithm", with_header({4: kid}, payload), "wrong_algorithm"),
        bad("no key id", with_header({1: -19}, payload), "malformed"),
        bad("key id of 8 bytes", with_header({1: -19, 4: kid * 2}, payload), "malformed"),
        bad("content type in the header", with_header({1: -19, 3: 60, 4: kid}, payload), "malformed"),
        bad("unprotected header not empty", with_header({1: -19, 4: kid}, payload, {4: kid}), "malformed"),
        bad("without its tag", signed[1:], "malformed"),
        bad("tag 98 (COSE_Sign)", b"\xd8\x62" + signed[1:], "malformed"),
        bad("bytes after the end", signed + b"\x00", "malformed"),
        bad("cut short", signed[:-1], "malformed"),
        bad("longer than 230 bytes", signed + bytes(80), "malformed"),
        bad("unknown claim", changed(claims={41: 1}), "unknown_claim"),
        bad("no audience", changed(claims={3: None}), "malformed"),
        bad("audience is a number", changed(claims={3: 7}), "malformed"),
        bad("token id of 15 bytes", changed(claims={7: fill(1, 15)}), "malformed"),
        bad("nonce of 15 bytes", changed(claims={39: fill(1, 15)}), "malformed"),
        bad("negative expiry", changed(claims={4: -1}), "malformed"),
        bad("unknown label in the seal map", changed(claims={tokens.SEAL: seal | {13: 1}}), "unknown_claim"),
        bad("page check 3", changed(claims={tokens.SEAL: seal | {3: 3}}), "unknown_claim"),
        bad("document digest of 31 bytes", changed(claims={tokens.SEAL: seal | {6: fill(1, 31)}}), "malformed"),
        bad("seal map missing", changed(claims={tokens.SEAL: None}), "malformed"),
    ]


def order_vectors() -> list[dict[str, Any]]:
    made: list[tuple[str, Any]] = [
        (
            "permit",
            orders.Permit(
                device_id=DEVICE,
                token_id=TOKEN_ID,
                stroke=1,
                page=2,
                page_digest=orders.page_digest(DOCUMENT, 2),
                photo_digest=PHOTO,
                stroke_nonce=NONCE,
            ),
        ),
        (
            "receipt",
            orders.Receipt(
                device_id=DEVICE, generation=1, up_to_seq=17, chain_hash=fill(0xAA, 32), photo_digests=(PHOTO, PREVIEW)
            ),
        ),
        ("signed-time", orders.SignedTime(device_id=DEVICE, boot_nonce=NONCE, unix_ms=T0 * 1000)),
        ("policy", orders.Policy(device_id=DEVICE, epoch=4, suspended=False, max_offline_strokes=0)),
        (
            "roster",
            orders.Roster(
                device_id=DEVICE,
                number=2,
                part=0,
                parts=1,
                entries=(
                    operators.entry(operator=OPERATOR, method=operators.Method.PIN, secret=PIN, salt=SALT).pack(),
                ),
            ),
        ),
    ]
    vectors = [good(rule, orders.sign(order, key=ISSUER), rule) for rule, order in made]
    for rule, order in made:
        payload = cbor.encode(to_map(order))
        purpose = orders.PURPOSE_OF[type(order)]
        extra = cbor.encode(to_map(order) | {40: 1})
        vectors += [
            {**bad(f"{rule} as a token", resigned(payload), "bad_signature"), "rule": rule},
            {
                **bad(f"{rule} by a stranger", resigned(payload, key=STRANGER, purpose=purpose), "unknown_key"),
                "rule": rule,
            },
            {**bad(f"{rule} with a label more", resigned(extra, purpose=purpose), "unknown_claim"), "rule": rule},
        ]
    return vectors


def event_vectors() -> list[dict[str, Any]]:
    vectors = [good(events.type_of(body).name, event(body), "event") for body in BODIES]
    done = event(BODIES[5])
    payload = cose.parse1(done).payload
    fields = cbor.decode_map(payload)
    key, purpose = DEVICE_KEY, Purpose.EVENT
    flipped = bytearray(done)
    flipped[-70] ^= 1
    return [
        *vectors,
        good("before signed time arrived", event(BODIES[0], seq=1, time_ms=None), "event"),
        bad("flipped bit", bytes(flipped), "bad_signature"),
        bad("signed as an entry", resigned(payload, key=key, purpose=Purpose.ENTRY), "bad_signature"),
        bad("signed by a stranger", resigned(payload, key=STRANGER, purpose=purpose), "unknown_key"),
        bad("unknown type", resigned(cbor.encode(fields | {5: 99}), key=key, purpose=purpose), "unknown_claim"),
        bad("body of another type", resigned(cbor.encode(fields | {5: 1}), key=key, purpose=purpose), "unknown_claim"),
        bad(
            "no body",
            resigned(cbor.encode({k: v for k, v in fields.items() if k != 11}), key=key, purpose=purpose),
            "malformed",
        ),
        bad(
            "device id of 13 characters",
            resigned(cbor.encode(fields | {1: "X" * 13}), key=key, purpose=purpose),
            "malformed",
        ),
        bad(
            "previous of 31 bytes",
            resigned(cbor.encode(fields | {10: fill(1, 31)}), key=key, purpose=purpose),
            "malformed",
        ),
    ]


def trace_vectors() -> list[dict[str, Any]]:
    url = trace.url(CODE, host="seal.example.com")
    flipped = bytearray(CODE)
    flipped[-1] ^= 1
    return [
        good("imprint", CODE, "trace-code", url=url, short=trace.short_code(CODE)),
        bad("flipped bit", bytes(flipped), "bad_signature"),
        bad("longer than 136 bytes", CODE + bytes(20), "malformed"),
        bad("an event is no trace code", event(BODIES[0]), "malformed"),
    ]


def pairing_vectors() -> list[dict[str, Any]]:
    digits = pairing.digits(TERMS, device_id=DEVICE, device_key=DEVICE_KEY.public_key, device_nonce=NONCE)
    terms = cbor.encode(to_map(TERMS))
    return [
        {
            "name": "six digits",
            "hex": terms.hex(),
            "rule": "terms",
            "commitment": pairing.commitment(TERMS).hex(),
            "device_id": DEVICE,
            "device_key": DEVICE_KEY.public_key.hex(),
            "device_nonce": NONCE.hex(),
            "digits": digits,
        }
    ]


def bulk_vectors() -> list[dict[str, Any]]:
    request = bulk.encode_header(bulk.BulkRequest(digest=PHOTO, offset=65_536, length=65_536))
    reply = bulk.encode_header(bulk.BulkReply(status=bulk.BulkStatus.OK, total=70_000, length=4_464))
    return [good("request", request, "bulk-request"), good("reply", reply, "bulk-reply")]


FILES: Final[dict[str, tuple[str, Callable[[], list[dict[str, Any]]]]]] = {
    "frames.json": ("Cheshire and Baker 1999 (COBS); CRC-32 as in IEEE 802.3; docs/protocol.md, Serial link", frames),
    "fragments.json": ("CRC-32 as in IEEE 802.3; docs/protocol.md, BLE link", fragment_vectors),
    "messages.json": ("docs/protocol.md, Control link; RFC 8949 section 4.2.1", control),
    "tokens.json": (
        "RFC 8392 (CWT), RFC 9200 (cnonce, exi), RFC 9052, RFC 9864; docs/protocol.md, Token",
        token_vectors,
    ),
    "orders.json": ("RFC 9052; docs/protocol.md, Orders", order_vectors),
    "events.json": ("RFC 9052; docs/protocol.md, Events", event_vectors),
    "trace.json": ("RFC 9052, RFC 4648 section 6; docs/protocol.md, Trace code", trace_vectors),
    "pairing.json": ("docs/protocol.md, Pairing", pairing_vectors),
    "bulk.json": ("docs/protocol.md, Bulk link", bulk_vectors),
}


def contents() -> dict[str, str]:
    """File name to exact content."""
    keys = {
        name: {"seed": SEEDS[name], "public": key.public_key.hex(), "key_id": cose.key_id(key.public_key).hex()}
        for name, key in KEYS.items()
    }
    return {
        name: json.dumps({"protocol": "seal/1", "source": source, "keys": keys, "vectors": make()}, indent=1) + "\n"
        for name, (source, make) in FILES.items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in contents().items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"{name}: {text.count(chr(34) + 'hex' + chr(34))} vectors\n")


if __name__ == "__main__":
    main()
