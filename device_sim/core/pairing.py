"""Pairing: a window that a person opens at the device, a commitment, terms, six digits that a person compares (design: D4)."""

from dataclasses import dataclass
from typing import Final

from device_sim.core.checks import No
from firmware_protocol import pairing
from firmware_protocol.orders import Terms
from firmware_protocol.reasons import Reason

WINDOW_MS: Final = pairing.WINDOW_S * 1000


@dataclass(slots=True, kw_only=True)
class PairingWindow:
    """One press of the pairing button. It takes one commitment: a second try needs a person again."""

    closes_ms: int
    nonce: bytes
    commitment: bytes | None = None
    terms: Terms | None = None
    digits: str | None = None

    def commit(self, commitment: bytes) -> No | None:
        if self.commitment not in (None, commitment):
            return No(
                reason=Reason.PAIRING_CLOSED, detail="another commitment was made; press the pairing button again"
            )
        self.commitment = commitment
        return None

    def reveal(self, terms: Terms, *, device_id: str, device_key: bytes) -> No | None:
        """The terms behind the commitment; from now on the device shows the digits."""
        if self.commitment is None or pairing.commitment(terms) != self.commitment:
            return No(reason=Reason.BAD_SIGNATURE, detail="these terms were not committed to")
        self.terms = terms
        self.digits = pairing.digits(terms, device_id=device_id, device_key=device_key, device_nonce=self.nonce)
        return None
