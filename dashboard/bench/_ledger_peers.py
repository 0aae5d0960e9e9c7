"""What a team would use instead of our ledger, fed with the same events over the same broker, each with the verify
step.

`python -m dashboard.bench._ledger_peers NAME PORT FOLDER COUNT` prints {"cpu_s", "wall_s"} from the first event to the
last one committed. Libraries that are not installed are no part of the product (`pip install ledgerchain pymerkle`).
"""

import importlib
import json
import queue
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import LargeBinary, create_engine, event
from sqlmodel import Column, Field, Session, SQLModel

from firmware_protocol import events

BATCH: Final = 500
"""Events of one commit, for the peers that can; the naive loop commits each."""
Store = Callable[[list[bytes]], None]


class NaiveEvent(SQLModel, table=True):
    """As a team would write it on a Friday."""

    id: int | None = Field(default=None, primary_key=True)
    device_id: str = Field(index=True)
    seq: int
    received_at: datetime
    raw: bytes = Field(sa_column=Column(LargeBinary))


def naive(folder: Path) -> Store:
    engine = _durable(folder / "naive.db")
    SQLModel.metadata.tables["naiveevent"].create(engine)

    def store(batch: list[bytes]) -> None:
        for raw in batch:
            header = events.peek(raw).header
            row = NaiveEvent(device_id=header.device_id, seq=header.seq, received_at=datetime.now(UTC), raw=raw)  # noqa: TID251 - a peer, not the product
            with Session(engine) as session:
                session.add(row)
                session.commit()

    return store


def ledgerchain(folder: Path) -> Store:
    peer: Any = importlib.import_module("ledgerchain")

    engine = _durable(folder / "ledgerchain.db")
    peer.create_all(engine)

    def store(batch: list[bytes]) -> None:
        with Session(engine) as session:
            for raw in batch:
                header = events.peek(raw).header
                peer.LedgerWriter.append(
                    session,
                    event_type=header.event_type.name,
                    payload={"raw": raw.hex(), "seq": header.seq},
                    actor={"device": header.device_id},
                    tenant_id="1",
                )
            session.commit()

    return store


def pymerkle(folder: Path) -> Store:
    tree = importlib.import_module("pymerkle").SqliteTree(str(folder / "pymerkle.db"))
    return lambda batch: tree.append_entries(batch, chunksize=BATCH)


STORES: Final = {"naive": (naive, 1), "ledgerchain": (ledgerchain, BATCH), "pymerkle": (pymerkle, BATCH)}


def _durable(path: Path) -> Any:  # noqa: ANN401 - an engine
    engine = create_engine(f"sqlite:///{path}")

    def pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    event.listen(engine, "connect", pragmas)
    return engine


def _say_ready(*_: object) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def run(name: str, port: int, folder: Path, count: int) -> dict[str, float]:
    keys = {
        bytes.fromhex(kid): bytes.fromhex(key) for kid, key in json.loads((folder / "keys.json").read_text()).items()
    }
    make, size = STORES[name]
    store = make(folder)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"peer-{name}", protocol=mqtt.MQTTv5)
    client.on_connect = lambda connected, *_: connected.subscribe("seal/v1/+/up/evt/+", qos=1)
    client.on_subscribe = _say_ready
    client.on_message = lambda _client, _userdata, message: inbox.put(bytes(message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    batch = [inbox.get()]
    wall, cpu, done = time.perf_counter(), time.process_time(), 0
    while done < count:
        while len(batch) < min(size, count - done):
            batch.append(inbox.get())
        for raw in batch:
            events.verify(raw, keys=keys)
        store(batch)
        done += len(batch)
        batch = []
    spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    client.disconnect()
    client.loop_stop()
    return spent


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))  # noqa: T201 - its output
