"""A witness of transparency logs: what it cosigns, what it refuses, and what it keeps as evidence.

Source: c2sp.org/tlog-witness "add-checkpoint". The checks come in its order: well-formed (400), origin known (404), the
log's own signature (403), old size not above the new (400), old size is what was cosigned last (409 with that size),
the new tree begins with the old one (422). Only then the checkpoint is on disk, and only then it is cosigned.
"""

from dataclasses import dataclass

from firmware_protocol.cose import SigningKey
from server.core.clock import Clock
from server.ledger import checkpoint, cosignature, merkle, notes
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.ledger.cosignature import SIZE_TYPE, AddCheckpoint, BadCosignature, WitnessKey
from server.ledger.witness.state import Evidence, Latest, State

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: str
    content_type: str = TEXT


class Witness:
    """One name, one key, one memory. Thread-safe."""

    def __init__(self, state: State, *, name: str, key: SigningKey, clock: Clock) -> None:
        self._state = state
        self._key = key
        self._clock = clock
        self.vkey = WitnessKey(name=name, public_key=key.public_key)

    def add_checkpoint(self, body: bytes) -> Answer:
        """POST add-checkpoint."""
        try:
            text = body.decode("utf-8")
            asked = AddCheckpoint.parse(text)
        except (UnicodeDecodeError, BadCosignature, BadCheckpoint) as error:
            return Answer(status=400, body=f"{error}\n")
        log = self._state.key_of(asked.checkpoint.origin)
        if log is None:
            return Answer(status=404, body=f"{asked.checkpoint.origin} is not followed here\n")
        try:
            checkpoint.verify(asked.checkpoint.note, key=log)
        except BadCheckpoint as error:
            return Answer(status=403, body=f"{error}\n")
        if asked.old > asked.checkpoint.size:
            return Answer(status=400, body="the old size is above the checkpoint's\n")
        with self._state.writing() as state:
            return self._decide(state, asked, log, text)

    def latest(self, origin_hash: str) -> Answer:
        """GET <origin hash>/checkpoint, for monitors."""
        found = self._state.named(origin_hash)
        if found is None:
            return Answer(status=404, body="no checkpoint of such a log was cosigned here\n")
        return Answer(status=200, body=found.note)

    def _decide(self, state: State, asked: AddCheckpoint, log: VerifierKey, text: str) -> Answer:
        """Inside the transaction that excludes every other request."""
        shown, known = asked.checkpoint, state.latest(log.name)
        fork = known is not None and known.size == shown.size and known.root != shown.root
        size, root = (known.size, known.root) if known else (0, merkle.EMPTY_ROOT)
        if asked.old != size:
            if fork:
                self._keep(state, asked, known, text, what="another root for the same size", fork=True)
            return Answer(status=409, body=f"{size}\n", content_type=SIZE_TYPE)
        what = _fault(asked, size, root)
        if what:
            self._keep(state, asked, known, text, what=what, fork=fork)
            return Answer(status=422, body=f"{what}\n")
        now = max(int(self._clock.now().timestamp()), known.time if known else 0)  # a clock set back says nothing older
        line = cosignature.sign(shown.note, name=self.vkey.name, time=now, key=self._key).line
        note = _signed_by_log(shown.note, log) + line
        state.remember(log.name, Latest(size=shown.size, root=shown.root, note=note, time=now))
        return Answer(status=200, body=line)

    def _keep(
        self, state: State, asked: AddCheckpoint, known: Latest | None, text: str, *, what: str, fork: bool
    ) -> None:
        now = int(self._clock.now().timestamp())
        before = known.note if known else ""
        found = Evidence(origin=asked.checkpoint.origin, time=now, what=what, fork=fork, known=before, request=text)
        state.keep(found)


def _fault(asked: AddCheckpoint, size: int, root: bytes) -> str:
    """Why the new tree does not begin with the old one; empty: it does."""
    shown = asked.checkpoint
    if shown.size == 0 and shown.root != merkle.EMPTY_ROOT:
        return "the root of an empty tree is the hash of nothing"
    if size == 0:
        return "a proof from an empty tree has no hashes" if asked.path else ""
    if size == shown.size and root != shown.root:
        return "another root for the same size"
    if not merkle.verify_consistency(size, root, shown.size, shown.root, asked.path):
        return f"the proof does not lead from {size} to {shown.size} entries"
    return ""


def _signed_by_log(note: str, log: VerifierKey) -> str:
    """The note with the log's own lines only: what others put below it was not checked here."""
    text, _, lines = note.rpartition("\n\n")
    kept = [line for line in lines.splitlines(keepends=True) if line.startswith(f"{notes.DASH}{log.name} ")]
    return f"{text}\n\n{''.join(kept)}"
