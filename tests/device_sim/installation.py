"""One installation: its keys, its terms, and the document, head and device that most tests are about."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol.orders import Terms

DOCUMENT = hashlib.sha256(b"the approved PDF").digest()
HEAD = bytes.fromhex("0102030405060708")
DEVICE_ID = "CB-TEST0000"
UNIX_S = 1_800_000_000


class Key:
    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


ISSUER, PERMITS, RECEIPTS = (Key(name) for name in (b"token", b"permit", b"receipt"))
TIME, POLICIES = (Key(name) for name in (b"time", b"policy"))
RECOVERY, ROOT, DEVICE_KEY, STRANGER = (Key(name) for name in (b"recovery", b"root", b"dev", b"who"))
TERMS = Terms(
    installation_id=bytes(16),
    issuer_keys=tuple(key.public_key for key in (ISSUER, PERMITS, RECEIPTS, TIME, POLICIES)),
    recovery_key=RECOVERY.public_key,
    root_key=ROOT.public_key,
    server_nonce=b"n" * 16,
    trace_host="seal.example:8443",
)
