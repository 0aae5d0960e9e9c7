"""What a key may sign. The purpose is the COSE external_aad, so one object can never pass for another (design: D4)."""

from enum import StrEnum


class Purpose(StrEnum):
    TOKEN = "seal/1/token"  # noqa: S105 - a purpose string, not a secret
    PERMIT = "seal/1/permit"
    RECEIPT = "seal/1/receipt"
    TIME = "seal/1/time"
    POLICY = "seal/1/policy"
    ROSTER = "seal/1/roster"
    ENTRY = "seal/1/entry"
    TRACE = "seal/1/trace"
    CHECKPOINT = "seal/1/checkpoint"
    EVENT = "seal/1/event"
    BUNDLE = "seal/1/bundle"
    PAIRING = "seal/1/pairing"
    FIRMWARE = "seal/1/firmware"
    ATTEST = "seal/1/attest"

    @property
    def aad(self) -> bytes:
        """The external_aad of RFC 9052 section 4.3."""
        return self.value.encode("ascii")
