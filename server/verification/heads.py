"""A checkpoint by itself, and a lone record with its `.tlog-proof`: what the log signed, and which witnesses saw it.

The log's key comes from the trust bundles that this client holds, never from the checkpoint. A witness counts when its
key is known here: from the trust bundle, which says which are the operator's own, or because the caller named it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from firmware_protocol.events import Event
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import Token
from server.ledger import checkpoint, cosignature, proof
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey
from server.ledger.cosignature import WitnessKey
from server.ledger.entry_codec import Entry
from server.ledger.proof import BadProof, InclusionProof
from server.verification.bundle import Outcome
from server.verification.checks import Checks
from server.verification.leaves import NotSigned, Value, verified
from server.verification.roots import Pin
from server.verification.trust import Standing, TrustBundle

_OUTCOME: Final = {Standing.TRUSTED: Outcome.GOOD, Standing.UNKNOWN_ROOT: Outcome.ISSUER_UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A witness's word on a checkpoint. `own`: run by the operator of the log, so it counts for nothing."""

    name: str
    time: int  # Unix seconds, as the witness signed it
    own: bool


@dataclass(slots=True, kw_only=True)
class Head:
    """What is known of a checkpoint. `checks` may grow by time stamps; `outcome` follows from all of it."""

    checks: Checks = field(default_factory=Checks)
    standing: Standing | None = None  # None: no trust bundle here knows the log
    trust: TrustBundle | None = None
    key: VerifierKey | None = None  # that signed it
    tree: Checkpoint | None = None
    seen: list[Seen] = field(default_factory=list)
    undecided: bool = False  # something was given that could not be judged here

    @property
    def outside(self) -> int:
        return sum(not one.own for one in self.seen)

    @property
    def outcome(self) -> Outcome:
        if self.checks.failed:
            return Outcome.REFUSED
        if self.standing is None or self.undecided:
            return Outcome.CANNOT_CONFIRM
        return _OUTCOME.get(self.standing, Outcome.CANNOT_CONFIRM)

    @property
    def stamped(self) -> bytes:
        """The exact bytes that time stamps are over: the note with the log's own line alone; b"" when unknown."""
        if self.tree is None or self.key is None:
            return b""
        text, _blank, lines = self.tree.note.rpartition("\n\n")
        _parsed, signatures = checkpoint.parse(self.tree.note)
        own = [
            line
            for line, one in zip(lines[:-1].split("\n"), signatures, strict=True)
            if (one.name, one.key_id) == (self.key.name, self.key.key_id)
        ]
        return f"{text}\n\n{own[0]}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A lone leaf. `value` is None when no key may have signed it."""

    head: Head
    index: int
    value: Value | None


def check_head(note: str, *, pins: Sequence[Pin], witnesses: Sequence[WitnessKey], now: int) -> Head:
    """Whose checkpoint it is, whether its log signed it, and who saw it. `now` in Unix seconds."""
    head = Head()
    try:
        tree, _signatures = checkpoint.parse(note)
    except BadCheckpoint as error:
        head.checks.fail("checkpoint", str(error))
        return head
    _find_log(head, tree, pins, now)
    if head.key is not None:
        _find_witnesses(head, note, witnesses)
    return head


def check_record(leaf: bytes, text: str, *, pins: Sequence[Pin], witnesses: Sequence[WitnessKey], now: int) -> Record:
    """A leaf's signature, its place in the log by the `.tlog-proof` in `text`, and the checkpoint it leads to."""
    try:
        carried = InclusionProof.parse(text).checkpoint.note
    except BadProof as error:
        head = Head()
        head.checks.fail("log proof", str(error))
        return Record(head=head, index=-1, value=None)
    head = check_head(carried, pins=pins, witnesses=witnesses, now=now)
    index, value = -1, None
    if head.key is not None and head.tree is not None:
        try:
            index = proof.verify(text, leaf=leaf, key=head.key).index
            words = f"entry {index} of the {head.tree.size} under this checkpoint"
            head.checks.add("log proof", words, passed=True)
        except BadProof as error:
            head.checks.fail("log proof", str(error))
    if head.trust is not None:
        try:
            value = verified(leaf, head.trust)
            head.checks.add("signature", f"{kind_of(value)}, signed by the key that may sign it", passed=True)
        except NotSigned as error:
            head.checks.fail("signature", str(error))
    return Record(head=head, index=index, value=value)


def kind_of(value: Value) -> str:
    """What a leaf is, for people."""
    match value:
        case Entry():
            return f"entry {value.entry_type.name}"
        case Event():
            return f"event {value.header.event_type.name} number {value.header.seq} of device {value.header.device_id}"
        case Token():
            return f"token for device {value.device_id}"
        case _:
            return f"permit for stroke {value.stroke} of device {value.device_id}"


def date_of(time: int) -> str:
    """Unix seconds as people in any place read them."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", " UTC").replace("T", " ")


def _find_log(head: Head, tree: Checkpoint, pins: Sequence[Pin], now: int) -> None:
    """The trusted bundle whose log signed it; a log that is known and did not sign it is a forgery."""
    known = [pin for pin in pins if pin.bundle is not None and pin.bundle.anchor.log_name == tree.origin]
    if not known:
        what = f"log {tree.origin}: none of the {len(pins)} trusted roots here knows it; give its bundle with --trust"
        head.checks.not_shown("checkpoint", what)
        return
    problem = "the trust bundle names no log key"
    for pin in sorted(known, key=lambda one: one.bundle.version if one.bundle else 0, reverse=True):
        trust = pin.bundle
        for public_key in trust.keys_for(Purpose.CHECKPOINT).values() if trust else ():
            key = VerifierKey(name=tree.origin, public_key=public_key)
            try:
                head.tree = checkpoint.verify(tree.note, key=key)
            except BadCheckpoint as error:
                problem = str(error)
                continue
            head.key, head.trust = key, trust
            head.standing = trust.standing(pinned=[pin.root], now=now) if trust else None
            words = f"log {tree.origin}, {tree.size} entries, root {tree.root.hex()[:16]}, signed by the log's key"
            head.checks.add("checkpoint", words, passed=True)
            return
    head.checks.fail("checkpoint", problem)


def _find_witnesses(head: Head, note: str, named: Sequence[WitnessKey]) -> None:
    """Cosignatures under it; lines of keys that nobody here vouched for are counted and not believed."""
    own = {one.public_key for one in head.trust.anchor.witnesses if one.own} if head.trust else set()
    known = (
        [WitnessKey(name=one.name, public_key=one.public_key) for one in head.trust.anchor.witnesses]
        if (head.trust)
        else []
    )
    keys = {key.public_key: key for key in (*known, *named)}
    by_name = {key.name: key for key in keys.values()}
    for one in cosignature.verified(note, keys.values()):
        is_own = by_name[one.name].public_key in own
        head.seen.append(Seen(name=one.name, time=one.time, own=is_own))
        whose = "own, counts for nothing" if is_own else "outside"
        head.checks.add("witness", f"{one.name} ({whose}) saw it at {date_of(one.time)}", passed=True)
    _tree, signatures = checkpoint.parse(note)
    identifiers = {(key.name, key.key_id) for key in keys.values()}
    good = {one.name for one in head.seen}
    for line in signatures:
        if (line.name, line.key_id) in identifiers and line.name not in good:
            head.checks.fail("witness", f"the line of {line.name} does not verify")
    log = (head.key.name, head.key.key_id) if head.key else ("", b"")
    strange = sum((line.name, line.key_id) not in identifiers | {log} for line in signatures)
    if strange:
        what = f"{strange} more lines under it are of keys that nobody here vouched for; give them with --witness"
        head.checks.not_shown("witness", what)
