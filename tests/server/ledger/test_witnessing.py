"""The log among its witnesses: asked, away, ahead, lying; what is published meanwhile; and a restored database."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.core.db import Database
from server.core.runtime import MustNotRun
from server.core.settings import Settings, WitnessSetting
from server.core.signer import Purpose
from server.ledger import checkpoint, cosignature, merkle, publishing, service, witness_store, witnessed
from server.ledger.cosignature import BadCosignature, Witness, WitnessKey
from server.ledger.publishing import PATIENCE, Publisher
from server.ledger.schemas import Trouble
from server.ledger.witness.home import LocalKey
from server.ledger.witness.rules import Witness as Rules
from server.ledger.witness.state import State
from server.ledger.witnessed import LogBehind, LogForked, WitnessedRecord
from server.ledger.witnessing import FIRST_WAIT_S, HttpWire, Reply, Witnessing, shown_by, witnesses_of
from tests.server.ledger.conftest import Device, Log


@dataclass
class Partner:
    """A witness of another company, reached without a network; `lies` replaces its answers."""

    rules: Rules
    state: State
    away: bool = False
    lies: Reply | None = None
    asked: int = 0

    def as_witness(self, *, own: bool = False) -> Witness:
        return Witness(key=self.rules.vkey, url=f"http://{self.rules.vkey.name}", own=own)


@dataclass
class Partners:
    """A wire to several witnesses."""

    by_name: dict[str, Partner] = field(default_factory=dict)

    def post(self, url: str, body: str) -> Reply:
        partner = self._of(url)
        partner.asked += 1
        if partner.away or partner.lies:
            return partner.lies or Reply(0, "ConnectError")
        answer = partner.rules.add_checkpoint(body.encode())
        return Reply(answer.status, answer.body)

    def get(self, url: str) -> Reply:
        partner = self._of(url)
        answer = partner.rules.latest(url.split("/")[3])
        return Reply(0, "ConnectError") if partner.away else Reply(answer.status, answer.body)

    def _of(self, url: str) -> Partner:
        return self.by_name[url.split("/")[2]]


@pytest.fixture
def log(sqlite: Database) -> Log:
    return Log(sqlite)


@pytest.fixture
def partners(log: Log, tmp_path: Path) -> Iterator[Partners]:
    found = Partners()
    for name in ("a.example", "b.example", "mine.example"):
        state = State(tmp_path / f"{name}.sqlite3")
        state.follow(log.verifier_key)
        key = LocalKey(Ed25519PrivateKey.generate())
        found.by_name[name] = Partner(Rules(state, name=name, key=key, clock=log.clock), state)
    yield found
    for partner in found.by_name.values():
        partner.state.close()


class Operator:
    """The log's side: asks and publishes, as the ledger role's second thread does."""

    def __init__(self, log: Log, partners: Partners, folder: Path, *, quorum: int = 2) -> None:
        self.log = log
        self.witnesses = [one.as_witness(own=name.startswith("mine")) for name, one in partners.by_name.items()]
        self.record = WitnessedRecord(folder)
        self.folder = folder / publishing.FOLDER
        self.witnessing = Witnessing(
            log.database,
            witnesses=self.witnesses,
            key=log.verifier_key,
            record=self.record,
            clock=log.clock,
            wire=partners,
        )
        self.publisher = Publisher(
            log.database, folder=self.folder, witnesses=self.witnesses, quorum=quorum, clock=log.clock
        )

    def turn(self) -> int:
        """Size of the published checkpoint afterwards."""
        self.witnessing.round()
        self.publisher.round()
        return publishing.published_size(self.folder)

    def outside(self) -> int:
        note = (self.folder / publishing.CHECKPOINT).read_text()
        return cosignature.outside(cosignature.verified(note, [one.key for one in self.witnesses]), self.witnesses)

    def trouble(self, name: str) -> str:
        with self.log.read() as db:
            return witness_store.witness(db, name).trouble


@pytest.fixture
def operator(log: Log, partners: Partners, tmp_path: Path) -> Operator:
    return Operator(log, partners, tmp_path)


def rebuilt(folder: Path) -> tuple[int, bytes]:
    """Size and root from the published level 0 tiles alone."""
    size = publishing.published_size(folder)
    tree = merkle.Tree()
    for index in range(-(-size // 256)):
        data = publishing.file_of(folder, 0, index).read_bytes()[: merkle.tile_width(0, index, size) * 32]
        tree.append(data[at : at + 32] for at in range(0, len(data), 32))
    return tree.size, tree.root()


def test_each_checkpoint_is_cosigned_by_all_and_published_with_their_lines(operator: Operator, device: Device) -> None:
    for count in (1, 254, 1, 1, 300):
        operator.log.put(*device.many(count))
        size = operator.turn()
        assert (size, operator.outside()) == (device.seq, 2)
        head = checkpoint.verify((operator.folder / "checkpoint").read_text(), key=operator.log.verifier_key)
        assert rebuilt(operator.folder) == (head.size, head.root)
    with operator.log.read() as db:
        newest = service.recent_checkpoints(db)[0]
        assert service.published_checkpoint(db).note == newest.note
    assert [name for name, _ in newest.cosigned_by] == ["a.example", "b.example", "mine.example"]
    assert operator.witnessing.round() == 0


def test_folder_of_another_log_is_written_anew(operator: Operator, device: Device, log: Log, tmp_path: Path) -> None:
    log.put(*device.many(300))
    operator.turn()
    for foreign in (
        checkpoint.sign("seal.example/log", size, bytes(32), key=log.keys[Purpose.CHECKPOINT]) for size in (9, 900)
    ):
        (operator.folder / "checkpoint").write_text(foreign.note)
        publishing.file_of(operator.folder, 0, 0).write_bytes(b"of another log")
        again = Publisher(log.database, folder=operator.folder, witnesses=(), quorum=0, clock=log.clock)
        assert again.round() is not None
        with log.read() as db:
            assert rebuilt(operator.folder) == service.head(db)


def test_log_goes_on_without_its_witnesses_and_says_so(operator: Operator, partners: Partners, device: Device) -> None:
    operator.log.put(device.next())
    assert operator.turn() == 1
    for name in ("a.example", "b.example"):
        partners.by_name[name].away = True
    operator.log.put(device.next())
    assert operator.turn() == 1  # it waits for its quorum
    assert operator.trouble("a.example") == Trouble.AWAY
    operator.log.clock.advance(PATIENCE)
    assert (operator.turn(), operator.outside()) == (2, 0)  # our own one does not count
    for name in ("a.example", "b.example"):
        partners.by_name[name].away = False
    operator.log.clock.advance(FIRST_WAIT_S * 4)
    assert (operator.turn(), operator.outside()) == (2, 2)
    assert operator.trouble("a.example") == ""


def test_witness_that_is_away_is_asked_ever_less_often(operator: Operator, partners: Partners, device: Device) -> None:
    partner = partners.by_name["a.example"]
    partner.away = True
    for _ in range(600):
        operator.log.clock.advance(1)
        operator.witnessing.round()
    assert 6 <= partner.asked <= 9  # after 5, 10, 20 ... 300 s; doubling waits


def test_new_log_is_published_at_once(operator: Operator, partners: Partners, device: Device) -> None:
    for partner in partners.by_name.values():
        partner.away = True
    operator.log.put(device.next())
    assert operator.turn() == 1


def test_witness_that_remembers_another_size_is_asked_again(
    operator: Operator, partners: Partners, device: Device, log: Log
) -> None:
    log.put(*device.many(10))
    operator.turn()
    with log.database.write() as db:
        witness_store.knows(db, "a.example", 3)
        witness_store.knows(db, "b.example", 0)
    log.put(*device.many(10))
    assert (operator.turn(), operator.outside()) == (20, 2)


@pytest.mark.parametrize(
    ("lie", "trouble"),
    [
        (Reply(200, "— a.example " + "A" * 96 + "\n"), Trouble.BROKEN),
        (Reply(200, ""), Trouble.BROKEN),
        (Reply(409, "many"), Trouble.BROKEN),
        (Reply(409, "1000\n"), Trouble.AHEAD),
        (Reply(422, "fork"), Trouble.REFUSED),
        (Reply(404, ""), Trouble.UNKNOWN),
        (Reply(503, ""), Trouble.AWAY),
        (Reply(302, ""), Trouble.BROKEN),
    ],
)
def test_no_answer_of_a_witness_stops_the_log(
    operator: Operator, partners: Partners, device: Device, lie: Reply, trouble: Trouble
) -> None:
    partners.by_name["a.example"].lies = lie
    operator.log.put(device.next())
    operator.turn()
    assert operator.trouble("a.example") == trouble
    assert operator.outside() == 1


def test_restored_database_does_not_go_on_behind_what_was_witnessed(
    operator: Operator, partners: Partners, device: Device, log: Log, tmp_path: Path
) -> None:
    log.put(*device.many(5))
    operator.turn()
    backup = tmp_path / "backup.sqlite3"
    with closing(sqlite3.connect(tmp_path / "log.sqlite3")) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    log.put(*device.many(4))
    operator.turn()
    restored = Database(f"sqlite:///{backup}")
    remembered = operator.record.read(log.verifier_key)
    assert remembered is not None
    with restored.read() as db, pytest.raises(LogBehind, match=r"has 5 entries, but a witness cosigned 9") as refusal:
        witnessed.check(db, [remembered])
    assert (refusal.value.size, refusal.value.seen) == (5, 9)
    shown = shown_by(partners, operator.witnesses, log.verifier_key)  # the whole home was restored: witnesses remember
    assert {head.size for head in shown} == {9}
    with restored.read() as db, pytest.raises(LogBehind):
        witnessed.check(db, shown)
    with log.read() as db:
        witnessed.check(db, [remembered, *shown])
    old = Witnessing(
        restored,
        witnesses=operator.witnesses,
        key=log.verifier_key,
        record=WitnessedRecord(tmp_path / "nowhere"),
        clock=log.clock,
        wire=partners,
    )
    with restored.write() as db:
        db.connection().exec_driver_sql("DELETE FROM ledger_cosignature")
    with pytest.raises(LogBehind):  # nobody could be asked at the start; the first answer ends it
        old.round()
    restored.close()


def test_database_with_another_history_is_a_fork(
    operator: Operator, device: Device, empty_file: Path, tmp_path: Path, rng: random.Random
) -> None:
    log = operator.log
    log.put(*device.many(5))
    operator.turn()
    remembered = operator.record.read(log.verifier_key)
    assert remembered is not None
    other, stranger = Log(Database(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'other.sqlite3')}")), Device(rng)
    other.enrol(stranger)
    other.put(*stranger.many(8))
    with other.read() as db, pytest.raises(LogForked, match="first 5 entries"):
        witnessed.check(db, [remembered])
    other.database.close()


def test_record_that_is_no_checkpoint_of_ours_is_not_believed(log: Log, tmp_path: Path) -> None:
    record = WitnessedRecord(tmp_path)
    assert record.read(log.verifier_key) is None
    (tmp_path / "witnessed").write_text("seal.example/log\n9\nAAAA\n")
    with pytest.raises(MustNotRun, match="backup of the home"):
        record.read(log.verifier_key)


def test_bundle_proves_under_the_checkpoint_that_says_most(operator: Operator, device: Device, log: Log) -> None:
    names = ("a.example", "b.example")
    log.put(*device.many(3))
    operator.turn()
    log.put(device.next())
    with log.read() as db:
        assert service.best_checkpoint(db, names=names, quorum=2, holding=2).size == 3
        assert service.best_checkpoint(db, names=names, quorum=2, holding=3).size == 4
        assert service.best_checkpoint(db, names=names, quorum=3, holding=2).size == 4
        leaf_hash = service.leaves(db, first=3, last=3)[0].leaf_hash
        assert service.proof(db, leaf_hash, under=service.published_checkpoint(db)) is None


def test_two_names_for_one_witness_are_refused(tmp_path: Path) -> None:
    key = WitnessKey(name="a.example", public_key=bytes(range(32)))
    alias = WitnessKey(name="b.example", public_key=bytes(range(32)))
    for pair in ((key, key), (key, alias)):
        chosen = tuple(WitnessSetting(vkey=one.text(), url="https://w.example/") for one in pair)
        with pytest.raises(BadCosignature, match="same"):
            witnesses_of(Settings(home=tmp_path, witnesses=chosen))
    only = (WitnessSetting(vkey=key.text(), url="https://w.example/", own=True),)
    with pytest.raises(ValueError, match="only 0 witnesses are not your own"):
        Settings(home=tmp_path, witnesses=only, witness_quorum=1)
    assert witnesses_of(Settings(home=tmp_path, witnesses=only))[0].url == "https://w.example"


def test_wire_turns_what_fails_into_a_reply() -> None:
    wire = HttpWire()
    assert wire.get("http://127.0.0.1:9/").status == 0
    assert wire.post("http://[", "x").status == 0
    wire.close()
    with pytest.raises(RuntimeError, match="closed"):
        httpx.Client.send(wire._client, httpx.Request("GET", "http://127.0.0.1:9/"))


def test_patience_is_longer_than_a_witness_may_take() -> None:
    assert timedelta(seconds=FIRST_WAIT_S * 2) < PATIENCE
