"""Vectors of what is signed: tokens, orders, events, trace codes; valid, and refused for one reason each."""

from typing import Any, Final

from firmware_protocol import cbor, cose, events, operators, orders, tokens, trace
from firmware_protocol.labelled import to_map
from firmware_protocol.purposes import Purpose
from tools.passkey_vectors import PASSKEY
from tools.vector_parts import (
    BODIES,
    CODE,
    DEVICE,
    DEVICE_KEY,
    DOCUMENT,
    HEAD,
    ISSUER,
    NONCE,
    OPERATOR,
    PHOTO,
    PIN,
    PREVIEW,
    SALT,
    STRANGER,
    T0,
    TERMS,
    TOKEN_ID,
    bad,
    claims,
    event,
    fill,
    good,
    resigned,
    shown,
    token,
)


def with_header(header: dict[int, Any], payload: bytes, unprotected: dict[int, Any] | None = None) -> bytes:
    protected = cbor.encode(header)
    signature = ISSUER.sign(cbor.encode(["Signature1", protected, Purpose.TOKEN.aad, payload]))
    return b"\xd2" + cbor.encode([protected, unprotected or {}, payload, signature])


_RANGE: Final = {"first_page": 1, "last_page": 12}
WAYS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("single page", {"max_strokes": 1}),
    ("batch with a range", {"policy": int(tokens.Mode.BATCH), **_RANGE}),
    ("continuous", {"policy": 2 | int(tokens.Mode.CONTINUOUS), "max_strokes": 200}),
    ("straddle", {"policy": int(tokens.Mode.STRADDLE), **_RANGE}),
    ("sweep before a batch", {"policy": int(tokens.Mode.BATCH | tokens.Mode.SWEEP), **_RANGE}),
    ("bound volume", {"policy": int(tokens.Mode.BOUND)}),
    ("checked afterwards", {"policy": 1}),
    ("for one person", {"operator": OPERATOR}),
)


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
        {**good("minimal", signed, "token-claims", length=len(signed)), "fields": shown(cbor.decode_map(payload))},
        *(good(name, tokens.issue(token(seal=seal), key=ISSUER), "token-claims") for name, seal in WAYS),
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
        bad("policy bit 256", changed(claims={tokens.SEAL: seal | {3: 256}}), "unknown_claim"),
        bad("policy is missing", changed(claims={tokens.SEAL: {k: v for k, v in seal.items() if k != 3}}), "malformed"),
        bad("head id of 7 bytes", changed(claims={tokens.SEAL: seal | {7: fill(1, 7)}}), "malformed"),
        bad("operator of 3 bytes", changed(claims={tokens.SEAL: seal | {9: fill(1, 3)}}), "malformed"),
        bad("first page is text", changed(claims={tokens.SEAL: seal | {10: "1"}}), "malformed"),
        bad("voucher counter is negative", changed(claims={tokens.SEAL: seal | {8: -1}}), "malformed"),
        bad("exi is text", changed(claims={40: "300"}), "malformed"),
        bad("issued at is a boolean", changed(claims={6: True}), "malformed"),
        bad("signed by the device", resigned(payload, key=DEVICE_KEY), "unknown_key"),
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
    vectors = [
        {**good(name, orders.sign(order, key=ISSUER), rule), "fields": shown(to_map(order))}
        for name, rule, order in [*((rule, rule, order) for rule, order in made), *_more_orders()]
    ]
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
            *(
                {**bad(f"{rule}: {name}", resigned(cbor.encode(fields), purpose=purpose), refused), "rule": rule}
                for name, fields, refused in _broken(rule, to_map(order))
            ),
        ]
    return vectors


def _more_orders() -> list[tuple[str, str, Any]]:
    """Name, rule, order."""
    permit = orders.Permit(
        device_id=DEVICE,
        token_id=TOKEN_ID,
        stroke=1,
        page=orders.FAN,
        page_digest=orders.page_digest(DOCUMENT, orders.FAN),
        photo_digest=PHOTO,
        stroke_nonce=NONCE,
        cover_digest=PREVIEW,
    )
    receipt = orders.Receipt(device_id=DEVICE, generation=2, up_to_seq=1, chain_hash=fill(0xAB, 32), photo_digests=())
    entry = operators.entry(operator=OPERATOR, method=operators.Method.BADGE, secret=PIN, salt=SALT).pack()
    persons = (OPERATOR, fill(0xAC, 4))

    def service(kind: orders.ServiceKind, **more: Any) -> orders.Policy:  # noqa: ANN401 - fields of Policy
        return orders.Policy(device_id=DEVICE, epoch=5, suspended=False, service=kind, authorised_by=persons, **more)

    return [
        ("permit for the fan of a straddle", "permit", permit),
        ("receipt without photos, next generation", "receipt", receipt),
        ("policy: suspended", "policy", orders.Policy(device_id=DEVICE, epoch=5, suspended=True)),
        (
            "policy: sweep required, two strokes offline",
            "policy",
            orders.Policy(device_id=DEVICE, epoch=6, suspended=False, max_offline_strokes=2, sweep_required=True),
        ),
        (
            "policy: next issuers and an earlier time floor (recovery key)",
            "policy",
            orders.Policy(
                device_id=DEVICE, epoch=7, suspended=False, time_floor_ms=0, next_issuer_keys=TERMS.issuer_keys
            ),
        ),
        ("policy: clear tamper", "policy", service(orders.ServiceKind.CLEAR_TAMPER)),
        ("policy: release", "policy", service(orders.ServiceKind.RELEASE)),
        ("policy: change the head", "policy", service(orders.ServiceKind.CHANGE_HEAD, slot=0, head_id=HEAD)),
        ("policy: refill ink", "policy", service(orders.ServiceKind.REFILL_INK, slot=0)),
        (
            "roster of twelve",
            "roster",
            orders.Roster(device_id=DEVICE, number=3, part=1, parts=2, entries=(entry,) * 12),
        ),
        (
            "roster of two passkeys",
            "roster",
            orders.Roster(device_id=DEVICE, number=3, part=1, parts=2, entries=(), passkeys=(PASSKEY.pack(),) * 2),
        ),
        ("roster of nobody", "roster", orders.Roster(device_id=DEVICE, number=4, part=0, parts=1, entries=())),
    ]


def _broken(rule: str, fields: dict[int, Any]) -> list[tuple[str, dict[int, Any], str]]:
    """Name, payload, code: what every reader refuses although the signature holds."""
    without = {label: value for label, value in fields.items() if label != 1}
    broken = [
        ("no device", without, "malformed"),
        ("device id of 13 characters", fields | {1: "X" * 13}, "malformed"),
        ("device id in bytes", fields | {1: DEVICE.encode()}, "malformed"),
        ("label 2 is text", fields | {2: "2"}, "malformed"),
    ]
    match rule:
        case "permit":
            broken += [("photo digest of 31 bytes", fields | {6: fill(1, 31)}, "malformed")]
            broken += [("cover digest of 33 bytes", fields | {8: fill(1, 33)}, "malformed")]
        case "receipt":
            broken += [("nine photos", fields | {5: [PHOTO] * 9}, "malformed")]
        case "policy":
            broken += [("service 5", fields | {8: 5, 11: [OPERATOR] * 2}, "unknown_claim")]
            broken += [("five persons", fields | {8: 1, 11: [OPERATOR] * 5}, "malformed")]
            broken += [("suspended is a number", fields | {3: 1}, "malformed")]
        case "roster":
            broken += [("an entry of 28 bytes", fields | {5: [fill(1, 28)]}, "malformed")]
            broken += [("13 entries", fields | {5: [fill(1, 29)] * 13}, "malformed")]
            broken += [("a passkey of 76 bytes", fields | {6: [fill(1, 76)]}, "malformed")]
            broken += [("five passkeys", fields | {5: [], 6: [PASSKEY.pack()] * 5}, "malformed")]
    return broken


LABEL: Final = events.Label(token_id=TOKEN_ID, copy=1, trace_code=CODE, photo_digest=PHOTO, preview_digest=PREVIEW)
SETTLED: Final = events.Settled(token_id=TOKEN_ID, stroke=1, outcome=events.Outcome.RECOVERED, trace_code=CODE)
BY_PASSKEY: Final = events.Operator(
    operator=OPERATOR, method=3, present=True, credential=PASSKEY.credential, sign_count=18
)
LEAFED: Final = events.PageSeen(
    token_id=TOKEN_ID, stroke=0, preview_digest=PREVIEW, photo_digest=PHOTO, stroke_nonce=NONCE, page=17
)


def event_vectors() -> list[dict[str, Any]]:
    vectors = []
    for body in BODIES:
        name, signed = events.type_of(body).name, event(body)
        whole = cbor.decode_map(cose.parse1(signed).payload)
        vectors.append({**good(name, signed, "event"), "fields": shown(whole)})
        first = min(whole[11])
        lacking = {**whole, 11: {label: value for label, value in whole[11].items() if label != first}}
        payload = cbor.encode(lacking)
        vectors.append(
            bad(f"{name} without label {first}", resigned(payload, key=DEVICE_KEY, purpose=Purpose.EVENT), "malformed")
        )
    done = event(BODIES[5])
    payload = cose.parse1(done).payload
    fields = cbor.decode_map(payload)
    key, purpose = DEVICE_KEY, Purpose.EVENT
    flipped = bytearray(done)
    flipped[-70] ^= 1
    return [
        *vectors,
        good("LABEL with its preview", event(LABEL), "event"),
        good("SETTLED with its code", event(SETTLED), "event"),
        good("OPERATOR by a passkey", event(BY_PASSKEY), "event"),
        good("PAGE_SEEN of a sweep", event(LEAFED), "event"),
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
    payload = cose.parse1(CODE).payload
    more, short = (cbor.encode(cbor.decode_map(payload) | change) for change in ({9: 1}, {1: fill(1, 7)}))
    eseal = trace.sign(
        trace.TraceCode(use=fill(0xE5, 8), document=DOCUMENT[:16], counter=0, head=fill(0x5E, 4)), key=DEVICE_KEY
    )
    return [
        {
            **good("imprint", CODE, "trace-code", url=url, short=trace.short_code(CODE)),
            "fields": shown(cbor.decode_map(payload)),
        },
        good("electronic seal", eseal, "trace-code", url=trace.url(eseal, host="seal.example.com")),
        bad("signed as an event", resigned(payload, key=DEVICE_KEY, purpose=Purpose.EVENT), "bad_signature"),
        bad("signed by a stranger", resigned(payload, key=STRANGER, purpose=Purpose.TRACE), "unknown_key"),
        bad("with a label more", resigned(more, key=DEVICE_KEY, purpose=Purpose.TRACE), "unknown_claim"),
        bad("use of 7 bytes", resigned(short, key=DEVICE_KEY, purpose=Purpose.TRACE), "malformed"),
        bad("flipped bit", bytes(flipped), "bad_signature"),
        bad("longer than 136 bytes", CODE + bytes(20), "malformed"),
        bad("an event is no trace code", event(BODIES[0]), "malformed"),
    ]
