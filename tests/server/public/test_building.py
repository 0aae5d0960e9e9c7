"""From a real stamping to the snapshot that strangers read."""

import re
from collections.abc import Iterator

import pytest

from firmware_protocol import trace
from server.core.clock import FixedClock, SystemClock
from server.core.trustfile import TrustFile
from server.eseals import service as eseals
from server.ledger import service as ledger
from server.public import building, source
from server.public.app import create_app
from server.public.snapshot import SealState, read
from server.seals import service as seals
from server.seals.schemas import SealState as State
from server.verification.trust import read_anchor
from tests.server.archive.stamping import stamp
from tests.server.office import Office, gateway, office
from tests.server.world import Client, Company

__all__ = ["gateway", "office"]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(SystemClock().now())


@pytest.fixture(autouse=True)
def no_snapshot_left(office: Office) -> Iterator[None]:
    yield
    source.path_in(office.run.settings.home).unlink(missing_ok=True)


def root(office: Office) -> bytes:
    return read_anchor(TrustFile(office.run.settings.home).anchor()).root_key


def test_a_stamping_can_be_checked_by_a_stranger(office: Office, company: Company) -> None:
    _request, code = stamp(office, company)
    signed = building.refresh(office.run)
    client = Client(create_app(office.run))
    page = client.get(trace.url(code, host="localhost").split("LOCALHOST")[1])
    assert "This code is real" in page.text
    for fact in ("Azulejos del Sur S.A.", "Contract seal 02", "2 pages", "1 of 1", trace.short_code(code)):
        assert fact in page.text
    for secret in ("Secret merger", "Hidden Ltd", "Clerk", "Keeper", "Boss", "1.200,00"):
        assert secret not in page.text
        assert secret.encode() not in signed
    assert re.search(r"which is word number \d\?", page.text)
    asked = read(signed, root=root(office)).snapshot.codes[0].places
    assert len(asked) == 3


def test_the_snapshot_is_the_same_story_when_built_again(office: Office, company: Company) -> None:
    stamp(office, company)
    first = read(building.refresh(office.run), root=root(office)).snapshot
    again = read(building.refresh(office.run), root=root(office)).snapshot
    assert again.codes == first.codes
    with office.run.db.read() as db:
        assert again.checkpoint == ledger.checkpoint(db).note


def test_a_suspended_seal_shows_at_once(office: Office, company: Company) -> None:
    building.refresh(office.run)
    with office.run.db.write() as db:
        seals.set_state(
            db,
            office.run,
            company.scope(company.admin),
            seal_id=company.seal.id,
            state=State.SUSPENDED,
            reason="lost for a day",
        )
    office.sequencer.commit([])
    (shown,) = read(building.refresh(office.run), root=root(office)).snapshot.seals
    assert shown.state is SealState.SUSPENDED


def test_an_electronic_seal_and_its_withdrawal(office: Office, company: Company) -> None:
    run = office.run
    request = company.approved()
    order = eseals.Order(
        tenant_id=company.tenant.id,
        branch_path=request.branch_path,
        request_id=request.id,
        request_name=request.short,
        seal_id=request.seal_id,
        document_digest=request.document_digest,
        title=request.title,
        page=1,
        x_mm=140,
        y_mm=230,
        ordered_by=company.boss.id,
    )
    made = eseals.issue(run, order)
    office.sequencer.commit([])
    (listed,) = read(building.refresh(run), root=root(office)).snapshot.codes
    assert (listed.short_code, listed.status.name) == (made.short_code, "KNOWN")
    with run.db.write() as db:
        eseals.withdraw(db, run, company.everywhere, eseal_id=made.id, reason="wrong annex")
    office.sequencer.commit([])
    after = read(building.refresh(run), root=root(office)).snapshot
    assert after.codes[0].status.name == "WITHDRAWN"
    assert after.sealed == ()
