"""Who may stand at a device: two keepers, and one who is on leave and never came near a device."""

from functools import cache
from typing import Final

from firmware_protocol import operators
from firmware_protocol.operators import Method

KEEPERS: Final = (b"ana1", b"bo02")
ON_LEAVE: Final = b"cy03"
PEOPLE: Final = (*KEEPERS, ON_LEAVE)
OFFLINE_STROKES: Final = 2
"""Most in a voucher, as the devices' first policy says."""
_SALT: Final = b"saltsalt"


@cache
def proof(operator: bytes) -> bytes:
    """What the office makes of the right PIN; scrypt takes its time, so once."""
    return operators.proof(operator.hex(), salt=_SALT)


@cache
def entry(operator: bytes) -> bytes:
    """Of a roster."""
    known = operators.Entry(
        operator=operator, method=Method.PIN, salt=_SALT, verifier=operators.verifier(proof(operator))
    )
    return known.pack()
