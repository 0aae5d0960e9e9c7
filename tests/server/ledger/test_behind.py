"""The ledger role as a process over a database that is older than what was witnessed: it does not start."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from dashboard.cli import ROOT
from server.core.clock import SystemClock
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.rng import SystemRng
from server.core.role_process import EX_CONFIG
from server.core.settings import Settings
from server.core.signer import Purpose
from server.ledger import checkpoint, log_store, service
from server.ledger.checkpoint import VerifierKey, origin_of
from server.ledger.entry_types import EntryType
from server.ledger.witness.home import WitnessHome
from server.ledger.witness.http import WitnessServer
from server.ledger.witness.rules import Witness
from server.ledger.witnessed import WitnessedRecord
from tests.fixtures.mosquitto import Mosquitto
from tests.server.world import installation

__all__ = ["installation"]

LOOKS = 3_000
"""Of 20 ms, until a wait is given up."""


def start(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server.core.role_process", "ledger"]
    environment = os.environ | {"CINNABAR_HOME": str(home)} | settings
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_role_stops_with_the_way_out_and_is_not_started_again(installation: Settings, tmp_path: Path) -> None:
    home = Path(shutil.copytree(installation.home, tmp_path / "home"))
    key = KeyStore.open(installation).signer(Purpose.CHECKPOINT)
    seen = checkpoint.sign(origin_of(installation.public_url), 7, bytes(32), key=key)
    (home / "witnessed").write_text(seen.note, encoding="utf-8")
    ended = start(home)
    assert ended.returncode == EX_CONFIG
    assert "This ledger has 0 entries, but a witness cosigned 7" in ended.stderr
    assert "A restored server does not start" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_role_does_not_start_with_witnesses_it_cannot_read(installation: Settings) -> None:
    ended = start(installation.home, CINNABAR_WITNESSES='[{"vkey": "w.example+00+AA", "url": "https://w.example"}]')
    assert (ended.returncode, "CINNABAR_WITNESSES" in ended.stderr) == (EX_CONFIG, True)


class Restoring:
    """A server of its own, asked by its operator to begin again from a backup; one witness over real HTTP."""

    def __init__(self, home: Path, settings: Settings, broker: Mosquitto, witness: dict[str, str]) -> None:
        self.home = home
        self.database = Database(f"sqlite:///{home / 'data.db'}")
        self._keys = KeyStore.open(settings)
        self.log = VerifierKey(
            name=origin_of(settings.public_url), public_key=self._keys.public_key(Purpose.CHECKPOINT)
        )
        self.settings = {
            "CINNABAR_LOG_LEVEL": "WARNING",
            "CINNABAR_MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
            "CINNABAR_WITNESSES": json.dumps([witness]),
        }

    def enter(self, count: int) -> None:
        with self.database.write() as db:
            for number in range(count):
                service.record(
                    db,
                    key=self._keys.signer(Purpose.ENTRY),
                    entry_type=EntryType.VERDICT,
                    refs={"request": UUID(int=number)},
                    tenant_id=UUID(int=7),
                    branch_path="/",
                    now=SystemClock().now(),
                    rng=SystemRng(),
                    clock=SystemClock(),
                )

    @contextmanager
    def running(self) -> Iterator[None]:
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "server.core.role_process", "ledger"]
        environment = os.environ | {"CINNABAR_HOME": str(self.home), "CINNABAR_READY_FD": str(theirs)} | self.settings
        process = subprocess.Popen(command, env=environment, pass_fds=[theirs])
        os.close(theirs)
        try:
            with os.fdopen(ours, "rb") as pipe:
                assert pipe.readline() == b"ready\n"
            yield
        finally:
            process.terminate()
            process.wait()

    def witnessed(self) -> int:
        head = WitnessedRecord(self.home).read(self.log)
        return 0 if head is None else head.size

    def settled(self) -> int:
        """The size, when everything that waited is in the log and the witness has seen it."""
        until(lambda: self._waiting() == 0 and self.size() == self.witnessed())
        return self.size()

    def _waiting(self) -> int:
        with self.database.read() as db:
            return service.queued(db)

    def size(self) -> int:
        with self.database.read() as db:
            log = log_store.log(db)
        assert log
        return log.size

    def save(self, name: str) -> Path:
        target = self.home.parent / name
        with closing(sqlite3.connect(self.home / "data.db")) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
        return target

    def restore(self, saved: Path) -> None:
        self.database.close()
        for old in self.home.glob("data.db*"):
            old.unlink()
        shutil.copy(saved, self.home / "data.db")


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(LOOKS):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come to that")


@pytest.fixture
def restoring(installation: Settings, mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Restoring]:
    home = Path(shutil.copytree(installation.home, tmp_path / "home"))
    place = WitnessHome(tmp_path / "witness")
    place.create("w.example", SystemRng())
    with ExitStack() as stack:
        state = place.state()
        stack.callback(state.close)
        witness = Witness(state, name="w.example", key=place.key(), clock=SystemClock())
        server = stack.enter_context(WitnessServer(("127.0.0.1", 0), witness))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        made = Restoring(home, installation, mosquitto, {"vkey": witness.vkey.text(), "url": url})
        state.follow(made.log)
        stack.callback(made.database.close)
        yield made


def test_server_restored_from_an_old_backup_stands_still_until_a_newer_one_is_brought(restoring: Restoring) -> None:
    with restoring.running():
        restoring.enter(3)
        before = restoring.settled()
        old = restoring.save("old.db")
        restoring.enter(2)
        after = restoring.settled()
    assert after == before + 2
    newest = restoring.save("newest.db")

    restoring.restore(old)
    ended = start(restoring.home, **restoring.settings)
    assert ended.returncode == EX_CONFIG
    assert f"This ledger has {before} entries, but a witness cosigned {after}" in ended.stderr
    assert "second history of the last 2 entries" in ended.stderr
    assert "Nothing was changed. Bring back a newer backup" in ended.stderr
    page, heading = re.search(r'is in (\S+), "([^"]+)"', ended.stderr).groups()  # type: ignore[union-attr]
    assert f"### {heading}\n" in (ROOT / page).read_text(encoding="utf-8")
    assert restoring.size() == before

    (restoring.home / "witnessed").unlink()  # the whole home was restored: the witness itself remembers
    ended = start(restoring.home, **restoring.settings)
    assert ended.returncode == EX_CONFIG
    assert f"has {before} entries, but a witness cosigned {after}" in ended.stderr

    restoring.restore(newest)
    with restoring.running():
        restoring.enter(1)
        assert restoring.settled() == after + 1
