"""A trace code offline, against a trust bundle: who signed it, and whether it was withdrawn.

The code says that a stroke of that device made it (or that the server sealed a PDF). It says nothing about the paper it
is seen on: a code can be copied. A typed short code is only a digest, so without the list of codes nobody can tell.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from firmware_protocol import cose, trace
from firmware_protocol.errors import Malformed, ProtocolError
from firmware_protocol.purposes import Purpose
from firmware_protocol.trace import TraceCode
from server.verification.roots import Pin
from server.verification.trust import DeviceKey, DeviceStatus, Standing, TrustBundle


class Outcome(StrEnum):
    KNOWN = "known"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"
    CANNOT_CONFIRM = "cannot_confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVerdict:
    """The answer in one word and in plain words; `device_id` is empty for an electronic seal."""

    outcome: Outcome
    words: str
    installation: str = ""
    demo: bool = False
    device_id: str = ""
    counter: int = 0
    document_starts: str = ""  # first 16 bytes of the document's SHA-256, hex
    short_code: str = ""
    withdrawn_since: int = 0  # Unix second
    list_from: int = 0  # Unix second: when the list of withdrawn codes was signed that this answer rests on


MAX_LIST_AGE_S: Final = 7 * 86_400
"""With an older list of withdrawn codes nobody should rely on a paper; an installation signs a new one every day."""
UNKNOWN_WORDS = "No trusted installation issued this code. The paper may be false, or the code was misread."


def code_hash(signed_code: bytes) -> bytes:
    """How withdrawals and snapshots name a code: SHA-256 of its signed bytes."""
    return hashlib.sha256(signed_code).digest()


def check_code(text: str, *, pins: Sequence[Pin], now: int) -> CodeVerdict:
    """The verdict on a scanned URL, its base32, or a typed short code; never raises on input."""
    if is_short_code(text):
        words = "A typed code can only be checked on the public page of its issuer; scan the QR to check it offline."
        return CodeVerdict(outcome=Outcome.CANNOT_CONFIRM, words=words)
    try:
        signed = trace.parse_url(text)
        cose.parse1(signed)
    except ProtocolError:
        return CodeVerdict(outcome=Outcome.UNKNOWN, words=UNKNOWN_WORDS)
    bundles = [pin.bundle for pin in pins if pin.bundle is not None]
    for bundle in bundles:
        found = signer_of(signed, bundle)
        if found is not None:
            return _known(signed, found[0], found[1], bundle, now)
    if not bundles:
        words = "There is no trust bundle here to check this code against; give one with --trust."
        return CodeVerdict(outcome=Outcome.CANNOT_CONFIRM, words=words)
    return CodeVerdict(outcome=Outcome.UNKNOWN, words=UNKNOWN_WORDS)


def signer_of(signed: bytes, bundle: TrustBundle) -> tuple[TraceCode, DeviceKey | None] | None:
    """The code and the device that signed it (None: the server, an electronic seal); None when nobody here did."""
    try:
        key_id = cose.parse1(signed).key_id
    except ProtocolError:
        return None
    for device in bundle.devices:
        if cose.key_id(device.public_key) == key_id and (code := _read(signed, {key_id: device.public_key})):
            return code, device
    code = _read(signed, bundle.keys_for(Purpose.TRACE))
    return None if code is None else (code, None)


def is_short_code(text: str) -> bool:
    try:
        trace.normalise_short_code(text)
    except Malformed:
        return False
    return True


def _read(signed: bytes, keys: dict[bytes, bytes]) -> TraceCode | None:
    try:
        return trace.verify(signed, keys=keys)
    except ProtocolError:
        return None


def _known(signed: bytes, code: TraceCode, device: DeviceKey | None, bundle: TrustBundle, now: int) -> CodeVerdict:
    outcome, words = Outcome.KNOWN, "This code is real. Compare your paper with the record: a code can be copied."
    age = f"The list of withdrawn codes here is {_age(now - bundle.issued)}."
    since = bundle.withdrawn_since(code_hash(signed))
    if since is not None:
        outcome = Outcome.WITHDRAWN
        words = f"This code was withdrawn on {_day(since)}. Do not rely on this paper."
    elif device is not None and device.status is DeviceStatus.COMPROMISED:
        outcome = Outcome.CANNOT_CONFIRM
        words = "The key of the device that made this code was reported stolen. Do not rely on this paper yet."
    elif bundle.standing(pinned=[bundle.root_key], now=now) is not Standing.TRUSTED:
        outcome = Outcome.CANNOT_CONFIRM
        words = "The trust bundle here is too old to say; fetch a newer one and check again."
    elif now - bundle.issued > MAX_LIST_AGE_S:
        outcome = Outcome.CANNOT_CONFIRM
        words = f"This code is real, but may have been withdrawn since. {age} Fetch a newer one and check again."
    else:
        words = f"{words} {age}"
    return CodeVerdict(
        outcome=outcome,
        words=words,
        installation=bundle.anchor.name,
        demo=bundle.demo,
        device_id=device.device_id if device else "",
        counter=code.counter,
        document_starts=code.document.hex(),
        short_code=trace.short_code(signed),
        withdrawn_since=since or 0,
        list_from=bundle.issued,
    )


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y")


def _age(seconds: int) -> str:
    """How old a list is, for people."""
    days = seconds // 86_400
    return "from today" if days < 1 else f"{days} day{'s' * (days > 1)} old"
