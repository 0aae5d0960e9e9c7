"""What the keeper's sessions must remember over a restart or without headquarters, in SQLite (WAL, synchronous=FULL).

HOME/session.db: the open job of each device, the last roster with its people, vouchers, what keepers wrote, and what
is left over from finished jobs. Nothing here opens a device: it holds signed bytes and words.
"""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway.durable import open_durable
from gateway.outbox import room
from gateway.rules.state import Imprint, Plan, Session, Step, Sticker

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS session (device TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS roster (device TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS voucher (
    token_id BLOB PRIMARY KEY, device TEXT NOT NULL, expires_ms INTEGER NOT NULL, token BLOB NOT NULL,
    job TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (
    id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    about TEXT NOT NULL, who TEXT NOT NULL, words TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS untold (
    note_id TEXT PRIMARY KEY, device TEXT NOT NULL, at_ms INTEGER NOT NULL, said TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leftover (
    token_id TEXT NOT NULL, stroke INTEGER NOT NULL, kind TEXT NOT NULL, device TEXT NOT NULL, title TEXT NOT NULL,
    at_ms INTEGER NOT NULL, PRIMARY KEY (token_id, stroke, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (device TEXT PRIMARY KEY, strokes INTEGER NOT NULL) WITHOUT ROWID;
"""
KEPT_STEPS: Final = frozenset({Step.DONE, Step.LABEL, Step.REDO, Step.SPOIL})
"""Steps that a restarted gateway shows again as they were; the others begin with a page on the tray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """A signed token for use without headquarters, and the job it is for (JobRead)."""

    device_id: str
    token_id: bytes
    expires_ms: int
    token: bytes
    job: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A keeper's words. `kind`: stopped, extra_stroke, kept_faint; `about`: the job's title or request."""

    device_id: str
    at_ms: int
    kind: str
    about: str
    who: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """`kind`: label_missing, look_at_imprint."""

    device_id: str
    token_id: str
    stroke: int
    kind: str
    title: str
    at_ms: int


class Notebook:
    """One file, one connection, a lock. Every write raises NoRoom when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = open_durable(path, schema=_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # The open job

    def keep_session(self, device_id: str, session: Session) -> None:
        """A session without a job is forgotten."""
        if session.plan is None or not session.busy:
            self._run("DELETE FROM session WHERE device = ?", device_id)
            return
        facts = asdict(session) | {
            "step": session.step.value,
            "differences": [],
            "asked": "",
            "case_id": "",
            "reminded": None,
        }
        self._run("INSERT OR REPLACE INTO session VALUES (?, ?)", device_id, json.dumps(facts))

    def session(self, device_id: str) -> Session | None:
        rows = self._rows("SELECT facts FROM session WHERE device = ?", device_id)
        return _session(json.loads(rows[0][0])) if rows else None

    def keep_alarm(self, device_id: str, strokes: int) -> None:
        """0: it was explained."""
        if strokes:
            self._run("INSERT OR REPLACE INTO alarm VALUES (?, ?)", device_id, strokes)
        else:
            self._run("DELETE FROM alarm WHERE device = ?", device_id)

    def alarm(self, device_id: str) -> int:
        rows = self._rows("SELECT strokes FROM alarm WHERE device = ?", device_id)
        return int(rows[0][0]) if rows else 0

    # People and vouchers, for when headquarters is out of reach

    def keep_roster(self, device_id: str, answer: dict[str, Any]) -> None:
        self._run("INSERT OR REPLACE INTO roster VALUES (?, ?)", device_id, json.dumps(answer))

    def roster(self, device_id: str) -> dict[str, Any] | None:
        rows = self._rows("SELECT answer FROM roster WHERE device = ?", device_id)
        found: dict[str, Any] | None = json.loads(rows[0][0]) if rows else None
        return found

    def keep_voucher(self, voucher: Voucher) -> None:
        self._run(
            "INSERT OR REPLACE INTO voucher VALUES (?, ?, ?, ?, ?)",
            voucher.token_id,
            voucher.device_id,
            voucher.expires_ms,
            voucher.token,
            json.dumps(voucher.job),
        )

    def vouchers(self, device_id: str, *, now_ms: int) -> list[Voucher]:
        """Not used here and not expired, soonest end first."""
        rows = self._rows(
            "SELECT token_id, expires_ms, token, job FROM voucher WHERE device = ? AND expires_ms > ?"
            " ORDER BY expires_ms",
            device_id,
            now_ms,
        )
        return [
            Voucher(device_id=device_id, token_id=t, expires_ms=e, token=signed, job=json.loads(job))
            for t, e, signed, job in rows
        ]

    def drop_voucher(self, token_id: bytes) -> None:
        self._run("DELETE FROM voucher WHERE token_id = ?", token_id)

    # What headquarters told

    def keep_trace_host(self, host: str) -> None:
        """HOST or HOST:PORT of the public pages, which the codes on labels carry."""
        if host != self.trace_host():
            self._run("INSERT OR REPLACE INTO told VALUES ('trace_host', ?)", host)

    def trace_host(self) -> str:
        """Empty while headquarters has not said."""
        rows = self._rows("SELECT value FROM told WHERE name = 'trace_host'")
        return str(rows[0][0]) if rows else ""

    # Words and what is left over

    def write(self, note: Note) -> None:
        self._run(
            "INSERT INTO note (device, at_ms, kind, about, who, words) VALUES (?, ?, ?, ?, ?, ?)",
            note.device_id,
            note.at_ms,
            note.kind,
            note.about,
            note.who,
            note.words,
        )

    def notes(self, device_id: str, *, most: int = 5) -> list[Note]:
        """The newest first."""
        rows = self._rows(
            "SELECT at_ms, kind, about, who, words FROM note WHERE device = ? ORDER BY id DESC LIMIT ?", device_id, most
        )
        return [
            Note(device_id=device_id, at_ms=at, kind=kind, about=about, who=who, words=words)
            for at, kind, about, who, words in rows
        ]

    def owe(self, note_id: str, device_id: str, said: dict[str, Any]) -> None:
        """Headquarters has to be told. `said`: the body of `POST notes`; a note is owed once."""
        self._run(
            "INSERT OR IGNORE INTO untold VALUES (?, ?, ?, ?)", note_id, device_id, said["at_ms"], json.dumps(said)
        )

    def owed(self, *, most: int = 100) -> list[tuple[str, str, dict[str, Any]]]:
        """(note id, device id, what was said), oldest first."""
        rows = self._rows("SELECT note_id, device, said FROM untold ORDER BY at_ms, note_id LIMIT ?", most)
        return [(note_id, device, json.loads(said)) for note_id, device, said in rows]

    def told(self, note_id: str) -> None:
        self._run("DELETE FROM untold WHERE note_id = ?", note_id)

    def leave(self, leftover: Leftover) -> None:
        self._run(
            "INSERT OR REPLACE INTO leftover VALUES (?, ?, ?, ?, ?, ?)",
            leftover.token_id,
            leftover.stroke,
            leftover.kind,
            leftover.device_id,
            leftover.title,
            leftover.at_ms,
        )

    def leftovers(self, device_id: str) -> list[Leftover]:
        rows = self._rows(
            "SELECT token_id, stroke, kind, title, at_ms FROM leftover WHERE device = ? ORDER BY at_ms", device_id
        )
        return [
            Leftover(device_id=device_id, token_id=token, stroke=stroke, kind=kind, title=title, at_ms=at)
            for token, stroke, kind, title, at in rows
        ]

    def settle(self, token_id: str, stroke: int, kind: str) -> None:
        self._run("DELETE FROM leftover WHERE token_id = ? AND stroke = ? AND kind = ?", token_id, stroke, kind)

    def _run(self, statement: str, *arguments: object) -> None:
        with self._lock, room():
            self._db.execute(statement, arguments)

    def _rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, arguments).fetchall()


def _session(facts: dict[str, Any]) -> Session:
    plan = facts["plan"]
    step = Step(facts["step"])
    return Session(
        **facts
        | {
            "step": step if step in KEPT_STEPS else Step.OFFLINE,
            "plan": Plan(**plan | {name: tuple(map(tuple, plan.get(name, ()))) for name in ("pages", "papers")}),
            "differences": (),
            "missing": tuple(facts["missing"]),
            "imprints": tuple(Imprint(**imprint) for imprint in facts["imprints"]),
            "redo": tuple(Imprint(**imprint) for imprint in facts["redo"]),
            "stickers": tuple(Sticker(**sticker) for sticker in facts["stickers"]),
            "alarm": 0,
        }
    )
