from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import SQLModel

import server.blobs.models
from server.blobs.store import Blobs, open_blobs
from server.core.clock import FixedClock
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.rng import SeededRng, SystemRng
from server.core.scope import Scope

TENANT = UUID("01900000-0000-7000-8000-000000000001")


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    KeyStore.create(folder, b"a test passphrase", SystemRng())
    return folder


@pytest.fixture(scope="session")
def keys(key_folder: Path) -> KeyStore:
    return KeyStore(key_folder, b"a test passphrase")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'blobs.sqlite3'}")
    tables = [server.blobs.models.Blob.__table__, server.blobs.models.BlobUpload.__table__]
    SQLModel.metadata.create_all(database.engine, tables=tables)
    yield database
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def blobs(folder: Path, keys: KeyStore) -> Blobs:
    return open_blobs(folder.as_uri(), keys=keys, rng=SeededRng(7), clock=FixedClock())


@pytest.fixture
def scope() -> Scope:
    return Scope.system(TENANT)
