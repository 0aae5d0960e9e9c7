"""Six digits that a person compares on device and server: both sides saw the same keys (design: D4, "Pairing").

The server commits to its terms first, so neither side can choose its part after seeing the other's.
"""

import hashlib
from typing import Final

from firmware_protocol import cbor
from firmware_protocol.labelled import to_map
from firmware_protocol.orders import Terms

WINDOW_S: Final = 180
"""How long a device listens for pairing after a person pressed its pairing button."""


def commitment(terms: Terms) -> bytes:
    """32 bytes, sent before the device answers with its key and nonce."""
    return hashlib.sha256(b"seal/1/pairing/commit" + cbor.encode(to_map(terms))).digest()


def digits(terms: Terms, *, device_id: str, device_key: bytes, device_nonce: bytes) -> str:
    """Six decimal digits over the whole transcript."""
    transcript = cbor.encode([to_map(terms), device_id, device_key, device_nonce])
    number = int.from_bytes(hashlib.sha256(b"seal/1/pairing/digits" + transcript).digest()[:8], "big")
    return f"{number % 1_000_000:06d}"
