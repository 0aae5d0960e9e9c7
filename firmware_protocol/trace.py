"""TRACE CODE: what the QR on a paper says, signed by the device after the mechanical counter moved (design: D8).

URL: HTTPS://HOST/V/ + base32 of a COSE_Sign1 of about 122 bytes: QR alphanumeric mode, version <= 9-M.
A device signs it for an imprint; the server's trace key signs it for an electronic seal (counter 0).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import Malformed
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.purposes import Purpose

MAX_CODE: Final = 136
"""Longest signed code in bytes: 218 base32 characters leave 44 for HTTPS://HOST/V/ in version 9-M (262 in all)."""

MAX_URL: Final = 262
PATH: Final = "/V/"
_SHORT_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32
_SHORT_BITS: Final = 60
_SHORT_CHARS: Final = _SHORT_BITS // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceCode:
    use: bytes = label(1, size=8)  # first 8 bytes of the token id; of the e-seal id for an electronic seal
    document: bytes = label(2, size=16)  # first 16 bytes of the document digest
    counter: int = label(3)  # mechanical counter after the stroke; 0 for an electronic seal
    head: bytes = label(4, size=4)  # first 4 bytes of the head id; of the seal id for an electronic seal


def sign(code: TraceCode, *, key: SigningKey) -> bytes:
    signed = cose.sign1(cbor.encode(to_map(code)), key=key, purpose=Purpose.TRACE)
    if len(signed) > MAX_CODE:
        raise Malformed(f"trace code has {len(signed)} bytes, at most {MAX_CODE}")
    return signed


def verify(data: bytes, *, keys: Mapping[bytes, bytes]) -> TraceCode:
    """Raises: Malformed, UnknownClaim, WrongAlgorithm, UnknownKey, BadSignature."""
    if len(data) > MAX_CODE:
        raise Malformed(f"trace code has {len(data)} bytes, at most {MAX_CODE}")
    return from_map(TraceCode, cbor.decode_map(cose.verify1(data, keys=keys, purpose=Purpose.TRACE)))


def url(signed_code: bytes, *, host: str) -> str:
    """What the coder prints. `host` is HOST or HOST:PORT. Raises: Malformed, when it would not fit version 9-M."""
    text = f"HTTPS://{host.upper()}{PATH}{base64.b32encode(signed_code).decode().rstrip('=')}"
    if len(text) > MAX_URL:
        raise Malformed(f"trace URL has {len(text)} characters, at most {MAX_URL}")
    return text


def parse_url(text: str) -> bytes:
    """The signed code inside a scanned URL, or inside the bare base32 text. Whose host it names proves nothing.

    Raises: Malformed.
    """
    if len(text) > MAX_URL:
        raise Malformed(f"trace URL has more than {MAX_URL} characters")
    upper = text.strip().upper()
    code = upper.rsplit(PATH, 1)[-1].strip("/")
    try:
        return base64.b32decode(code + "=" * (-len(code) % 8))
    except (binascii.Error, ValueError) as error:
        raise Malformed("not a trace code") from error


def short_code(signed_code: bytes) -> str:
    """Twelve characters (60 bits of SHA-256) and a check character, grouped for typing: XXXX-XXXX-XXXX-X."""
    number = int.from_bytes(hashlib.sha256(signed_code).digest()[:8], "big") >> (64 - _SHORT_BITS)
    chars = [_SHORT_ALPHABET[(number >> shift) & 31] for shift in range(_SHORT_BITS - 5, -1, -5)]
    chars.append(_check_character(chars))
    text = "".join(chars)
    return f"{text[0:4]}-{text[4:8]}-{text[8:12]}-{text[12]}"


def normalise_short_code(typed: str) -> str:
    """What a person typed, in canonical form. Raises: Malformed, when a character or the check character is wrong."""
    text = typed.upper().replace("-", "").replace(" ", "").replace("O", "0").replace("I", "1").replace("L", "1")
    if len(text) != _SHORT_CHARS + 1 or any(char not in _SHORT_ALPHABET for char in text):
        raise Malformed(f"a short code has {_SHORT_CHARS + 1} letters and digits")
    if _check_character(list(text[:-1])) != text[-1]:
        raise Malformed("the check character does not fit: a letter was misread")
    return f"{text[0:4]}-{text[4:8]}-{text[8:12]}-{text[12]}"


def _check_character(chars: list[str]) -> str:
    """Weighted sum modulo 31, a prime above every weight: catches a misread character and a swap of neighbours."""
    total = sum((position + 1) * _SHORT_ALPHABET.index(char) for position, char in enumerate(chars))
    return _SHORT_ALPHABET[total % 31]
