"""`python passkey_reader.py` reads passkeys.json beside it; knows docs/protocol.md and WebAuthn, no code of ours."""
# ruff: noqa: ANN001, ANN201, T201 - short, to be read beside the document

import json
import re
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from reader import need, whole

MEMBER = rb'"[ !#-\[\]-~]+":("[ !#-\[\]-~]*"|true|false)'


def unique(pairs):
    need(len(dict(pairs)) == len(pairs) <= 8)
    return dict(pairs)


def read(body, vector):  # whether this request signs in
    key, seen = bytes.fromhex(vector["passkey"]), vector["count"]
    need([len(body[label]) for label in (1, 2, 3, 5)] == [4, 8, 37, 64] and len(body[4]) <= 376 and len(key) == 77)
    need(re.fullmatch(rb"\{%b(,%b)*\}" % (MEMBER, MEMBER), body[4]))
    said, data = json.loads(body[4], object_pairs_hook=unique), body[3]
    need(key[:12] == body[1] + body[2], "wrong_operator")
    try:
        point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key[12:45])
    except ValueError:
        need(holds=False)
    signature = encode_dss_signature(int.from_bytes(body[5][:32], "big"), int.from_bytes(body[5][32:], "big"))
    try:
        point.verify(signature, data + sha256(body[4]).digest(), ECDSA(SHA256()))
    except InvalidSignature:
        need(holds=False, code="bad_signature")
    name, nonce = vector["device_id"].encode(), bytes.fromhex(vector["nonce"])
    challenge = urlsafe_b64encode(sha256(b"seal/1/passkey" + bytes([len(name)]) + name + nonce).digest())
    need(said.get("challenge") == challenge.decode().rstrip("="), "wrong_nonce")
    origin = re.fullmatch(r"https://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(:\d{1,5})?", str(said.get("origin")))
    labels = origin[1].split(".") if origin else []
    need(key[45:] in [sha256(".".join(labels[at:]).encode()).digest() for at in range(len(labels))], "wrong_operator")
    need(
        said.get("type") == "webauthn.get" and not said.get("crossOrigin") and "topOrigin" not in said, "wrong_operator"
    )
    counted = int.from_bytes(data[33:], "big")
    need(data[:32] == key[45:] and data[32] & 0xC5 == 5 and (counted > seen or counted == seen == 0), "wrong_operator")


def main():
    vectors, wrong = json.loads((Path(__file__).parent / "passkeys.json").read_text())["vectors"], []
    for vector in vectors:
        why = None
        try:
            read(whole(bytes.fromhex(vector["hex"]), list)[3], vector)
        except ValueError as error:
            why = error.args[0]
        if why != vector.get("refused"):
            wrong.append(f"{vector['name']}: {why}, not {vector.get('refused')}")
    print(*wrong, f"{len(vectors)} vectors, {len(wrong)} disagree", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
