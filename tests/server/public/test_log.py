"""The public log: tiles from files, the page that counts outside witnesses, and nothing of any entry."""

import dataclasses
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.core.runtime import Runtime
from server.core.settings import WitnessSetting
from server.core.signer import Purpose
from server.ledger import checkpoint, cosignature, merkle, publishing, tile_names
from server.ledger.checkpoint import Checkpoint, VerifierKey
from server.ledger.cosignature import WitnessKey
from server.ledger.publishing import FOLDER, file_of, grown
from server.ledger.witness.home import LocalKey
from tests.server.public.site import Site
from tests.server.world import Client

LEAVES = [merkle.leaf_hash(number.to_bytes(2)) for number in range(700)]
NAMES = ("theirs.example", "mine.example")


@dataclass
class Published:
    """A public site whose log folder is written here, as the ledger role does."""

    run: Runtime
    keys: dict[str, LocalKey]
    site: Site

    def head(self, size: int, *, key: Purpose = Purpose.CHECKPOINT) -> Checkpoint:
        tree = merkle.Tree()
        tree.append(LEAVES[:size])
        return checkpoint.sign("localhost:8444/log", size, tree.root(), key=self.run.keys.signer(key))

    def publish(self, size: int, *cosigned_by: str, key: Purpose = Purpose.CHECKPOINT) -> None:
        tree, tiles = merkle.Tree(), {}
        for tile in tree.append(LEAVES[:size]):
            tiles[tile.level, tile.index] = tile.data
        folder = self.run.settings.home / FOLDER
        for level, index in grown(0, size):
            publishing._replace(file_of(folder, level, index), tiles[level, index])
        note = self.head(size, key=key).note
        lines = [
            cosignature.sign(note, name=name, time=1_800_000_000, key=self.keys[name]).line for name in cosigned_by
        ]
        publishing._replace(folder / publishing.CHECKPOINT, cosignature.with_lines(note, lines).encode())

    def client(self) -> Client:
        return self.site.client()


@pytest.fixture
def published(site: Site) -> Published:
    keys = {name: LocalKey(Ed25519PrivateKey.generate()) for name in NAMES}
    settings = tuple(
        WitnessSetting(
            vkey=WitnessKey(name=name, public_key=key.public_key).text(), url="https://w", own=name == "mine.example"
        )
        for name, key in keys.items()
    )
    changed = site.run.settings.model_copy(update={"witnesses": settings, "witness_quorum": 1})
    run = dataclasses.replace(site.run, settings=changed)
    return Published(run, keys, dataclasses.replace(site, run=run, codes={}))


def test_stranger_rebuilds_the_root_from_public_tiles(published: Published) -> None:
    published.publish(700)
    web = published.client()
    key = VerifierKey(name="localhost:8444/log", public_key=published.run.keys.public_key(Purpose.CHECKPOINT))
    answer = web.get("/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "max-age=1"
    head = checkpoint.verify(answer.text, key=key)
    tree = merkle.Tree()
    for index in range(3):
        tile = web.get("/log/" + tile_names.tile_path(0, index, merkle.tile_width(0, index, head.size)))
        assert "immutable" in tile.headers["cache-control"]
        tree.append(tile.content[at : at + 32] for at in range(0, len(tile.content), 32))
    assert (tree.size, tree.root()) == (head.size, head.root)
    assert web.get("/log/tile/0/000.p/9").content == b"".join(LEAVES[:9])
    for path in ("0/003", "0/002", "0/002.p/189", "entries/000", "0/..%2f..%2fcheckpoint", "3/000", "0/x000/000"):
        assert web.get(f"/log/tile/{path}").status_code == 404


def test_page_counts_only_witnesses_of_others_whose_signature_holds(published: Published) -> None:
    published.publish(5, "mine.example")
    page = published.client().get("/record").text
    assert "Not yet seen by 1 outside witness." in page
    assert "Nobody outside this company has signed this state" in page
    published.publish(5, "mine.example", "theirs.example")
    page = published.client().get("/record").text
    assert "Not yet seen" not in page
    assert "Nobody outside" not in page
    assert "cinnabar witness init" in page
    with_old_line = published.head(5).note
    line = cosignature.sign(
        with_old_line, name="theirs.example", time=1_800_000_000, key=published.keys["theirs.example"]
    )
    folder = published.run.settings.home / FOLDER
    (folder / publishing.CHECKPOINT).write_text(published.head(6).note + line.line)
    assert "Not yet seen by 1 outside witness." in published.client().get("/record").text


def test_page_shows_no_state_that_another_key_signed(published: Published) -> None:
    published.publish(5, key=Purpose.ENTRY)
    assert "The record has not begun yet" in published.client().get("/record").text


def test_nothing_published_yet_is_said(published: Published) -> None:
    folder = published.run.settings.home / FOLDER
    (folder / publishing.CHECKPOINT).unlink(missing_ok=True)
    assert published.client().get("/log/checkpoint").status_code == 503
    assert published.client().get("/record").status_code == 200
