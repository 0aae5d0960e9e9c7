"""The evidence bundle: built from its members, and verified offline (design: D10). Pure: bytes in, value out.

`verify` asks, in this order: is the container the canonical one; does the manifest name every member and nothing else;
do the trust bundle's signatures hold and did this client pin its root; did the right key sign every entry; do the
entries lead to the signed checkpoint; do openings, decisions, tokens, device events, photos and seals tell one story;
and is the filed record complete. Keys inside are only a claim: without a pinned root the best answer is "consistent,
issuer unknown".
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from firmware_protocol.purposes import Purpose
from server.ledger import checkpoint
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.verification import anchors, contents, labels, leaves, manifest, story, strokes
from server.verification.checks import Check, Checks, Result
from server.verification.container import Fault, NotABundle, pack, unpack
from server.verification.contents import CheckSealed
from server.verification.labels import SheetLabel
from server.verification.manifest import BadManifest, Manifest, Record
from server.verification.roots import Pin
from server.verification.story import Story
from server.verification.strokes import Stroke
from server.verification.trust import BundleBroken, Standing, TrustBundle, read_bundle

REQUIRED: Final = (manifest.NAME, "checkpoint", "document.pdf", "trust.cose")
FOLDERS: Final = ("anchors", "decisions", "entries", "openings", "photos", "proofs")
OPTIONAL: Final = (contents.SEALED,)


class Outcome(StrEnum):
    GOOD = "good"
    ISSUER_UNKNOWN = "issuer_unknown"  # consistent, but nobody pinned the root inside
    CANNOT_CONFIRM = "cannot_confirm"  # consistent, but the trust bundle is too old to say
    REFUSED = "refused"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleVerdict:
    """The answer, with every comparison behind it."""

    outcome: Outcome
    checks: tuple[Check, ...]
    demo: bool = False
    installation: str = ""
    root: bytes = b""
    trust_version: int = 0
    request: str = ""
    document: bytes = b""
    strokes: tuple[Stroke, ...] = ()
    labels: tuple[SheetLabel, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Members that a failed check is about, each once."""
        failed = [check.member for check in self.checks if check.result is Result.FAILED and check.member]
        return tuple(dict.fromkeys(failed))


def build(members: Mapping[str, bytes], *, request: str, record: Record) -> bytes:
    """The bundle of `members` (without manifest). Raises: ValueError for a member no bundle has."""
    strange = [name for name in members if not _belongs(name)]
    if strange or manifest.NAME in members:
        raise ValueError(f"not a member of a bundle: {strange or manifest.NAME}")
    return pack({**members, manifest.NAME: manifest.build(members, request=request, record=record)})


def verify(
    data: bytes,
    *,
    pins: Sequence[Pin],
    now: int,
    check_sealed: CheckSealed | None = None,
    judge_stamp: anchors.Judge | None = None,
) -> BundleVerdict:
    """The verdict on a bundle; never raises on input. `now` in Unix seconds."""
    try:
        members, faults = unpack(data)
    except NotABundle as error:
        check = Check(name="container", result=Result.FAILED, compared=str(error))
        return BundleVerdict(outcome=Outcome.UNREADABLE, checks=(check,))
    checks = Checks()
    listed = _check_members(members, faults, checks)
    trusted = _check_trust(members, pins, now, checks)
    if listed is None or trusted is None:
        return BundleVerdict(outcome=Outcome.REFUSED, checks=tuple(checks.done))
    trust, standing = trusted
    told = _check_log(members, listed, trust, checks, judge_stamp)
    story.check_request(told, members, checks)
    story.check_decisions(told, members, checks)
    story.check_tokens(told, checks)
    strokes.check_chain(told, checks)
    made = strokes.check_strokes(told, trust, checks)
    stuck = labels.check_labels(told, made, checks)
    contents.check_photos(told, members, listed, checks)
    sealed = contents.check_eseals(told, members, trust, checks, check_sealed)
    contents.check_record(told, listed, checks)
    if not made and not sealed:
        checks.fail("use", "neither a stroke nor an electronic seal is in this bundle")
    return BundleVerdict(
        outcome=Outcome.REFUSED if checks.failed else _OUTCOME[standing],
        checks=tuple(checks.done),
        demo=trust.demo,
        installation=trust.anchor.name,
        root=trust.root_key,
        trust_version=trust.version,
        request=listed.request,
        document=told.document,
        strokes=tuple(made),
        labels=stuck,
        notes=contents.notes(told, trust, [stroke.code for stroke in made]),
    )


_OUTCOME: Final = {
    Standing.TRUSTED: Outcome.GOOD,
    Standing.UNKNOWN_ROOT: Outcome.ISSUER_UNKNOWN,
    Standing.EXPIRED: Outcome.CANNOT_CONFIRM,
    Standing.OUTDATED: Outcome.CANNOT_CONFIRM,
}


def _belongs(name: str) -> bool:
    folder, slash, _file = name.partition("/")
    return folder in FOLDERS if slash else name in (*REQUIRED, *OPTIONAL)


def _check_members(members: Mapping[str, bytes], faults: list[Fault], checks: Checks) -> Manifest | None:
    """Container and manifest; None when there is no manifest to go by."""
    found = [(fault.member, fault.what) for fault in faults]
    checks.group("container", found, summary=f"{len(members)} members, sorted, stored, nothing between or behind them")
    if manifest.NAME not in members:
        checks.fail("manifest", "it is missing", member=manifest.NAME)
        return None
    try:
        listed = manifest.parse(members[manifest.NAME])
    except BadManifest as error:
        checks.fail("manifest", str(error), member=manifest.NAME)
        return None
    absent = sorted({*REQUIRED, *listed.members} - {manifest.NAME, *members})
    wrong = [(name, "it is missing") for name in absent]
    for name, data in members.items():
        expected = listed.members.get(name)
        if name == manifest.NAME:
            continue
        if expected is None or not _belongs(name):
            wrong.append((name, "it was added: the manifest does not name it, or no bundle has it"))
        elif expected != (len(data), hashlib.sha256(data).digest()):
            wrong.append((name, "its SHA-256 is not the one in the manifest: it was changed or exchanged"))
    checks.group("manifest", wrong, summary=f"SHA-256 of {len(listed.members)} members, and no other member")
    return listed


def _check_trust(
    members: Mapping[str, bytes], pins: Sequence[Pin], now: int, checks: Checks
) -> tuple[TrustBundle, Standing] | None:
    """The trust bundle to go by: the one inside, or the newer one of the same root that this client holds."""
    try:
        inside = read_bundle(members.get("trust.cose", b""))
    except BundleBroken as error:
        checks.fail("trust bundle", str(error), member="trust.cose")
        return None
    label = "DEMO root" if inside.demo else "root"
    held = [pin for pin in pins if pin.root == inside.root_key and pin.demo == inside.demo]
    newest = max((pin.bundle for pin in held if pin.bundle), key=lambda one: one.version, default=None)
    trust = newest if newest is not None and newest.version > inside.version else inside
    standing = trust.standing(pinned=[pin.root for pin in held], now=now)
    same = [pin for pin in pins if pin.bundle and pin.bundle.anchor.installation_id == inside.anchor.installation_id]
    if standing is Standing.UNKNOWN_ROOT and same:
        what = f"it calls itself {inside.anchor.name}, but its {label} is not the one pinned for that installation"
        checks.fail("root", what, member="trust.cose")
        return trust, standing
    source = (
        f"version {inside.version}"
        if trust is inside
        else f"version {inside.version}; the newer {trust.version} counts"
    )
    words = f"{label} {inside.root_key.hex()[:16]} signs {inside.anchor.name}, {source}"
    checks.add("trust bundle", words, passed=True, member="trust.cose")
    match standing:
        case Standing.TRUSTED:
            checks.add("root", f"{label} with {len(pins)} trusted roots: it is one of them", passed=True)
        case Standing.UNKNOWN_ROOT:
            checks.not_shown("root", f"{label} with {len(pins)} trusted roots: it is none of them", member="trust.cose")
        case _:
            checks.not_shown("root", "the trust bundle has expired; give a newer one with --trust", member="trust.cose")
    return trust, standing


def _check_log(
    members: dict[str, bytes], listed: Manifest, trust: TrustBundle, checks: Checks, judge_stamp: anchors.Judge | None
) -> Story:
    """Checkpoint, leaves, proofs, openings."""
    keys = trust.keys_for(Purpose.CHECKPOINT).values()
    signers = [VerifierKey(name=trust.anchor.log_name, public_key=key) for key in keys]
    log, problem = None, "the trust bundle names no log key"
    for signer in signers:
        try:
            head = checkpoint.verify(members.get("checkpoint", b"").decode("utf-8"), key=signer)
        except (BadCheckpoint, UnicodeDecodeError) as error:
            problem = str(error)
        else:
            log, problem = signer, f"log {head.origin}, {head.size} entries, signed by the log's key"
    checks.add("checkpoint", problem, passed=log is not None, member="checkpoint")
    if log is None:
        log = signers[0] if signers else VerifierKey(name=trust.anchor.log_name, public_key=bytes(32))
    anchors.check(members, log, trust, checks, judge_stamp)
    read = leaves.read_all(members, trust=trust, log=log, checks=checks)
    orphans = [
        (name, "it proves no entry of this bundle")
        for name in members
        if name.startswith("proofs/") and f"entries/{name[7:].removesuffix('.tlog-proof')}.cose" not in members
    ]
    if orphans:
        checks.group("log proofs", orphans, summary="")
    leaves.open_all(read, members, checks)
    return Story(request=listed.request, leaves=read)
