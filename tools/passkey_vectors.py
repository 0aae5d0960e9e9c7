"""Vectors of signing in with a passkey; the authenticator's key is that of RFC 6979, section A.2.5."""

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware_protocol import cbor, messages, passkeys
from firmware_protocol.labelled import to_map
from firmware_protocol.passkeys import Passkey
from tools.vector_parts import DEVICE, NONCE, OPERATOR, bad, fill, good

KEY: Final = ec.derive_private_key(
    0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1()
)  # RFC 6979 A.2.5
STRANGER: Final = ec.derive_private_key(4711, ec.SECP256R1())
HOST: Final = "gateway.example.com"
PASSKEY: Final = Passkey(
    operator=OPERATOR,
    credential=passkeys.short_id(b"a credential id"),
    public_key=KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
    rp_hash=hashlib.sha256(HOST.encode()).digest(),
)
SAID: Final = {
    "type": "webauthn.get",
    "challenge": urlsafe_b64encode(passkeys.challenge(DEVICE, NONCE)).rstrip(b"=").decode(),
    "origin": f"https://{HOST}",
    "crossOrigin": False,
}


def request(
    said: dict[str, Any] | bytes = SAID,
    *,
    flags: int = 0x05,
    count: int = 0,
    rp_hash: bytes = PASSKEY.rp_hash,
    key: ec.EllipticCurvePrivateKey = KEY,
) -> messages.PasskeyRequest:
    """What the gateway sends for that client data."""
    text = said if isinstance(said, bytes) else json.dumps(said, separators=(",", ":")).encode()
    data = rp_hash + bytes([flags]) + count.to_bytes(4, "big")
    der = key.sign(data + hashlib.sha256(text).digest(), ec.ECDSA(SHA256(), deterministic_signing=True))
    first, second = decode_dss_signature(der)
    return messages.PasskeyRequest(
        operator=OPERATOR,
        credential=PASSKEY.credential,
        authenticator_data=data,
        client_data=text,
        signature=first.to_bytes(32, "big") + second.to_bytes(32, "big"),
    )


def passkey_vectors() -> list[dict[str, Any]]:
    """`hex` is the message; `passkey` stands in the roster, `nonce` is out, `count` is the counter seen last."""
    plain = to_map(request())
    text = request().client_data
    text_again = text[:-1] + b',"crossOrigin":false}'
    flipped = bytes([*request().authenticator_data[:32], 0x04 | 0x01 | 0x08, *bytes(4)])
    moved = dict(reversed(SAID.items())) | {"other_keys_can_be_added_here": "do not compare with a template"}
    return [
        _good("without a counter", request()),
        _good("counter rises", request(count=18), count=17),
        _good("members in another order, and one more", request(moved)),
        _good("page on a port, below the relying party", request(SAID | {"origin": f"https://desk.{HOST}:8443"})),
        _good("backed up by its provider", request(flags=0x1D)),
        _bad("another nonce", request(), "wrong_nonce", nonce=fill(0x4F, 16)),
        _bad("another device", request(), "wrong_nonce", device_id="CB-OTHER000"),
        _bad("a creation", request(SAID | {"type": "webauthn.create"}), "wrong_operator"),
        _bad("inside another site's page", request(SAID | {"crossOrigin": True}), "wrong_operator"),
        _bad("another host", request(SAID | {"origin": f"https://{HOST}.evil.example"}), "wrong_operator"),
        _bad("a host that only ends alike", request(SAID | {"origin": f"https://x{HOST}"}), "wrong_operator"),
        _bad("without TLS", request(SAID | {"origin": f"http://{HOST}"}), "wrong_operator"),
        _bad("no origin", request({k: v for k, v in SAID.items() if k != "origin"}), "wrong_operator"),
        _bad("another relying party", request(rp_hash=hashlib.sha256(b"evil.example").digest()), "wrong_operator"),
        _bad("nobody touched it", request(flags=0x04), "wrong_operator"),
        _bad("nobody was verified", request(flags=0x01), "wrong_operator"),
        _bad("extensions announced", request(flags=0x85), "wrong_operator"),
        _bad("counter stands still", request(count=17), "wrong_operator", count=17),
        _bad("counter gone", request(count=0), "wrong_operator", count=17),
        _bad("signed by a stranger", request(key=STRANGER), "bad_signature"),
        _bad("flag set afterwards", plain | {3: flipped}, "bad_signature"),
        _bad("member twice", request(text_again), "malformed"),
        _bad("a space", request(text.replace(b":", b": ", 1)), "malformed"),
        _bad("an escape", request(SAID | {"more": "\n"}), "malformed"),
        _bad("a nested member", request(SAID | {"more": {}}), "malformed"),
        _bad("nine members", request(SAID | {f"more{n}": True for n in range(5)}), "malformed"),
        _bad("client data of 377 bytes", request(SAID | {"more": "x" * (367 - len(text))}), "malformed"),
        _bad("signature of 65 bytes", plain | {5: fill(1, 65)}, "malformed"),
        _bad("authenticator data of 38 bytes", plain | {3: fill(1, 38)}, "malformed"),
        _bad("a key that is no point", request(), "malformed", public_key=b"\x02" + fill(0xFF, 32)),
    ]


def _message(asked: messages.PasskeyRequest | dict[int, Any]) -> bytes:
    body = asked if isinstance(asked, dict) else to_map(asked)
    return cbor.encode([1, 0x17, 9, body])


def _facts(
    *, nonce: bytes = NONCE, device_id: str = DEVICE, count: int = 0, public_key: bytes = PASSKEY.public_key
) -> dict[str, Any]:
    packed = PASSKEY.operator + PASSKEY.credential + public_key + PASSKEY.rp_hash
    return {"passkey": packed.hex(), "device_id": device_id, "nonce": nonce.hex(), "count": count}


def _good(name: str, asked: messages.PasskeyRequest, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - of `_facts`
    return good(name, _message(asked), "passkey-request") | _facts(**facts)


def _bad(
    name: str,
    asked: messages.PasskeyRequest | dict[int, Any],
    refused: str,
    **facts: Any,  # noqa: ANN401 - of `_facts`
) -> dict[str, Any]:
    return bad(name, _message(asked), refused) | _facts(**facts)
