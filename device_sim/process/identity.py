"""Who this device is: made at its first start and kept."""

import json
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_sim.core.log import Identity
from device_sim.core.ports import Rng
from device_sim.process.disk import write_durably

MODEL: Final = "Cinnabar reference"
FIRMWARE: Final = "0.1.0"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32
_ID_CHARS: Final = 8


class DeviceKey:
    """The device's Ed25519 key; it never leaves the device."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


def load_key(home: Path, rng: Rng, *, generation: int = 1) -> DeviceKey:
    """`home`/key, 32 bytes, readable by its owner only; a released device makes key-2, key-3, ..."""
    path = home / ("key" if generation == 1 else f"key-{generation}")
    if not path.exists():
        write_durably(path, rng.token_bytes(32), mode=0o600)
    return DeviceKey(path.read_bytes())


def load_identity(home: Path, rng: Rng, *, coder: bool = True) -> Identity:
    """`home`/device.json. `coder`: whether it has one, for a device that is made now."""
    path = home / "device.json"
    if not path.exists():
        device_id = "CB-" + "".join(_ALPHABET[byte & 31] for byte in rng.token_bytes(_ID_CHARS))
        write_durably(path, json.dumps({"device_id": device_id, "coder": coder}).encode())
    known = json.loads(path.read_bytes())
    return Identity(device_id=known["device_id"], model=MODEL, firmware=FIRMWARE, inline_coder=known.get("coder", True))


class SystemRng:
    """The operating system's generator."""

    def token_bytes(self, n: int) -> bytes:
        return os.urandom(n)
