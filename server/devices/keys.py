"""Which server keys a device obeys. A device pins one issuer key; the purpose in each object tells the orders apart."""

from typing import Final

from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.signer import Signer

ISSUER: Final = Purpose.TOKEN


def issuer(run: Runtime) -> Signer:
    """Signs whatever a device obeys: tokens, permits, receipts, time, policy."""
    return run.keys.signer(ISSUER)


def issuer_key(run: Runtime) -> bytes:
    """32 bytes, as devices pin it."""
    return run.keys.public_key(ISSUER)
