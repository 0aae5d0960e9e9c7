"""Our log in the hands of tools that others wrote: aics-tlog, aics-witness and pymerkle (docs/decisions/0015)."""

import base64
import random
import re
import shutil
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from firmware_protocol.purposes import Purpose
from server.core.clock import SystemClock
from server.core.db import Database
from server.core.errors import install
from server.core.scope import Role, Scope
from server.core.settings import Settings
from server.ledger import cosignature, log_store, merkle, routes, service, witness_store
from server.ledger.cosignature import Witness, WitnessKey
from server.ledger.publishing import CHECKPOINT, FOLDER, Publisher
from server.ledger.schemas import Trouble
from server.ledger.witness.home import LocalKey
from server.ledger.witness.rules import Witness as OurWitness
from server.ledger.witness.state import State
from server.ledger.witnessed import WitnessedRecord
from server.ledger.witnessing import HttpWire, Witnessing
from server.public import log as public_log
from server.public.log import PublishedLog
from server.verification import trust
from tests.interop.conftest import Serve, Tools, running
from tests.server.ledger.conftest import TENANT, Device, Log
from tests.server.ledger.test_routes import OnlyDatabase

AUDITOR = Scope(tenant_id=TENANT, branch_path="/", person_id=UUID(int=1), roles=frozenset({Role.AUDITOR}))
ENOUGH_LINES = 50


def publisher(log: Log, home: Path) -> Publisher:
    return Publisher(log.database, folder=home / FOLDER, witnesses=(), quorum=0, clock=log.clock)


def public_app(log: Log, home: Path) -> FastAPI:
    """The log's addresses of the public role: files, no database."""
    app = FastAPI()
    install(app)
    key = trust.IssuerKey(
        purpose=Purpose.CHECKPOINT, public_key=log.verifier_key.public_key, valid_from=0, valid_until=None
    )
    app.state.log = PublishedLog(Settings(home=home), log_name=log.verifier_key.name, keys=(key,))
    app.include_router(public_log.router)
    return app


def web_app(log: Log) -> FastAPI:
    """The log's addresses of the web role, for an auditor."""
    app = FastAPI()
    install(app)
    app.state.runtime = OnlyDatabase(log.database)
    app.include_router(routes.entries_router(lambda: AUDITOR))
    app.include_router(routes.public_router)
    return app


def test_aics_tlog_verifies_heads_proofs_and_growth_from_the_public_files(
    tools: Tools, serve: Serve, log: Log, device: Device, tmp_path: Path
) -> None:
    work = publisher(log, tmp_path)
    tiles = ("--tiles", serve(public_app(log, tmp_path)) + "/log")
    key = ("--log-key", log.verifier_key.text())
    leaves = device.many(700)
    saved: Path | None = None
    for first, last in ((0, 300), (300, 700)):
        log.put(*leaves[first:last])
        work.round()
        assert tools.aics_tlog("verify-checkpoint", *tiles, *key)["ok"]
        index = last - 7
        leaf = tmp_path / "leaf"
        leaf.write_bytes(leaves[index])
        found = tools.aics_tlog("verify-inclusion", *tiles, *key, "--leaf", str(leaf), "--index", str(index))
        assert found["ok"], found
        leaf.write_bytes(leaves[index - 1])
        assert not tools.aics_tlog("verify-inclusion", *tiles, *key, "--leaf", str(leaf), "--index", str(index))["ok"]
        if saved is not None:
            assert tools.aics_tlog("verify-consistency", *tiles, *key, "--old-checkpoint", str(saved))["ok"]
        saved = Path(shutil.copy(tmp_path / FOLDER / CHECKPOINT, tmp_path / f"{last}.checkpoint"))


def test_aics_tlog_verifies_our_proof_files(tools: Tools, log: Log, device: Device, rng: random.Random) -> None:
    leaves = device.many(333)
    log.put(*leaves)
    cases = []
    with log.read() as db:
        for leaf in rng.sample(leaves, 20):
            proof = service.proof(db, merkle.leaf_hash(leaf))
            assert proof is not None
            path = [base64.b64encode(node).decode() for node in proof.path]
            head = [proof.checkpoint.size, proof.checkpoint.root.hex()]
            cases.append([leaf.hex(), proof.index, path, *head])
        read = log_store.tile_reader(db)
        for old in (1, 2, 255, 256, 257, 332):
            root = merkle.Tree.load(old, read).root().hex()
            path = [base64.b64encode(node).decode() for node in merkle.consistency_proof(old, 333, read)]
            cases.append([old, root, path])
    answers = tools.script(
        """
import base64
from aics_tlog import leaf_hash, verify_consistency, verify_inclusion
final = bytes.fromhex(facts[0][4])
def check(case):
    path = [base64.b64decode(one) for one in case[2]]
    if len(case) == 5:
        leaf, index, _, size, root = case
        good = verify_inclusion(leaf_hash(bytes.fromhex(leaf)), index, size, path, bytes.fromhex(root))
        bad = verify_inclusion(leaf_hash(b'x'), index, size, path, bytes.fromhex(root))
        return [good, bad]
    old, root, _ = case
    return [verify_consistency(old, 333, one, final, path) for one in (bytes.fromhex(root), final)]
print(json.dumps([check(case) for case in facts]))
""",
        cases,
    )
    assert answers == [[True, False]] * 26


def test_aics_tlog_audits_every_tile_and_entry_as_an_auditor(
    tools: Tools, serve: Serve, log: Log, device: Device
) -> None:
    log.put(*device.many(600))
    with log.read() as db:
        size, root = service.head(db)
    facts = {"url": serve(web_app(log)) + "/log", "size": size, "root": root.hex()}
    counted = tools.script(
        """
from aics_tlog import HttpTileReader, audit_tiles
report = audit_tiles(HttpTileReader(facts['url'], proxies={}), facts['size'], bytes.fromhex(facts['root']))
try:
    audit_tiles(HttpTileReader(facts['url'], proxies={}), facts['size'], bytes(32))
    print(json.dumps('believed a wrong root'))
except Exception as error:
    print(json.dumps([type(error).__name__, str(report)]))
""",
        facts,
    )
    assert counted[0] == "TileVerificationError", counted


def test_pymerkle_gets_the_same_roots(tools: Tools, rng: random.Random, tmp_path: Path) -> None:
    leaves = [rng.randbytes(rng.randrange(1, 600)) for _ in range(1100)]
    sizes = [1, 2, 3, 4, 7, 8, 255, 256, 257, 511, 512, 513, 1024, 1025, 1100]
    tree, ours = merkle.Tree(), []
    for leaf in leaves:
        tree.append([merkle.leaf_hash(leaf)])
        if tree.size in sizes:
            ours.append(tree.root().hex())
    facts = {"sizes": sizes, "file": str(tmp_path / "leaves")}
    (tmp_path / "leaves").write_text("\n".join(leaf.hex() for leaf in leaves))
    theirs = tools.script(
        """
from pymerkle import InmemoryTree
tree = InmemoryTree(algorithm='sha256')
for line in open(facts['file']):
    tree.append_entry(bytes.fromhex(line))
print(json.dumps([tree.get_state(size).hex() for size in facts['sizes']]))
""",
        facts,
    )
    assert theirs == ours


class Operator:
    """Our side of witnessing, over real HTTP."""

    def __init__(self, log: Log, witness: Witness, home: Path) -> None:
        self.wire = HttpWire()
        self.witnessing = Witnessing(
            log.database,
            witnesses=[witness],
            key=log.verifier_key,
            record=WitnessedRecord(home),
            clock=log.clock,
            wire=self.wire,
        )


def trouble(log: Log, name: str) -> str:
    with log.read() as db:
        return witness_store.witness(db, name).trouble


def test_aics_witness_cosigns_our_log_and_refuses_our_fork(
    tools: Tools, log: Log, device: Device, empty_file: Path, tmp_path: Path
) -> None:
    config = ("--config", str(tmp_path / "witness.json"))
    made = tools.run("-m", "aics_witness", "init", *config, "--name", "else.example/w1", "--listen", "127.0.0.1:0")
    key = WitnessKey.parse(made.stdout.strip())
    own = log.verifier_key
    added = tools.run("-m", "aics_witness", "add-log", *config, "--origin", own.name, "--vkey", own.text())
    assert added.returncode == 0, added.stderr
    fork = Log(Database(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'fork.sqlite3')}"))
    other = Device(random.Random(5))
    fork.enrol(other)
    with running(tools.command("-m", "aics_witness", "serve", *config), tools.environment) as process:
        assert process.stderr is not None
        lines = (next(process.stderr) for _ in range(ENOUGH_LINES))
        url = next(found[1] for line in lines if (found := re.search(r"listening on (http://\S+)", line)))
        witness = Witness(key=key, url=url)
        honest, forked = Operator(log, witness, tmp_path), Operator(fork, witness, tmp_path / "fork")
        for count in (1, 1, 5, 250, 300):
            log.put(*device.many(count))
            assert honest.witnessing.round() == 1
        with log.read() as db:
            cosigned = witness_store.checkpoint_at(db, device.seq)
        assert cosigned is not None
        assert len(cosignature.verified(cosigned.note, [key])) == 1
        fork.put(*other.many(600))
        assert forked.witnessing.round() == 0
        assert trouble(fork, key.name) == Trouble.REFUSED
        log.put(device.next())
        assert honest.witnessing.round() == 1
        for operator in (honest, forked):
            operator.wire.close()
    evidence = tools.run("-m", "aics_witness", "evidence", *config)
    assert own.name in evidence.stdout
    fork.database.close()


def test_aics_tlog_believes_our_witness(tools: Tools, log: Log, device: Device, tmp_path: Path) -> None:
    state = State(tmp_path / "state.sqlite3")
    state.follow(log.verifier_key)
    ours = OurWitness(state, name="ours.example", key=LocalKey(Ed25519PrivateKey.generate()), clock=SystemClock())
    log.put(*device.many(7))
    with log.read() as db:
        head = service.checkpoint(db)
    request = cosignature.AddCheckpoint(old=0, path=(), checkpoint=head)
    note = tmp_path / "note"
    note.write_text(head.note + ours.add_checkpoint(request.text().encode()).body)
    key = ("--log-key", log.verifier_key.text(), "--quorum", "1", "--max-age", "3600")
    asked = ("verify-checkpoint", "--note", str(note), *key, "--witness-key", ours.vkey.text())
    assert tools.aics_tlog(*asked)["ok"]
    note.write_text(head.note)
    assert not tools.aics_tlog(*asked)["ok"]
    state.close()
