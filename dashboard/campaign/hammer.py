"""`campaign hammer`: strangers read the log while it is written to, and rebuild everything from what they are shown.

An office sends its backlog over a broker into the real server; meanwhile, over HTTPS, readers take random entries with
their proofs, and one reader rebuilds root after root from all tiles and compares each with the one before. The reader
shares no code with the ledger. Once on SQLite, once on PostgreSQL where it is installed.
"""

import contextlib
import json
import random  # noqa: TID251 - one seeded source for the whole campaign
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from dashboard.bench._ledger_postgres import postgres
from dashboard.bench._office import Office
from dashboard.campaign._reader import Fetch, Head, Mismatch, Reader
from dashboard.demo.callers import Person
from dashboard.demo.waiting import StoryFailed, until
from dashboard.figures import Options, Report
from server.core.keystore import KeyStore
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.core.signer import Purpose
from server.identity import service as identity

EVENTS: Final = 30_000
QUICK_EVENTS: Final = 1_500
DEVICES: Final = 8
READERS: Final = 3
PATIENCE_S: Final = 1800.0
AUDITOR: Final = ("auditor", "a stranger reads this log")


@dataclass(slots=True)
class Found:
    """What readers did and what did not fit. Counters of one process; threads add under the lock."""

    done: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.done[what] += 1

    def wrong(self, what: str) -> None:
        with self.lock:
            self.mismatches.append(what)


class Hammer:
    """Readers in threads until `stop`. `open_fetch` gives each thread a way to the log of its own."""

    def __init__(self, open_fetch: Callable[[], Fetch], public_key: bytes, *, seed: int, readers: int) -> None:
        self.found = Found()
        self._open_fetch = open_fetch
        self._public_key = public_key
        self._stop = threading.Event()
        works = [lambda number=number: self._read_entries(seed + number) for number in range(readers)]
        self._threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self._read_all, *works)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Found:
        """After a last look at everything, when nothing is written any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.found

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Mismatch as error:
            self.found.wrong(str(error))
        except Exception as error:  # noqa: BLE001 - the top of a thread: whatever ends a reader is a finding
            self.found.wrong(f"reader ended: {type(error).__name__}: {error}")

    def _read_all(self) -> None:
        """Root after root, and once more after the last write."""
        reader, before = Reader(self._open_fetch(), self._public_key), None
        while True:
            last = self._stop.is_set()
            before = self._rebuild(reader, before)
            if last:
                return

    def _rebuild(self, reader: Reader, before: Head | None) -> Head:
        head = reader.read_all(before)
        self.found.count("roots_rebuilt")
        if before is not None and head.size > before.size:
            self.found.count("growths_compared")
        return head

    def _read_entries(self, seed: int) -> None:
        """Random entries of the newest checkpoint with their proofs; at least one."""
        rng, fetch = random.Random(seed), self._open_fetch()
        reader = Reader(fetch, self._public_key)
        while True:
            head = reader.head()
            if head.size:
                self._read_one(reader, fetch, rng.randrange(head.size), head.size)
            if self._stop.is_set():
                return

    def _read_one(self, reader: Reader, fetch: Fetch, index: int, size: int) -> None:
        tile = index // 256
        wanted = reader.tile(0, tile, min(256, size - tile * 256))[index % 256]
        data = fetch(f"entries/{wanted.hex()}")
        if data is None:
            self.found.count("entries_not_shown")  # of the installation itself, or of another company
            return
        said = json.loads(data)
        reader.check_entry(wanted, bytes.fromhex(said["leaf"]), said["proof"])
        self.found.count("entries_checked")


def run(options: Options) -> Report:
    """Raises: StoryFailed, when something does not come to its end."""
    events = QUICK_EVENTS if options.quick else EVENTS
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="cinnabar-hammer-") as folder:
        found["sqlite"] = on_office(Path(folder) / "sqlite", events, options.seed)
        if not options.quick:
            with postgres(Path(folder)) as server:
                if server is not None:
                    url = server.new_database()
                    found["postgresql"] = on_office(Path(folder) / "office", events, options.seed, database_url=url)
    mismatches = [f"{name}: {what}" for name, one in found.items() for what in one.mismatches]
    counts = {f"{what}_{name}": one.done[what] for name, one in found.items() for what in sorted(one.done)}
    return Report(
        figures={"mismatches": len(mismatches), "databases": len(found)},
        counts={"events": events, "readers": READERS + 1} | counts,
        targets={"mismatches": ("<=", 0)},
        notes=tuple(mismatches[:10]),
    )


def on_office(folder: Path, events: int, seed: int, *, database_url: str = "") -> Found:
    """One office, its backlog, and readers from the first entry to the last. Raises: StoryFailed."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        office = Office(folder, DEVICES, database_url=database_url)
        stack.callback(office.stop)
        _hire_auditor(office)
        office.fill(events, photos=0)
        client = stack.enter_context(httpx.Client(base_url=office.company.gateway.start()["session_url"], timeout=30))

        def waiting() -> int:
            return int(client.get("api/state").json()["waiting"]["events"])

        total = sum(office.last_seqs.values())
        until("read", f"{total} events in the outbox", lambda: waiting() >= total, timeout_s=PATIENCE_S)
        if office.broker:
            office.broker.start()
        office.company.server.start()
        public_key = KeyStore.open(office.settings).public_key(Purpose.CHECKPOINT)
        hammer = Hammer(lambda: _over_https(office), public_key, seed=seed, readers=READERS)
        hammer.start()
        try:
            until("drain", "an outbox without events", lambda: waiting() == 0, timeout_s=PATIENCE_S)
        finally:
            found = hammer.stop()
    return found


def _over_https(office: Office) -> Fetch:
    """As an auditor of the company, who may see its entries. Raises: StoryFailed."""
    ca_file = str(office.settings.home / "tls" / "ca.pem")
    name, password = AUDITOR
    web = office.company.server.ready["web"]
    person = Person(web, ca_file=ca_file, username=name, password=password)

    def fetch(path: str) -> bytes | None:
        try:
            return person.send("read", "GET", f"/log/{path}").content
        except StoryFailed as error:
            if "answered 404" in error.why:
                return None
            raise

    return fetch


def _hire_auditor(office: Office) -> None:
    name, password = AUDITOR
    run = Runtime.open(office.settings)
    try:
        with run.db.write() as db:
            scope = Scope.system(identity.tenants(db)[0].id)
            person = identity.add_person(
                db, run, scope, username=name, name="Lin Hammer", branch_path="/", password=password
            )
            identity.set_role(db, run, scope, person_id=person.id, role=Role.AUDITOR, branch_path="/")
    finally:
        run.close()
