"""Photos, electronic seals and the filed record of a bundle, against what was signed about them."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from firmware_protocol import trace
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event, EventType
from firmware_protocol.purposes import Purpose
from server.ledger.entry_types import EntryType
from server.verification.checks import Checks
from server.verification.manifest import Manifest
from server.verification.story import Story, as_bytes, names
from server.verification.trust import TrustBundle

CheckSealed = Callable[[bytes, TrustBundle, Callable[[bytes], bool]], tuple[bool, str]]
"""(sealed PDF, trust bundle, is this SHA-256 digest one that we sealed) -> (accepted, in words)."""

SEALED: Final = "sealed.pdf"


def check_photos(story: Story, members: Mapping[str, bytes], manifest: Manifest, checks: Checks) -> None:
    """Every photo is the one a signed event names, and every photo of the record is there."""
    announced = {
        digest
        for leaf in story.leaves
        if isinstance(leaf.value, Event)
        for name in ("photo_digest", "preview_digest", "sample_digest")
        if isinstance(digest := getattr(leaf.value.body, name, None), bytes)
    }
    faults = []
    photos = [name for name in members if name.startswith("photos/")]
    for name in photos:
        digest = hashlib.sha256(members[name]).digest()
        if name != f"photos/{digest.hex()}.jpg":
            faults.append((name, "its SHA-256 is not its name: it was exchanged or changed"))
        elif digest not in announced:
            faults.append((name, "no signed event names this photo"))
    for digest in manifest.record.photos:
        name = f"photos/{digest.hex()}.jpg"
        if name not in members:
            faults.append((name, "it is missing; it was there when the record was filed"))
    checks.group("photos", faults, summary=f"{len(photos)} photos with the digests in signed events")


def check_record(story: Story, manifest: Manifest, checks: Checks) -> None:
    """The signed RECORD_FILED entry fixes the set of leaves and photos: nothing was left out."""
    filed = list(story.entries(EntryType.RECORD_FILED))
    if not filed:
        checks.fail("record", "no signed entry files this record, so nobody can tell what is missing")
        return
    leaf, entry = filed[-1]
    record = manifest.record
    checks.add(
        "record",
        f"digest over document, {len(record.leaves)} entries and {len(record.photos)} photos with the filed record",
        passed=as_bytes(entry.public.get("record_digest")) == record.digest()
        and record.document == story.document
        and names(entry, "request", story.request),
        member=leaf.member,
    )
    present = {one.leaf_hash for one in story.leaves}
    missing = [
        (f"entries/{one.hex()}.cose", "it belongs to the filed record and is missing")
        for one in record.leaves
        if one not in present
    ]
    checks.group("completeness", missing, summary=f"all {len(record.leaves)} entries of the filed record are here")


def check_eseals(
    story: Story, members: Mapping[str, bytes], trust: TrustBundle, checks: Checks, check_sealed: CheckSealed | None
) -> int:
    """The sealed PDF is the one on record, its code is signed by the server; returns how many seals were issued."""
    faults = []
    issued = {}
    for leaf, entry in story.entries(EntryType.ESEAL_ISSUED):
        issued[as_bytes(entry.public.get("sealed_digest"))] = leaf
        if as_bytes(entry.public.get("document_digest")) != story.document:
            faults.append((leaf.member, "it is a seal on another document"))
        if code := as_bytes(entry.public.get("trace_code")):
            faults += [(leaf.member, what) for what in _code_faults(code, story, trust)]
    sealed = members.get(SEALED)
    if sealed is not None and hashlib.sha256(sealed).digest() not in issued:
        faults.append((SEALED, "no signed entry names this file as sealed by us"))
    if issued or faults:
        checks.group(
            "electronic seal", faults, summary=f"{len(issued)} electronic seals on document.pdf, file as on record"
        )
    if sealed is not None and not faults:
        if check_sealed is None:
            checks.not_shown("sealed PDF", "the signature inside the PDF was not looked at", member=SEALED)
        else:
            accepted, words = check_sealed(sealed, trust, issued.__contains__)
            checks.add("sealed PDF", words, passed=accepted, member=SEALED)
    return len(issued)


def notes(story: Story, trust: TrustBundle, codes: list[bytes]) -> tuple[str, ...]:
    """What the reader must know although nothing is wrong with the bundle."""
    said = [
        f"code {trace.short_code(code)} was withdrawn later: do not rely on that paper"
        for code in codes
        if trust.withdrawn_since(hashlib.sha256(code).digest()) is not None
    ]
    said += [
        f"a code of this request was withdrawn (entry {entry.entry_id}): do not rely on that paper"
        for _leaf, entry in story.entries(EntryType.CODE_WITHDRAWN)
    ]
    events = [leaf.value for leaf in story.leaves if isinstance(leaf.value, Event)]
    if extra := sum(event.header.event_type is EventType.EXTRA_STROKE for event in events):
        said.append(f"the device reported {extra} times that it was pressed without leave")
    return tuple(said)


def _code_faults(signed: bytes, story: Story, trust: TrustBundle) -> list[str]:
    try:
        code = trace.verify(signed, keys=trust.keys_for(Purpose.TRACE))
    except ProtocolError as error:
        return [f"its trace code: {error}"]
    return [] if code.document == story.document[:16] else ["its trace code names another document"]
