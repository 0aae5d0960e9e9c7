"""A log on a real database, a device that signs, and what a test asks about both."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import Session

import server.jobs.models
import server.ledger.models  # noqa: F401 - registers the tables
from firmware_protocol import events, orders
from firmware_protocol.cose import keyring
from firmware_protocol.events import Event, Header
from firmware_protocol.orders import Receipt
from server.core.clock import FixedClock
from server.core.db import Database
from server.core.rng import SeededRng
from server.core.scope import Scope
from server.core.signer import Ed25519Signer, Purpose
from server.ledger import service
from server.ledger.batch import Arrival
from server.ledger.checkpoint import VerifierKey
from server.ledger.receipts import ReceiptDesk
from server.ledger.role import project_events
from server.ledger.sequencer import Acknowledged, Outcome, Sequencer, Signers

TENANT = UUID(int=7)
SCOPE = Scope.system(TENANT)
GATEWAY = "gw-1"


class Device:
    """Signs a chain of events as a device would; `next` moves on, `sign` does not."""

    def __init__(self, rng: random.Random, device_id: str = "D1", generation: int = 1) -> None:
        self.device_id = device_id
        self.generation = generation
        self._key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.public_key = self._key.public_key().public_bytes_raw()
        self.seq = 0
        self.previous = events.FIRST_PREVIOUS

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    def event(self, *, seq: int, previous: bytes, counter: int = 0, body: events.Body | None = None) -> bytes:
        body = body or events.Sensor(sensor="light", value=counter)
        header = Header(
            device_id=self.device_id,
            generation=self.generation,
            seq=seq,
            boot=1,
            event_type=events.type_of(body),
            uptime_ms=seq,
            counter=counter,
            head_id=bytes(8),
            firmware="1.0",
            previous=previous,
        )
        return events.sign(Event(header=header, body=body), key=self)

    def next(self, body: events.Body | None = None) -> bytes:
        self.seq += 1
        signed = self.event(seq=self.seq, previous=self.previous, body=body)
        self.previous = events.chain_hash(signed)
        return signed

    def many(self, count: int) -> list[bytes]:
        return [self.next() for _ in range(count)]


@dataclass
class Log:
    """Sequencer and receipt desk over one database; `put` is one batch."""

    database: Database
    clock: FixedClock = field(default_factory=FixedClock)
    seed: int = 1

    def __post_init__(self) -> None:
        self.rng = SeededRng(self.seed)
        self.keys = {
            purpose: Ed25519Signer(purpose, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
            for number, purpose in enumerate((Purpose.CHECKPOINT, Purpose.ENTRY, Purpose.RECEIPT), start=1)
        }
        self.sequencer = self.new_sequencer()
        self.sequencer.open()
        self.desk = ReceiptDesk(self.database, signer=self.keys[Purpose.RECEIPT], clock=self.clock)

    def new_sequencer(self) -> Sequencer:
        return Sequencer(
            self.database,
            signers=Signers(checkpoint=self.keys[Purpose.CHECKPOINT], entry=self.keys[Purpose.ENTRY]),
            origin="seal.example/log",
            clock=self.clock,
            rng=self.rng,
            on_events=project_events,
        )

    def restart(self) -> None:
        self.sequencer.close()
        self.sequencer = self.new_sequencer()
        self.sequencer.open()

    def enrol(self, device: Device, **changes: object) -> None:
        with self.database.write() as db:
            facts: dict[str, object] = {
                "device_id": device.device_id,
                "generation": device.generation,
                "public_key": device.public_key,
                "tenant_id": TENANT,
                "branch_path": "/spain/",
                "now": self.clock.now(),
            }
            service.register_device_key(db, **(facts | changes))  # type: ignore[arg-type]

    def put(self, *leaves: bytes, acknowledged: tuple[Acknowledged, ...] = ()) -> Outcome:
        return self.sequencer.commit([Arrival(leaf, GATEWAY) for leaf in leaves], acknowledged)

    def receipts(self, outcome: Outcome) -> list[Receipt]:
        keys = keyring(self.keys[Purpose.RECEIPT].public_key)
        return [orders.verify(Receipt, made.data, keys=keys) for made in self.desk.make(sorted(outcome.due))]

    def receipt(self, outcome: Outcome) -> Receipt:
        (only,) = self.receipts(outcome)
        return only

    @property
    def verifier_key(self) -> VerifierKey:
        return VerifierKey(name="seal.example/log", public_key=self.keys[Purpose.CHECKPOINT].public_key)

    def stored(self) -> list[bytes]:
        with self.read() as db:
            return [entry.leaf for entry in service.leaves(db, first=0, last=1 << 40)]

    def events_of(self, device: Device) -> list[int]:
        """Sequence numbers in the tree, in its order."""
        with self.read() as db:
            rows = service.leaves(db, first=0, last=1 << 40)
        return [row.seq for row in rows if row.device_id == device.device_id and row.seq is not None]

    def read(self) -> "Reading":
        return Reading(self.database)


class Reading:
    """`with log.read() as db`."""

    def __init__(self, database: Database) -> None:
        self._context = database.read()

    def __enter__(self) -> Session:
        return self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)  # type: ignore[arg-type]


@pytest.fixture
def sqlite(empty_file: Path, tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'log.sqlite3')}")
    yield found
    found.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    template = request.getfixturevalue("empty_database")
    found = Database(request.getfixturevalue("postgres").new_database(template=template))
    yield found
    found.close()


@pytest.fixture
def log(database: Database) -> Log:
    return Log(database)


@pytest.fixture
def device(rng: random.Random, log: Log) -> Device:
    """Enrolled, nothing sent yet."""
    made = Device(rng)
    log.enrol(made)
    return made


def token_event(token_id: bytes) -> events.Body:
    return events.Closed(token_id=token_id, strokes_used=1, cause=events.Cause.USED_UP)
