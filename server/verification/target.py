"""What somebody wants verified: told from the bytes, never from a file's name."""

import re
from enum import StrEnum
from typing import Final

from firmware_protocol.trace import MAX_URL, PATH
from server.ledger import checkpoint
from server.ledger.checkpoint import BadCheckpoint
from server.verification.code import is_short_code

_COSE_SIGN1: Final = b"\xd2\x84"
"""Tag 18 and an array of four (RFC 9052 section 4.2)."""
_BASE32: Final = re.compile(r"[A-Z2-7]{100,262}", re.IGNORECASE)


class Target(StrEnum):
    BUNDLE = "bundle"
    PDF = "pdf"
    PHOTO = "photo"
    CODE = "code"
    RECORD = "record"  # one signed leaf of the log
    CHECKPOINT = "checkpoint"
    UNKNOWN = "unknown"


def detect(data: bytes) -> Target:
    """The kind of thing in `data`: a file's bytes, or typed text as UTF-8."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Target.BUNDLE
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return Target.PHOTO
    if b"%PDF-" in data[:1024]:
        return Target.PDF
    if data.startswith(_COSE_SIGN1):
        return Target.RECORD
    if _is_checkpoint(data):
        return Target.CHECKPOINT
    return Target.CODE if looks_like_code(data) else Target.UNKNOWN


def _is_checkpoint(data: bytes) -> bool:
    try:
        checkpoint.parse(data[: checkpoint.MAX_NOTE + 1].decode("utf-8"))
    except (UnicodeDecodeError, BadCheckpoint):
        return False
    return True


def looks_like_code(data: bytes) -> bool:
    """A trace URL, the base32 of one, or a short code, with spaces around it."""
    if len(data) > MAX_URL + 64:
        return False
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        return False
    return PATH in text.upper() or bool(_BASE32.fullmatch(text)) or is_short_code(text)
