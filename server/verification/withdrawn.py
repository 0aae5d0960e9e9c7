"""The withdrawn trace codes of a trust bundle, 20 bytes each: 100,000 of them are 2 MB.

One byte string: for each code the first 16 bytes of SHA-256 over its signed bytes and, as 4 bytes, the Unix second from
which it is withdrawn; sorted, no code twice. Why a code was withdrawn stays in the ledger.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

HASH_SIZE: Final = 16
"""Nobody makes a code that meets another one in 128 bits; one who did would only withdraw it."""
_SINCE_SIZE: Final = 4
_ROW: Final = HASH_SIZE + _SINCE_SIZE


def pack(codes: Mapping[bytes, int]) -> bytes:
    """`codes`: SHA-256 of a signed code, 16 bytes of it or all, to its Unix second."""
    short = {code[:HASH_SIZE]: since for code, since in codes.items()}
    return b"".join(code + since.to_bytes(_SINCE_SIZE, "big") for code, since in sorted(short.items()))


def unpack(packed: bytes) -> dict[bytes, int]:
    """First 16 bytes of a code's hash to its Unix second. Raises: ValueError, unless `pack` would give these bytes."""
    if len(packed) % _ROW:
        raise ValueError("the list of withdrawn codes has half a row")
    rows = [packed[at : at + _ROW] for at in range(0, len(packed), _ROW)]
    codes = {row[:HASH_SIZE]: int.from_bytes(row[HASH_SIZE:], "big") for row in rows}
    if pack(codes) != packed:
        raise ValueError("the list of withdrawn codes is not sorted, or names one twice")
    return codes


def since(packed: bytes, code_hash: bytes) -> int | None:
    """Since when this code is withdrawn, None when it is not. `packed` was read by `unpack` before."""
    wanted = code_hash[:HASH_SIZE]
    at = bisect_left(range(len(packed) // _ROW), wanted, key=lambda row: packed[row * _ROW : row * _ROW + HASH_SIZE])
    row = packed[at * _ROW : (at + 1) * _ROW]
    return int.from_bytes(row[HASH_SIZE:], "big") if row[:HASH_SIZE] == wanted and row else None
