"""Which server keys a device obeys: one per purpose, pinned at pairing in the order of ORDER_PURPOSES."""

from firmware_protocol.orders import ORDER_PURPOSES
from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.signer import Signer


def issuer(run: Runtime, purpose: Purpose) -> Signer:
    """Signs what a device obeys for this purpose, and nothing else."""
    return run.keys.signer(purpose)


def issuer_keys(run: Runtime) -> tuple[bytes, ...]:
    """Five keys of 32 bytes, as devices pin them."""
    return tuple(run.keys.public_key(purpose) for purpose in ORDER_PURPOSES)
