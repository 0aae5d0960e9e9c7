"""What strokes are made for, so that a granted stroke and a service's sample go the same way."""

from dataclasses import dataclass
from typing import Final, Self

from firmware_protocol.tokens import Mode, PageCheck, Token

SAMPLE_STROKES: Final = 3
"""Tries for the one sample of a service; the first photographed one ends it."""
SAMPLE_WINDOW_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    token_id: bytes
    document_digest: bytes
    slot: int
    head_id: bytes
    max_strokes: int
    window_s: int
    page_check: PageCheck
    mode: Mode
    is_sample: bool = False

    @classmethod
    def granted(cls, token: Token) -> Self:
        seal = token.seal
        return cls(
            token_id=token.token_id,
            document_digest=seal.document_digest,
            slot=seal.slot,
            head_id=seal.head_id,
            max_strokes=seal.max_strokes,
            window_s=seal.window_s,
            page_check=seal.page_check,
            mode=seal.mode,
        )

    @classmethod
    def sample(cls, order_digest: bytes, *, slot: int, head_id: bytes) -> Self:
        """One imprint on a sheet of its own; the order stands in the place of the token and the document."""
        return cls(
            token_id=order_digest[:16],
            document_digest=order_digest,
            slot=slot,
            head_id=head_id,
            max_strokes=SAMPLE_STROKES,
            window_s=SAMPLE_WINDOW_S,
            page_check=PageCheck.NONE,
            mode=Mode(0),
            is_sample=True,
        )

    @property
    def continuous(self) -> bool:
        return Mode.CONTINUOUS in self.mode

    @property
    def straddle(self) -> bool:
        return Mode.STRADDLE in self.mode

    @property
    def sweep(self) -> bool:
        return Mode.SWEEP in self.mode
