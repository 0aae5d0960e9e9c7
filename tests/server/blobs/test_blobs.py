"""Files are found by digest, unreadable on disk, gone when erased, and never half stored."""

import hashlib
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.blobs import envelope
from server.blobs.errors import BlobDamaged, BlobErased, BlobMissing, BlobTooLarge, DigestMismatch, WrongOffset
from server.blobs.store import Blobs, open_blobs
from server.core.clock import SystemClock
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.rng import SystemRng
from server.core.scope import Scope

TEXT = b"the approved page, which nobody may read on disk " * 50
DIGEST = hashlib.sha256(TEXT).digest()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_comes_back_by_its_digest_and_is_stored_once(
    blobs: Blobs, database: Database, scope: Scope, folder: Path
) -> None:
    with database.write() as db:
        assert blobs.put(db, TEXT, "application/pdf", scope=scope) == DIGEST
    with database.write() as db:
        assert blobs.put(db, TEXT, "application/pdf", scope=scope) == DIGEST
    assert len(files(folder)) == 1
    with database.read() as db:
        assert blobs.get(db, DIGEST, scope=scope) == TEXT
        assert blobs.media_type(db, DIGEST, scope=scope) == "application/pdf"


def test_the_disk_shows_neither_content_nor_digest(
    blobs: Blobs, database: Database, scope: Scope, folder: Path
) -> None:
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
    (stored,) = files(folder)
    assert b"approved page" not in stored.read_bytes()
    assert DIGEST.hex()[:8] not in str(stored)


def test_another_tenant_sees_nothing(blobs: Blobs, database: Database, scope: Scope) -> None:
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
    other = Scope.system(UUID("01900000-0000-7000-8000-000000000002"))
    with database.read() as db, pytest.raises(BlobMissing):
        blobs.get(db, DIGEST, scope=other)


def test_an_erased_file_is_unreadable_even_from_a_copy_of_the_folder(
    blobs: Blobs, database: Database, scope: Scope, folder: Path
) -> None:
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
    (stored,) = files(folder)
    copy = stored.read_bytes()
    with database.write() as db:
        blobs.erase(db, DIGEST, scope=scope)
    assert files(folder) == []
    stored.write_bytes(copy)
    with database.read() as db:
        assert not blobs.exists(db, DIGEST, scope=scope)
        with pytest.raises(BlobErased):
            blobs.get(db, DIGEST, scope=scope)


def test_a_rolled_back_erasure_leaves_the_file(blobs: Blobs, database: Database, scope: Scope) -> None:
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
    with database.write() as db:
        blobs.erase(db, DIGEST, scope=scope)
        db.rollback()
    with database.read() as db:
        assert blobs.get(db, DIGEST, scope=scope) == TEXT


def test_an_erased_file_can_be_stored_again_under_a_new_key(blobs: Blobs, database: Database, scope: Scope) -> None:
    for _round in range(2):
        with database.write() as db:
            blobs.put(db, TEXT, "text/plain", scope=scope)
        with database.write() as db:
            assert blobs.get(db, DIGEST, scope=scope) == TEXT
            blobs.erase(db, DIGEST, scope=scope)


@pytest.mark.parametrize("at", [0, 5, 40, -1])
def test_one_flipped_byte_on_disk_is_noticed(
    blobs: Blobs, database: Database, scope: Scope, folder: Path, at: int
) -> None:
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
    (stored,) = files(folder)
    data = bytearray(stored.read_bytes())
    data[at] ^= 1
    stored.write_bytes(data)
    with database.read() as db, pytest.raises(BlobDamaged):
        blobs.get(db, DIGEST, scope=scope)


def test_an_upload_goes_on_where_it_stopped(
    database: Database, scope: Scope, folder: Path, keys: KeyStore, blobs: Blobs
) -> None:
    with database.write() as db:
        assert blobs.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope) == 0
    with database.read() as db:
        assert blobs.append(db, DIGEST, 0, TEXT[:1000], scope=scope) == 1000
        with pytest.raises(WrongOffset) as wrong:
            blobs.append(db, DIGEST, 0, TEXT[:1000], scope=scope)
        assert wrong.value.facts["offset"] == 1000
    restarted = open_blobs(folder.as_uri(), keys=keys, rng=SystemRng(), clock=SystemClock())
    with database.write() as db:
        assert restarted.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope) == 1000
        with pytest.raises(WrongOffset):
            restarted.finish(db, DIGEST, scope=scope)
    with database.read() as db:
        assert restarted.append(db, DIGEST, 1000, TEXT[1000:], scope=scope) == len(TEXT)
    assert not any(b"approved page" in path.read_bytes() for path in files(folder))
    with database.write() as db:
        assert restarted.finish(db, DIGEST, scope=scope) == DIGEST
    with database.write() as db:
        assert restarted.get(db, DIGEST, scope=scope) == TEXT
        assert restarted.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope) == len(TEXT)
        assert restarted.finish(db, DIGEST, scope=scope) == DIGEST
    assert len(files(folder)) == 1


def test_an_upload_of_other_bytes_is_refused_and_starts_again(blobs: Blobs, database: Database, scope: Scope) -> None:
    with database.write() as db:
        blobs.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope)
        blobs.append(db, DIGEST, 0, b"x" * len(TEXT), scope=scope)
        with pytest.raises(DigestMismatch):
            blobs.finish(db, DIGEST, scope=scope)
        assert not blobs.exists(db, DIGEST, scope=scope)
        assert blobs.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope) == 0


@pytest.mark.parametrize("wrong", [2, 2 * len(TEXT)])
def test_an_upload_of_another_size_does_not_stand_in_the_way(
    blobs: Blobs, database: Database, scope: Scope, wrong: int
) -> None:
    with database.write() as db:
        blobs.begin(db, DIGEST, wrong, "image/jpeg", scope=scope)
        blobs.append(db, DIGEST, 0, b"x" * 2, scope=scope)
    with database.write() as db:
        assert blobs.begin(db, DIGEST, len(TEXT), "image/jpeg", scope=scope) == 0
        blobs.append(db, DIGEST, 0, TEXT, scope=scope)
        assert blobs.finish(db, DIGEST, scope=scope) == DIGEST
        assert blobs.get(db, DIGEST, scope=scope) == TEXT


def test_an_upload_longer_than_announced_is_refused(blobs: Blobs, database: Database, scope: Scope) -> None:
    with database.write() as db:
        blobs.begin(db, DIGEST, 10, "image/jpeg", scope=scope)
        with pytest.raises(BlobTooLarge):
            blobs.append(db, DIGEST, 0, b"x" * 11, scope=scope)
        with pytest.raises(BlobTooLarge):
            blobs.begin(db, DIGEST, 1 << 40, "image/jpeg", scope=scope)


def test_sweep_removes_only_what_no_row_names(database: Database, scope: Scope, folder: Path, keys: KeyStore) -> None:
    blobs = open_blobs(folder.as_uri(), keys=keys, rng=SystemRng(), clock=SystemClock())
    with database.write() as db:
        blobs.put(db, TEXT, "text/plain", scope=scope)
        blobs.begin(db, bytes(32), 10, "text/plain", scope=scope)
        blobs.append(db, bytes(32), 0, b"x", scope=scope)
    blobs.stage(b"the process died before the row", "text/plain")
    with database.read() as db:
        assert blobs.sweep(db, older_than=timedelta(hours=1)) == 0
        assert blobs.sweep(db, older_than=timedelta(seconds=-5)) == 1
        assert blobs.get(db, DIGEST, scope=scope) == TEXT
    assert len(files(folder)) == 2


@pytest.mark.parametrize("size", [0, 1, envelope.CHUNK_SIZE - 1, envelope.CHUNK_SIZE, 2 * envelope.CHUNK_SIZE + 3])
def test_an_envelope_opens_whole_or_not_at_all(size: int) -> None:
    key, plain = bytes(range(32)), bytes(size)
    sealed = envelope.encrypt(plain, key)
    assert envelope.decrypt(sealed, key) == plain
    assert envelope.plain_size(len(sealed)) == size
    step = envelope.CHUNK_SIZE + 16
    for broken in (sealed[:-1], sealed[: 4 + step], sealed + b"\0", sealed[4:], sealed[:4] + sealed[4 + step :]):
        if broken != sealed:
            with pytest.raises(envelope.EnvelopeBroken):
                envelope.decrypt(broken, key)
