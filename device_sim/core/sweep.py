"""Leafing through a document under the camera before its first stroke: every page a signed photo (design: D5)."""

import hashlib

from device_sim.core.checks import No
from device_sim.core.memory import Memory
from firmware_protocol import events
from firmware_protocol.reasons import Reason


def expected(memory: Memory) -> int:
    """Pages that the open grant wants to see."""
    token = memory.open_token()
    if token is None or token.seal.first_page is None or token.seal.last_page is None:
        return 0
    return token.seal.last_page - token.seal.first_page + 1


def next_page(memory: Memory, *, same_sheet: bool) -> int:
    """The number of the photo to take; the same page again takes the place of the one before."""
    seen = len(memory.swept or ())
    return seen if same_sheet and seen else seen + 1


def told(memory: Memory) -> events.PagesSwept | No:
    """PAGES_SWEPT as of now."""
    token = memory.open_token()
    if token is None:
        return No(reason=Reason.NO_GRANT, detail="no grant is open")
    swept = memory.swept or ()
    digest = hashlib.sha256(b"".join(swept)).digest()
    return events.PagesSwept(token_id=token.token_id, seen=len(swept), expected=expected(memory), digest=digest)
