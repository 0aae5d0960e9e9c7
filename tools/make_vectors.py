"""Writes tests/vectors/*.json. Run it only when the protocol version changes; the tests fail on any other difference.

What the vectors are made of: vector_parts.py. How to use them: tests/vectors/README.md.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from firmware_protocol import (
    bulk,
    cbor,
    cose,
    fragments,
    framing,
    messages,
    operators,
    pairing,
)
from firmware_protocol.labelled import to_map
from tools.passkey_vectors import passkey_vectors
from tools.signed_vectors import event_vectors, order_vectors, token_vectors, trace_vectors
from tools.vector_parts import (
    DEVICE,
    DEVICE_KEY,
    KEYS,
    MESSAGES,
    NONCE,
    OPERATOR,
    PHOTO,
    PIN,
    SALT,
    SEEDS,
    STATUS,
    TERMS,
    TOKEN_ID,
    bad,
    fill,
    good,
    shown,
)

FOLDER: Final = Path(__file__).resolve().parents[1] / "tests" / "vectors"


def frames() -> list[dict[str, Any]]:
    message = messages.encode(messages.HelloRequest(), msg_id=1)
    frame = framing.encode_frame(message)
    zeros = framing.encode_frame(messages.encode(messages.PairCommitRequest(commitment=bytes(32)), msg_id=0))
    flipped = bytearray(frame)
    flipped[3] ^= 1
    return [
        good("hello", frame, "frame", message=message.hex()),
        good("zeros", zeros, "frame", message=framing.decode_body(zeros.strip(b"\0")).hex()),
        *(
            good(name, framing.encode_frame(data), "frame", message=data.hex())
            for name, data in (
                ("one byte", b"\x01"),
                ("253 bytes without zero", fill(7, 249)),
                ("254 bytes without zero", fill(7, 250)),
                ("255 bytes without zero", fill(7, 251)),
                ("a zero after 254 bytes", fill(7, 254) + b"\0"),
                ("only zeros", bytes(40)),
                ("longest", bytes(range(256)) * 2),
            )
        ),
        bad("flipped bit", bytes(flipped), "bad_frame"),
        bad("cut short", frame[:-3] + b"\0", "bad_frame"),
        bad("a length beyond its end", b"\0\x09abc\0", "bad_frame"),
        bad("checksum big-endian", framing_of(message, order="big"), "bad_frame"),
        bad("no checksum", b"\0" + framing.cobs_encode(message) + b"\0", "bad_frame"),
        bad("only a checksum", b"\x00\x05abcd\x00", "bad_frame"),
    ]


def framing_of(message: bytes, *, order: str) -> bytes:
    """A frame with the bytes of its checksum in that order."""
    plain = framing.with_checksum(message)
    crc = plain[-framing.CRC_SIZE :] if order == "little" else plain[-framing.CRC_SIZE :][::-1]
    return b"\0" + framing.cobs_encode(message + crc) + b"\0"


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
        number_of = data[2] if data[2] != 0x18 else data[3]
        fields = shown(to_map(message))
        vectors.append({**good(type(message).__name__, data, cddl, type=number_of), "fields": fields})
        more = cbor.encode([1, number_of, number, {**to_map(message), 99: 0}])
        if getattr(type(message), "GROWS", False):
            vectors.append({**good(f"{type(message).__name__} of a later version", more, cddl, type=number_of)})
        elif len(more) <= framing.MAX_MESSAGE:
            vectors.append(bad(f"{type(message).__name__} with a label more", more, "unknown_claim"))
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
        bad("a state of a later version", cbor.encode([1, 0x83, 9, {**to_map(STATUS), 1: 10}]), "unknown_claim"),
        bad("operator of 5 bytes", cbor.encode([1, 0x10, 9, {1: fill(1, 5), 2: 1, 3: fill(1, 32)}]), "malformed"),
        bad("proof of 31 bytes", cbor.encode([1, 0x10, 9, {1: OPERATOR, 2: 1, 3: fill(1, 31)}]), "malformed"),
        bad("roster of 481 bytes", cbor.encode([1, 0x12, 9, {1: fill(1, 481)}]), "malformed"),
        bad("token of 231 bytes", cbor.encode([1, 0x05, 9, {1: fill(1, 231)}]), "malformed"),
        bad("spoil without its stroke", cbor.encode([1, 0x15, 9, {1: TOKEN_ID}]), "malformed"),
        bad("a reason that was never sent", cbor.encode([1, 0xFF, 9, {1: 5, 2: 41}]), "unknown_claim"),
        bad("label without its token", cbor.encode([1, 0x14, 9, {2: 1}]), "malformed"),
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


def operator_vectors() -> list[dict[str, Any]]:
    """`hex` is the 29-byte entry of a roster."""
    vectors = []
    for name, method, secret in (("PIN", operators.Method.PIN, PIN), ("badge", operators.Method.BADGE, "04:A1:5F")):
        entry = operators.entry(operator=OPERATOR, method=method, secret=secret, salt=SALT)
        proof = operators.proof(secret, salt=SALT)
        about = {"secret": secret, "salt": SALT.hex(), "proof": proof.hex(), "verifier": entry.verifier.hex()}
        vectors.append({**good(name, entry.pack(), "roster-entry"), **about})
    return [
        *vectors,
        bad("method 3", OPERATOR + b"\x03" + SALT + fill(1, 16), "malformed"),
        bad("28 bytes", OPERATOR + b"\x01" + SALT + fill(1, 15), "malformed"),
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
    "operators.json": ("RFC 7914 (scrypt N=16384, r=8, p=1); docs/protocol.md, Who stands there", operator_vectors),
    "passkeys.json": (
        "WebAuthn level 2 section 7.2, RFC 6979 section A.2.5 (the authenticator's key); docs/protocol.md, Passkey",
        passkey_vectors,
    ),
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
