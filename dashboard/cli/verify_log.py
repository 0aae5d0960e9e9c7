"""The part of `cinnabar verify` about the log: a lone record with its proof, a checkpoint with witnesses and stamps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from dashboard.cli.verify_answer import CANNOT, GOOD, REFUSED, Answer, Unreadable
from server.core.clock import SystemClock
from server.ledger.cosignature import BadCosignature, WitnessKey
from server.ledger.entry_codec import Entry
from server.verification import heads
from server.verification.bundle import Outcome
from server.verification.heads import Head, Record
from server.verification.roots import Pin
from server.verification.target import Target
from server.verification.trust import TrustBundle

if TYPE_CHECKING:
    from server.eseals.stamped import Stamp

PROOF: Final = ".tlog-proof"
_EXIT: Final = {Outcome.GOOD: GOOD, Outcome.REFUSED: REFUSED}
_CHECKPOINT_WORDS: Final = {
    Outcome.GOOD: "The log signed this checkpoint, and its installation is trusted here.",
    Outcome.ISSUER_UNKNOWN: "Consistent, issuer unknown: nobody here vouched for the log's root.",
    Outcome.CANNOT_CONFIRM: "Not everything could be checked here; the lines with a question mark say what is missing.",
    Outcome.REFUSED: "Refused: something in it does not fit.",
}
_RECORD_WORDS: Final = _CHECKPOINT_WORDS | {
    Outcome.GOOD: "This record is in the log, as its signer signed it, and its installation is trusted here."
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What stands beside the target. `authorities`: outside ones, by name, with the certificates to believe."""

    pins: Sequence[Pin]
    proof: bytes | None = None
    stamps: Mapping[str, bytes]
    witnesses: tuple[WitnessKey, ...] = ()
    authorities: Mapping[str, Sequence[x509.Certificate]]


def read_given(
    target: str,
    pins: Sequence[Pin],
    *,
    proof: Path | None,
    stamps: Sequence[Path],
    witnesses: Sequence[str],
    authorities: Sequence[Path],
) -> Given:
    """Read the files of the options; without `proof`, the `.tlog-proof` beside the target. Raises: Unreadable."""
    beside = Path(target).with_suffix(PROOF) if target != "-" and len(target) < 200 else None
    chosen = proof or (beside if beside is not None and beside.is_file() else None)
    try:
        return Given(
            pins=pins,
            proof=_bytes(chosen) if chosen is not None else None,
            stamps={path.name: _bytes(path) for path in stamps},
            witnesses=tuple(WitnessKey.parse(text) for text in witnesses),
            authorities={path.stem: x509.load_pem_x509_certificates(_bytes(path)) for path in authorities},
        )
    except BadCosignature as error:
        raise Unreadable(f"--witness: {error}") from error
    except ValueError as error:
        raise Unreadable(f"--time-authority wants certificates in PEM: {error}") from error


def of_checkpoint(data: bytes, given: Given) -> Answer:
    now = int(SystemClock().now().timestamp())
    head = heads.check_head(data.decode("utf-8"), pins=given.pins, witnesses=given.witnesses, now=now)
    stamps = _check_stamps(head, given)
    return _answer(Target.CHECKPOINT, head, stamps, _CHECKPOINT_WORDS, {})


def of_record(data: bytes, given: Given) -> Answer:
    """Raises: Unreadable, without a proof."""
    if given.proof is None:
        raise Unreadable("a lone record needs its proof: FILE.tlog-proof beside it, or --proof FILE")
    try:
        text = given.proof.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("the proof is not text") from error
    now = int(SystemClock().now().timestamp())
    record = heads.check_record(data, text, pins=given.pins, witnesses=given.witnesses, now=now)
    stamps = _check_stamps(record.head, given)
    return _answer(Target.RECORD, record.head, stamps, _RECORD_WORDS, _facts(record))


def judge_stamp(answer: bytes, note: bytes, trust: TrustBundle, given: Given) -> tuple[bool | None, str]:
    """Whether all of a stamp's CMS holds and whose it is; None: nobody here knows whose."""
    found = _stamp(answer, note, trust, given)
    if found.problem:
        return False, found.problem
    if found.time is None:
        return None, "whose it is, nobody here knows: give the authority's certificates with --time-authority"
    whose = "own, counts for nothing" if found.own else "outside"
    moment = heads.date_of(int(found.time.timestamp()))
    return True, f"{found.authority} ({whose}): the checkpoint existed at {moment}; signature and certificate hold"


def _stamp(answer: bytes, note: bytes, trust: TrustBundle, given: Given) -> "Stamp":
    from server.eseals import stamped

    own = [x509.load_der_x509_certificate(der) for der in trust.anchor.authorities]
    return stamped.judge(answer, note, own=own, outside=given.authorities, now=SystemClock().now())


def _check_stamps(head: Head, given: Given) -> list[dict[str, Any]]:
    """Adds a check a stamp; returns those that hold, as the answer lists them."""
    good = []
    for name, answer in given.stamps.items():
        if head.trust is None or not head.stamped:
            head.checks.not_shown("time stamp", "what it should be about is not known here", member=name)
            head.undecided = True
            continue
        holds, words = judge_stamp(answer, head.stamped, head.trust, given)
        if holds is None:
            head.checks.not_shown("time stamp", words, member=name)
            head.undecided = True
            continue
        if head.checks.add("time stamp", words, passed=holds, member=name):
            found = _stamp(answer, head.stamped, head.trust, given)
            time = found.time.isoformat() if found.time else ""
            good.append({"authority": found.authority, "own": found.own, "time": time})
    return good


def _answer(
    target: Target, head: Head, stamps: list[dict[str, Any]], words: Mapping[Outcome, str], facts: dict[str, Any]
) -> Answer:
    outside_stamps = sum(not one["own"] for one in stamps)
    witnesses = [{"name": one.name, "own": one.own, "time": one.time} for one in head.seen]
    about: dict[str, Any] = {
        "witnesses": witnesses,
        "outside_witnesses": head.outside,
        "time_stamps": stamps,
        "outside_time_stamps": outside_stamps,
    }
    if head.tree is not None and head.trust is not None:
        about = {
            "installation": head.trust.anchor.name,
            "log": head.tree.origin,
            "entries": head.tree.size,
            "tree_root": head.tree.root.hex(),
        } | about
    outcome = head.outcome
    seen = f"Seen by {_count(head.outside, 'outside witness', 'outside witnesses')}, stamped by " + _count(
        outside_stamps, "outside authority", "outside authorities"
    )
    note = "" if head.outside or outside_stamps else ": nobody but the operator vouches for when it existed"
    return Answer(
        target=target,
        outcome=outcome.value,
        words=words[outcome],
        exit_code=_EXIT.get(outcome, CANNOT),
        demo=head.trust.demo if head.trust else False,
        checks=tuple(head.checks.done),
        facts=facts | about,
        notes=(f"{seen}{note}.",) if head.key is not None else (),
    )


def _facts(record: Record) -> dict[str, Any]:
    if record.value is None:
        return {}
    facts: dict[str, Any] = {"record": heads.kind_of(record.value), "index": record.index}
    if isinstance(record.value, Entry):
        facts["signed_at"] = heads.date_of(record.value.time_ms // 1000)
    return facts


def _count(number: int, one: str, many: str) -> str:
    return f"{number or 'no'} {one if number == 1 else many}"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read") from error
