"""A company with an installation that seals: real database, keys, blobs, sandbox, certificates from START on."""

import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import structlog

from dashboard.cli.init import create_installation
from firmware_protocol.purposes import Purpose
from server.blobs.store import open_blobs
from server.core.clock import FixedClock
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.rng import SeededRng, SystemRng
from server.core.runtime import Runtime
from server.core.settings import Settings
from server.core.trustfile import TrustFile
from server.eseals import service
from server.eseals.normalising import normalise
from server.eseals.schemas import Order
from server.jobs.sandbox import Workers
from server.ledger.checkpoint import origin_of
from server.ledger.sequencer import Sequencer, Signers
from server.verification.trust import TrustBundle, read_bundle
from tests.server.world import START, Company, company, contract_pdf, workers

__all__ = ["company", "workers"]


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation whose certificates begin at START; made once, copied for each test."""
    settings = Settings(home=tmp_path_factory.mktemp("eseals") / "home", demo=True, log_level="WARNING")
    create_installation(settings, clock=FixedClock(START), rng=SystemRng())
    return settings


@pytest.fixture(scope="session")
def opened_keys(made_home: Settings) -> KeyStore:
    return KeyStore.open(made_home)


@pytest.fixture
def settings(made_home: Settings, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    shutil.copytree(made_home.home, home)
    return made_home.model_copy(update={"home": home})


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def run(  # noqa: PLR0917 - pytest gives fixtures by name
    settings: Settings, opened_keys: KeyStore, workers: Workers, clock: FixedClock, database_url: str, seed: int
) -> Iterator[Runtime]:
    folder = settings.home.parent
    database = Database(database_url)
    rng = SeededRng(seed)
    yield Runtime(
        settings=settings,
        db=database,
        clock=clock,
        rng=rng,
        keys=opened_keys,
        blobs=open_blobs((folder / "blobs").as_uri(), keys=opened_keys, rng=rng, clock=clock),
        workers=workers,
        log=structlog.stdlib.get_logger("test"),
    )
    database.close()


@pytest.fixture(scope="session")
def approved_pdf() -> bytes:
    return normalise(contract_pdf())


@pytest.fixture
def document(run: Runtime, company: Company, approved_pdf: bytes) -> bytes:
    """What was approved, in the blob store."""
    return stored(run, company, approved_pdf)


def stored(run: Runtime, company: Company, pdf: bytes) -> bytes:
    with run.db.write() as db:
        run.blobs.put(db, pdf, "application/pdf", scope=company.everywhere)
    return pdf


@pytest.fixture
def order(run: Runtime, company: Company, document: bytes) -> Order:
    return order_of(run, company, document)


def order_of(run: Runtime, company: Company, pdf: bytes) -> Order:
    return Order(
        tenant_id=company.tenant.id,
        branch_path="/spain/madrid/",
        request_id=run.new_id(),
        request_name="SR-2026-0001",
        title="Supply contract",
        seal_id=company.seal.id,
        document_digest=sha256(pdf).digest(),
        page=1,
        x_mm=120,
        y_mm=230,
        ordered_by=company.clerk.id,
    )


@pytest.fixture
def into_the_tree(run: Runtime) -> Iterator[Callable[[], None]]:
    """The ledger's sequencer takes what is queued."""
    signers = Signers(
        entry=run.keys.signer(Purpose.ENTRY),
        checkpoint=run.keys.signer(Purpose.CHECKPOINT),
    )
    sequencer = Sequencer(
        run.db, signers=signers, origin=origin_of(run.settings.public_url), clock=run.clock, rng=run.rng
    )
    sequencer.open()
    yield lambda: sequencer.commit([]) and None
    sequencer.close()


def bundle_of(run: Runtime) -> TrustBundle:
    return read_bundle(TrustFile(run.settings.home).bundle())


def file_of(run: Runtime, company: Company, order: Order) -> bytes:
    with run.db.read() as db:
        found = service.of_request(db, company.everywhere, order.request_id)
        assert found is not None
        return service.sealed_pdf(db, run, company.everywhere, found.id)
