"""A stamping that went through the slices gives a bundle that verifies offline; and what it must not hold."""

import pytest
from fastapi import FastAPI

from server.approvals.errors import NoSuchRequest
from server.archive import routes, service
from server.archive.errors import NotFinished, StillBeingFiled
from server.core import http
from server.core.trustfile import TrustFile
from server.ledger import service as ledger
from server.ledger.service import EntryType
from server.verification import bundle, container
from server.verification.bundle import Outcome
from server.verification.checks import Result
from server.verification.roots import of_bundle
from tests.server.archive.stamping import stamp
from tests.server.office import Office
from tests.server.world import Client, Company


def test_a_stamping_becomes_a_bundle_that_verifies_offline(office: Office, company: Company) -> None:
    run = office.run
    request, code = stamp(office, company)
    auditor = company.scope(company.auditor)
    with pytest.raises(StillBeingFiled):
        service.build_bundle(run, auditor, request_id=request.id)
    office.sequencer.commit([])
    data = service.build_bundle(run, auditor, request_id=request.id)
    pin = of_bundle(TrustFile(run.settings.home).bundle())
    verdict = bundle.verify(data, pins=[pin], now=int(run.now().timestamp()))
    assert [(one.name, one.compared, one.member) for one in verdict.checks if one.result is not Result.PASSED] == []
    assert verdict.outcome is Outcome.GOOD
    assert [stroke.code for stroke in verdict.strokes] == [code]
    names = container.unpack(data)[0]
    assert sum(name.startswith("photos/") for name in names) == 4
    assert sum(name.startswith("decisions/") for name in names) == 1


def test_filing_again_changes_nothing_until_something_is_added(office: Office, company: Company) -> None:
    run = office.run
    request, _code = stamp(office, company)
    first = service.file_request(run, tenant_id=company.tenant.id, request_id=request.id)
    office.sequencer.commit([])
    again = service.file_request(run, tenant_id=company.tenant.id, request_id=request.id)
    assert (again.leaf_hash, again.record_digest) == (first.leaf_hash, first.record_digest)
    assert "1.200,00" in first.text
    with run.db.read() as db:
        filed = ledger.find(db, company.everywhere, ref=f"request:{request.id}", entry_type=EntryType.RECORD_FILED)
        assert len(filed) == 1
        held = service.record(db, company.scope(company.auditor), request.id)
        assert held is not None
        assert held.title == "Secret merger"
        assert service.record(db, company.scope(company.stranger), request.id) is None


def test_an_unfinished_request_has_no_bundle_and_a_stranger_learns_nothing(office: Office, company: Company) -> None:
    request = company.approved()
    with pytest.raises(NotFinished):
        service.build_bundle(office.run, company.scope(company.auditor), request_id=request.id)
    with pytest.raises(NoSuchRequest):
        service.build_bundle(office.run, company.scope(company.stranger), request_id=request.id)


def test_the_route_needs_a_session(office: Office, company: Company) -> None:
    app = FastAPI()
    http.prepare(app, office.run)
    app.include_router(routes.router)
    answer = Client(app).get(f"/api/v1/requests/{company.approved().id}/evidence.zip")
    assert answer.status_code == 401
