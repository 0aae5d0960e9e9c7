"""Asking witnesses: after a new checkpoint each configured witness gets it with a proof from what it saw last.

It runs beside the sequencer in a thread of its own and never holds it up; a witness that is away is asked again later,
and the log goes on without it. Source: c2sp.org/tlog-witness.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
import structlog
from sqlmodel import Session

from server.core.clock import Clock
from server.core.db import Database
from server.core.settings import Settings
from server.ledger import checkpoint, cosignature, log_store, tile_cache, witness_store
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey
from server.ledger.cosignature import AddCheckpoint, BadCosignature, Witness, WitnessKey
from server.ledger.schemas import Trouble
from server.ledger.witnessed import LogBehind, WitnessedRecord

FIRST_WAIT_S: Final = 5.0
LONGEST_WAIT_S: Final = 300.0
"""A witness that did not cosign is asked again after a doubling wait between these."""
CONNECT_S: Final = 3.0
ANSWER_S: Final = 5.0
MAX_ANSWER: Final = 64 * 1024
"""A witness answers with a few signature lines, or with one checkpoint."""
AT_ONCE: Final = 8

log = structlog.get_logger("ledger")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a witness answered; status 0: nothing."""

    status: int
    body: str


class Wire(Protocol):
    """HTTP to witnesses. Thread-safe. Never raises: what fails is a Reply with status 0 and the reason as body."""

    def post(self, url: str, body: str) -> Reply: ...

    def get(self, url: str) -> Reply: ...


class HttpWire:
    """Over httpx, with short limits for time and size."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), follow_redirects=False)

    def post(self, url: str, body: str) -> Reply:
        return self._ask("POST", url, body)

    def get(self, url: str) -> Reply:
        return self._ask("GET", url, None)

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, url: str, body: str | None) -> Reply:
        try:
            with self._client.stream(method, url, content=body.encode() if body is not None else None) as answer:
                data = b""
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > MAX_ANSWER:
                        return Reply(0, f"more than {MAX_ANSWER} bytes")
            return Reply(answer.status_code, data.decode("utf-8", "replace"))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Reply(0, type(error).__name__)


def witnesses_of(settings: Settings) -> tuple[Witness, ...]:
    """Raises: BadCosignature for a vkey that is none, or for two witnesses with one name or one key."""
    found = tuple(
        Witness(key=WitnessKey.parse(one.vkey), url=one.url.rstrip("/"), own=one.own) for one in settings.witnesses
    )
    if len({one.name for one in found}) != len(found) or len({one.key.public_key for one in found}) != len(found):
        raise BadCosignature("two witnesses have the same name or the same key")
    return found


def shown_by(wire: Wire, witnesses: Sequence[Witness], key: VerifierKey) -> list[Checkpoint]:
    """The checkpoints of this log that witnesses show, without those that our key did not sign."""
    if not witnesses:
        return []
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(witnesses))) as pool:
        found = pool.map(lambda witness: _shown(wire, witness, key), witnesses)
        return [head for head in found if head is not None]


class Witnessing:
    """Asks, checks, stores. One round at a time; the thread that calls `round` is the caller's."""

    def __init__(
        self,
        database: Database,
        *,
        witnesses: Sequence[Witness],
        key: VerifierKey,
        record: WitnessedRecord,
        clock: Clock,
        wire: Wire,
    ) -> None:
        self._database = database
        self._witnesses = witnesses
        self._key = key
        self._record = record
        self._clock = clock
        self._wire = wire
        self._recorded = -1
        self._not_before: dict[str, float] = {}
        self._wait: dict[str, float] = {}

    def round(self) -> int:
        """Ask every witness that has not seen the newest checkpoint; returns how many cosigned it now.

        Raises: LogBehind, when a witness shows a checkpoint of ours that this database does not have.
        """
        with self._database.read() as db:
            newest = log_store.newest_checkpoint(db)
            if newest is None:
                return 0
            seen = {one.name: witness_store.witness(db, one.name).size for one in self._witnesses}
            mine = cosignature.verified(_as_stored(db, newest), [one.key for one in self._witnesses])
        done = {one.name for one in mine}
        due = [one for one in self._witnesses if one.name not in done and self._is_due(one)]
        if not due:
            return 0
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(due))) as pool:
            cosigned = list(pool.map(lambda one: self._ask(one, newest, seen[one.name]), due))
        if any(cosigned) and newest.size > self._recorded:
            with self._database.read() as db:
                self._record.keep(witness_store.checkpoint_at(db, newest.size) or newest)
            self._recorded = newest.size
        return sum(cosigned)

    def _is_due(self, witness: Witness) -> bool:
        return self._clock.monotonic() >= self._not_before.get(witness.name, 0.0)

    def _ask(self, witness: Witness, newest: Checkpoint, old: int) -> bool:
        """Whether it cosigned. A witness that remembers another size than we think says so (409) and is asked again."""
        reply = self._send(witness, newest, min(old, newest.size))
        if reply.status == 409:
            claimed = _size_in(reply.body)
            if claimed is None:
                return self._failed(witness, Trouble.BROKEN, "409 without a size")
            if claimed > newest.size:
                return self._ahead(witness, claimed)
            with self._database.write() as db:
                witness_store.knows(db, witness.name, claimed)
            reply = self._send(witness, newest, claimed)
        if reply.status != 200:
            return self._failed(witness, *_trouble_of(reply))
        try:
            found = cosignature.verified(cosignature.with_lines(newest.note, _lines(reply.body)), [witness.key])
        except BadCheckpoint:
            found = []
        if not found:
            return self._failed(witness, Trouble.BROKEN, "no cosignature of its key on this checkpoint")
        with self._database.write() as db:
            witness_store.cosigned(db, newest, found, now=self._clock.now())
        self._wait.pop(witness.name, None)
        return True

    def _send(self, witness: Witness, newest: Checkpoint, old: int) -> Reply:
        with self._database.read() as db:
            path = tile_cache.consistency_proof(db, old, newest.size)
        request = AddCheckpoint(old=old, path=tuple(path), checkpoint=newest)
        return self._wire.post(f"{witness.url}/add-checkpoint", request.text())

    def _ahead(self, witness: Witness, claimed: int) -> bool:
        """It says that it saw more than the newest checkpoint: a restored database, another writer, or a lie.

        Raises: LogBehind, when it shows what we signed.
        """
        shown = _shown(self._wire, witness, self._key)
        with self._database.read() as db:
            here = log_store.newest_checkpoint(db)
        if shown is not None and here is not None and shown.size > here.size:
            raise LogBehind(size=here.size, seen=shown.size)
        return self._failed(witness, Trouble.AHEAD, str(claimed))

    def _failed(self, witness: Witness, trouble: Trouble, detail: str) -> bool:
        wait = min(self._wait.get(witness.name, FIRST_WAIT_S / 2) * 2, LONGEST_WAIT_S)
        self._wait[witness.name] = wait
        self._not_before[witness.name] = self._clock.monotonic() + wait
        log.warning("witness_did_not_cosign", witness=witness.name, trouble=trouble.value, detail=detail)
        with self._database.write() as db:
            witness_store.in_trouble(db, witness.name, trouble, detail, now=self._clock.now())
        return False


def _as_stored(db: Session, newest: Checkpoint) -> str:
    found = witness_store.checkpoint_at(db, newest.size)
    return found.note if found else newest.note


def _shown(wire: Wire, witness: Witness, key: VerifierKey) -> Checkpoint | None:
    """What the witness serves to monitors, when our key signed it."""
    reply = wire.get(f"{witness.url}/{hashlib.sha256(key.name.encode()).hexdigest()}/checkpoint")
    try:
        return checkpoint.verify(reply.body, key=key) if reply.status == 200 else None
    except BadCheckpoint:
        return None


def _size_in(body: str) -> int | None:
    text = body.removesuffix("\n")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _lines(body: str) -> list[str]:
    return body.splitlines(keepends=True)[: checkpoint.MAX_SIGNATURES // 2]


def _trouble_of(reply: Reply) -> tuple[Trouble, str]:
    said = " ".join(reply.body.split())[:100]
    match reply.status:
        case 0:
            return Trouble.AWAY, said
        case 403 | 404:
            return Trouble.UNKNOWN, said
        case 422:
            return Trouble.REFUSED, said
        case status if status >= 500:
            return Trouble.AWAY, f"HTTP {status}"
        case status:
            return Trouble.BROKEN, f"HTTP {status} {said}"
