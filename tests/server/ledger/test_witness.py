"""A witness against a log that behaves, one that forks, and whatever arrives on its port."""

import http.client
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from json import loads
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from server.core.clock import FixedClock
from server.core.keyfile import KeyUnreadable
from server.core.rng import SystemRng
from server.core.signer import Ed25519Signer, Purpose
from server.ledger import checkpoint, cosignature, merkle
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey
from server.ledger.cosignature import MAX_REQUEST, AddCheckpoint, BadCosignature, WitnessKey
from server.ledger.witness.home import STATE, LocalKey, WitnessExists, WitnessHome
from server.ledger.witness.http import WitnessServer
from server.ledger.witness.rules import Answer, Witness
from server.ledger.witness.state import State, StateUnusable

LOG_KEY = Ed25519Signer(Purpose.CHECKPOINT, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
LOG = VerifierKey(name="seal.example/log", public_key=LOG_KEY.public_key)
NAME = "witness.partner.example"

# c2sp.org/tlog-witness "add-checkpoint": the body of its example, and the signature line that its answer shows.
C2SP_REQUEST = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""  # noqa: E501


class Tree:
    """A log's tree with every older head still at hand."""

    def __init__(self, mark: bytes = b"") -> None:
        self.mark = mark
        self._tree = merkle.Tree()
        self._tiles: dict[tuple[int, int], bytes] = {}

    def grow(self, size: int, mark: bytes | None = None) -> "Tree":
        mark = self.mark if mark is None else mark
        leaves = [merkle.leaf_hash(mark + number.to_bytes(4)) for number in range(self._tree.size, size)]
        self._tiles |= {(tile.level, tile.index): tile.data for tile in self._tree.append(leaves)}
        return self

    def head(self, size: int, key: Ed25519Signer = LOG_KEY, name: str = LOG.name) -> Checkpoint:
        root = merkle.Tree.load(size, self._read).root() if size else merkle.EMPTY_ROOT
        return checkpoint.sign(name, size, root, key=key)

    def request(self, old: int, new: int) -> bytes:
        path = merkle.consistency_proof(old, new, self._read)
        return AddCheckpoint(old=old, path=tuple(path), checkpoint=self.head(new)).text().encode()

    def _read(self, level: int, index: int) -> bytes:
        return self._tiles[level, index]


@pytest.fixture
def home(tmp_path: Path) -> WitnessHome:
    place = WitnessHome(tmp_path / "witness")
    place.create(NAME, SystemRng())
    return place


@pytest.fixture
def state(home: WitnessHome) -> Iterator[State]:
    found = home.state()
    found.follow(LOG)
    yield found
    found.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def witness(home: WitnessHome, state: State, clock: FixedClock) -> Witness:
    return Witness(state, name=home.name(), key=home.key(), clock=clock)


def status(witness: Witness, body: bytes) -> int:
    return witness.add_checkpoint(body).status


def test_request_of_the_specification_is_read_and_written_the_same() -> None:
    read = AddCheckpoint.parse(C2SP_REQUEST)
    assert (read.old, len(read.path), read.checkpoint.size) == (20852014, 4, 20852163)
    assert read.text() == C2SP_REQUEST


def test_log_that_grows_is_cosigned_at_every_size(witness: Witness, clock: FixedClock) -> None:
    tree, old = Tree().grow(700), 0
    for size in (0, 1, 2, 255, 256, 257, 257, 512, 700):
        clock.advance(1)
        answer = witness.add_checkpoint(tree.request(old, size))
        assert (answer.status, answer.body.count("\n")) == (200, 1)
        note = tree.head(size).note + answer.body
        (found,) = cosignature.verified(note, [witness.vkey])
        assert (found.name, found.time, found.line) == (NAME, int(clock.now().timestamp()), answer.body)
        old = size


def test_cosignature_holds_for_exactly_this_checkpoint_and_key(witness: Witness, clock: FixedClock) -> None:
    tree = Tree().grow(9)
    line = witness.add_checkpoint(tree.request(0, 9)).body
    assert not cosignature.verified(tree.head(8).note + line, [witness.vkey])
    other = WitnessKey(name=NAME, public_key=LOG_KEY.public_key)
    assert not cosignature.verified(tree.head(9).note + line, [other])
    twice = cosignature.sign(tree.head(9).note, name=NAME, time=1, key=LOG_KEY).line
    assert cosignature.verified(tree.head(9).note + line + twice, [witness.vkey, other])[1].time == 1


def test_fork_is_refused_and_kept_as_evidence(witness: Witness, state: State) -> None:
    tree, fork = Tree().grow(20), Tree().grow(9).grow(25, b"other")
    assert status(witness, tree.request(0, 20)) == 200
    assert status(witness, fork.request(20, 25)) == 422
    assert status(witness, fork.request(20, 20)) == 422
    assert status(witness, fork.request(9, 20)) == 409
    assert [found.fork for found in state.evidence()].count(True) == 2
    proof = next(found for found in state.evidence() if found.fork)
    shown = AddCheckpoint.parse(proof.request).checkpoint
    known, _ = checkpoint.parse(proof.known)
    for note in (proof.known, shown.note):
        checkpoint.verify(note, key=LOG)
    assert (known.size, known.root) != (shown.size, shown.root)
    assert known.size == shown.size == 20
    assert state.latest(LOG.name).root == tree.head(20).root  # type: ignore[union-attr]
    assert status(witness, tree.request(20, 20)) == 200


def test_each_refusal_has_the_status_of_the_specification(witness: Witness) -> None:
    tree = Tree().grow(30)
    stranger = Ed25519Signer(Purpose.CHECKPOINT, Ed25519PrivateKey.from_private_bytes(bytes(32)))

    def of(head: Checkpoint, old: int, path: tuple[bytes, ...] = ()) -> bytes:
        return AddCheckpoint(old=old, path=path, checkpoint=head).text().encode()

    assert status(witness, of(tree.head(3, name="other.example/log"), 0)) == 404
    assert status(witness, of(tree.head(3, key=stranger), 0)) == 403
    assert status(witness, of(tree.head(3), 4)) == 400
    assert status(witness, of(tree.head(3), 0, (bytes(32),))) == 422
    assert status(witness, of(checkpoint.sign(LOG.name, 0, bytes(32), key=LOG_KEY), 0)) == 422
    first = witness.add_checkpoint(tree.request(0, 7))
    again = witness.add_checkpoint(tree.request(0, 9))
    assert (first.status, again) == (200, Answer(status=409, body="7\n", content_type="text/x.tlog.size"))
    assert status(witness, of(tree.head(9), 7)) == 422
    for damaged in (b"", b"\xff", b"old 7", tree.request(7, 9).replace(b"old 7", b"old 07"), b"new" + bytes(9)):
        assert status(witness, damaged) == 400
    hashes = (bytes(32),) * 64
    assert status(witness, of(tree.head(9), 7, hashes)) == 400


def test_foreign_lines_are_not_shown_to_monitors(witness: Witness) -> None:
    head = Tree().grow(3).head(3)
    foreign = "— else.example " + "A" * 96 + "\n"
    asked = AddCheckpoint(old=0, path=(), checkpoint=Checkpoint(origin="", size=3, root=b"", note=head.note + foreign))
    answer = witness.add_checkpoint(asked.text().encode())
    shown = witness.latest(sha256(LOG.name.encode()).hexdigest())
    assert (shown.status, shown.body) == (200, head.note + answer.body)
    assert witness.latest(sha256(b"other").hexdigest()).status == 404


def test_of_two_requests_at_once_only_one_moves_the_witness(home: WitnessHome, state: State, clock: FixedClock) -> None:
    """Two processes on one memory: the race of c2sp.org/tlog-witness would roll leaves back."""
    second = home.state()
    pair = [Witness(one, name=NAME, key=home.key(), clock=clock) for one in (state, second)]
    tree = Tree().grow(120)
    assert status(pair[0], tree.request(0, 10)) == 200
    for base in range(10, 110, 10):
        bodies = [tree.request(base, base + 5), tree.request(base, base + 10)]
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(status, pair, bodies))
        assert sorted(found) == [200, 409]
        size = state.latest(LOG.name).size  # type: ignore[union-attr]
        assert size == base + (5 if found[0] == 200 else 10)
        if size != base + 10:
            assert status(pair[0], tree.request(size, base + 10)) == 200
    second.close()


def test_clock_that_is_set_back_signs_no_older_time(witness: Witness, clock: FixedClock) -> None:
    tree = Tree().grow(9)
    witness.add_checkpoint(tree.request(0, 4))
    late = int(clock.now().timestamp())
    clock.set(clock.now() - timedelta(days=1))
    answer = witness.add_checkpoint(tree.request(4, 9))
    assert cosignature.verified(tree.head(9).note + answer.body, [witness.vkey])[0].time == late


def test_witness_that_forgot_or_is_another_does_not_cosign(home: WitnessHome, state: State) -> None:
    with pytest.raises(StateUnusable, match="another key"):
        state.follow(VerifierKey(name=LOG.name, public_key=bytes(32)))
    with pytest.raises(WitnessExists):
        home.create("other", SystemRng())
    state.close()
    (home.folder / STATE).unlink()
    with pytest.raises(KeyUnreadable, match="forgot"):
        home.state()
    with pytest.raises(KeyUnreadable):
        WitnessHome(home.folder / "nothing").name()
    (home.folder / "passphrase").write_text("wrong")
    with pytest.raises(KeyUnreadable):
        home.key()


def test_vkey_is_read_as_written_and_a_logs_key_is_none(home: WitnessHome) -> None:
    key = WitnessKey(name=NAME, public_key=home.key().public_key)
    assert WitnessKey.parse(key.text()) == key
    for wrong in (LOG.text(), key.text()[:-2], key.text().replace(NAME, "x"), "", "a+b+c"):
        with pytest.raises(BadCosignature):
            WitnessKey.parse(wrong)


@given(st.text(max_size=200))
def test_any_text_is_refused_with_our_own_errors(text: str) -> None:
    for candidate in (text, f"old 0\n\n{text}", f"old 3\n{text}\n\n{text}"):
        with pytest.raises((BadCosignature, BadCheckpoint)):
            AddCheckpoint.parse(candidate)
    with pytest.raises(BadCosignature):
        WitnessKey.parse(text)


@pytest.fixture
def served(witness: Witness) -> Iterator[http.client.HTTPConnection]:
    server = WitnessServer(("127.0.0.1", 0), witness)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    yield connection
    connection.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_served_over_one_kept_connection(served: http.client.HTTPConnection, witness: Witness) -> None:
    tree = Tree().grow(5)

    def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, str, str]:
        served.request(method, path, body)
        answer = served.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()

    assert ask("GET", "/")[::2] == (200, witness.vkey.text() + "\n")
    code, kind, line = ask("POST", "/add-checkpoint", tree.request(0, 5))
    assert (code, kind) == (200, "text/plain; charset=utf-8")
    assert ask("POST", "/add-checkpoint", tree.request(0, 5)) == (409, "text/x.tlog.size", "5\n")
    assert ask("GET", f"/{sha256(LOG.name.encode()).hexdigest()}/checkpoint")[2] == tree.head(5).note + line
    assert ask("GET", "/elsewhere")[0] == ask("POST", "/elsewhere", b"")[0] == 404
    assert ask("POST", "/add-checkpoint", b"x" * (MAX_REQUEST + 1))[0] == 413


def test_command_makes_serves_and_shows_a_witness(tmp_path: Path, rng: random.Random) -> None:
    """As a partner runs it: its own process, killed with -9 between two requests."""
    folder = tmp_path / "partner"

    def cinnabar(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dashboard.cli", "witness", *words, "--home", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = cinnabar("init", "--name", NAME, "--json")
    vkey = WitnessKey.parse(loads(made.stdout)["vkey"])
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert cinnabar("init", "--name", NAME).returncode == 2
    assert cinnabar("follow", LOG.text()).returncode == 0
    tree, old = Tree().grow(50), 0
    fork = Tree().grow(10).grow(50, rng.randbytes(4))
    for size, asked, ending in ((20, [(tree, 200)], signal.SIGKILL), (40, [(fork, 422), (tree, 200)], signal.SIGTERM)):
        command = [sys.executable, "-m", "dashboard.cli", "witness", "serve", "--home", str(folder)]
        running = subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE)
        assert running.stdout is not None
        port = int(loads(running.stdout.readline())["url"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for one, expected in asked:
            connection.request("POST", "/add-checkpoint", one.request(old, size))
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == expected
        assert cosignature.verified(tree.head(size).note + body, [vkey])
        connection.close()
        running.send_signal(ending)
        assert running.wait(20) == (0 if ending is signal.SIGTERM else -ending)
        running.stdout.close()
        old = size
    shown = cinnabar("show", "--json")
    facts = loads(shown.stdout)
    assert (shown.returncode, facts["logs"][0]["cosigned"]["size"], len(facts["refused"])) == (0, 40, 1)


def test_local_key_signs_as_its_public_key_says() -> None:
    key = LocalKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    assert (key.public_key, key.sign(b"x")) == (LOG_KEY.public_key, LOG_KEY.sign(b"x"))
