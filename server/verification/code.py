"""A trace code offline, against a trust bundle: who signed it, and whether it was withdrawn.

The code says that a stroke of that device made it (or that the server sealed a PDF). It says nothing about the paper it
is seen on: a code can be copied. A typed short code is only a digest, so without the list of codes nobody can tell.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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
            return _known(signed, found[0], found[1], bundle, bundle.standing(pinned=[bundle.root_key], now=now))
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


def _known(
    signed: bytes, code: TraceCode, device: DeviceKey | None, bundle: TrustBundle, standing: Standing
) -> CodeVerdict:
    outcome, words = Outcome.KNOWN, "This code is real. Compare your paper with the record: a code can be copied."
    withdrawn = [one for one in bundle.withdrawals if one.kind == "code" and one.id == code_hash(signed)]
    if withdrawn:
        outcome, words = Outcome.WITHDRAWN, "This code was withdrawn. Do not rely on this paper."
    elif device is not None and device.status is DeviceStatus.COMPROMISED:
        outcome = Outcome.CANNOT_CONFIRM
        words = "The key of the device that made this code was reported stolen. Do not rely on this paper yet."
    elif standing is not Standing.TRUSTED:
        outcome = Outcome.CANNOT_CONFIRM
        words = "The trust bundle here is too old to say; fetch a newer one and check again."
    return CodeVerdict(
        outcome=outcome,
        words=words,
        installation=bundle.anchor.name,
        demo=bundle.demo,
        device_id=device.device_id if device else "",
        counter=code.counter,
        document_starts=code.document.hex(),
        short_code=trace.short_code(signed),
    )
