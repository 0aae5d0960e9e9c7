"""From an approved request to a sealed file, over the services and over HTTP."""

import dataclasses
import io
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from pyhanko.pdf_utils.reader import PdfFileReader

from server.approvals import service as approvals
from server.approvals.errors import NoSuchRequest, WrongState
from server.approvals.policy import State
from server.approvals.schemas import RequestRead, SealForm
from server.core import http
from server.core.runtime import Runtime
from server.eseals import service
from server.eseals.errors import NoSuchEseal
from server.eseals.offline import verdict_of
from server.eseals.routes import router
from server.eseals.schemas import EsealRead, Order
from server.identity import guard
from server.jobs import service as jobs
from server.jobs.role import load_handlers
from tests.eseals.service.conftest import bundle_of
from tests.server.world import Client, Company


@pytest.fixture
def digital(company: Company) -> RequestRead:
    """A request for an electronic seal alone, approved."""
    return company.approved(form={"form": SealForm.ELECTRONIC, "copies": 1})


def work_off(run: Runtime) -> None:
    load_handlers()
    while jobs.run_one(run, owner="test"):
        pass


def sealed_of(run: Runtime, company: Company, request_id: UUID) -> EsealRead | None:
    with run.db.read() as db:
        return service.of_request(db, company.everywhere, request_id)


def read(run: Runtime, company: Company, request_id: UUID) -> RequestRead:
    with run.db.read() as db:
        return approvals.request(db, run, company.everywhere, request_id)


def test_the_last_approval_has_the_pdf_sealed(run: Runtime, company: Company, digital: RequestRead) -> None:
    assert sealed_of(run, company, digital.id) is None
    work_off(run)
    found = sealed_of(run, company, digital.id)
    assert found is not None
    with run.db.read() as db:
        approved = approvals.pdf(db, run, company.tenant.id, digital.document_digest)
        data = service.sealed_pdf(db, run, company.scope(company.clerk), found.id)
    assert data.startswith(approved)
    assert digital.short in str(PdfFileReader(io.BytesIO(data)).embedded_signatures[0].sig_object["/Reason"])
    assert verdict_of(data, [bundle_of(run)], now=run.now()).outcome == "sealed"
    assert read(run, company, digital.id).state is State.DONE


def test_nothing_is_stamped_for_an_electronic_seal(run: Runtime, company: Company, digital: RequestRead) -> None:
    assert (digital.strokes, approvals.plan(digital)) == (0, ())
    with run.db.read() as db:
        assert approvals.requests_for_seals(db, run, company.tenant.id, [company.seal.id]) == []
    with pytest.raises(WrongState), run.db.write() as db:
        approvals.start_use(db, run, tenant_id=company.tenant.id, request_id=digital.id)


def test_both_leaves_the_paper_to_be_stamped(run: Runtime, company: Company) -> None:
    request = company.approved(form={"form": SealForm.BOTH})
    work_off(run)
    assert sealed_of(run, company, request.id) is not None
    after = read(run, company, request.id)
    assert (after.state, after.strokes, len(approvals.plan(after))) == (State.APPROVED, 2, 2)


def test_a_request_for_paper_is_never_sealed_electronically(run: Runtime, company: Company) -> None:
    request = company.approved()
    work_off(run)
    assert sealed_of(run, company, request.id) is None
    with pytest.raises(WrongState):
        approvals.seal_electronically(run, company.scope(company.clerk), request_id=request.id)


def test_nothing_is_sealed_before_the_approval(run: Runtime, company: Company) -> None:
    request = company.submitted(form={"form": SealForm.ELECTRONIC})
    with pytest.raises(WrongState):
        approvals.seal_electronically(run, company.scope(company.clerk), request_id=request.id)
    assert sealed_of(run, company, request.id) is None


def test_a_request_voided_meanwhile_is_not_sealed(run: Runtime, company: Company, digital: RequestRead) -> None:
    with run.db.write() as db:
        approvals.void(db, run, company.scope(company.admin), request_id=digital.id, reason="wrong party")
    work_off(run)
    assert sealed_of(run, company, digital.id) is None


def test_what_is_asked_for_is_part_of_what_is_approved(company: Company) -> None:
    digests = {company.submitted(form={"form": form}).digest for form in SealForm}
    assert len(digests) == len(SealForm)


def test_asking_and_the_worker_make_one_seal(run: Runtime, company: Company, digital: RequestRead) -> None:
    asked = approvals.seal_electronically(run, company.scope(company.clerk), request_id=digital.id)
    work_off(run)
    assert sealed_of(run, company, digital.id) == asked
    with run.db.read() as db:
        assert service.eseals(db, company.everywhere) == [asked]


def test_another_branch_cannot_ask(run: Runtime, company: Company, digital: RequestRead) -> None:
    with pytest.raises(NoSuchRequest):
        approvals.seal_electronically(run, company.scope(company.stranger), request_id=digital.id)


def test_another_branch_does_not_see_it(run: Runtime, company: Company, order: Order) -> None:
    issued = service.issue(run, order)
    stranger = company.scope(company.stranger)
    with run.db.read() as db:
        assert service.eseals(db, stranger) == []
        assert service.of_request(db, stranger, order.request_id) is None
        with pytest.raises(NoSuchEseal):
            service.sealed_pdf(db, run, stranger, issued.id)


def test_over_http(run: Runtime, company: Company, order: Order) -> None:
    issued = service.issue(run, order)
    app = FastAPI()
    http.prepare(app, run)
    app.include_router(router)
    client = Client(app)
    assert client.get(f"/api/v1/requests/{order.request_id}/sealed.pdf").status_code == 401

    def sign_in(person: Any) -> None:
        app.dependency_overrides[guard.signed_in] = lambda: _Session(company.scope(person))

    sign_in(company.keeper)
    answer = client.get(f"/api/v1/requests/{order.request_id}/sealed.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert sha256(answer.content).digest() == issued.sealed_digest
    listed = client.get("/api/v1/eseals").json()
    assert [one["sealed_digest"] for one in listed] == [issued.sealed_digest.hex()]
    assert client.get(f"/api/v1/eseals/{issued.id}/sealed.pdf").content == answer.content
    body = {"reason": "signed in error"}
    assert client.post(f"/api/v1/eseals/{issued.id}/withdraw", json=body).status_code == 403
    sign_in(company.admin)
    assert client.post(f"/api/v1/eseals/{issued.id}/withdraw", json=body).json()["withdrawn_at"]
    sign_in(company.stranger)
    for path in (f"requests/{order.request_id}/sealed.pdf", f"eseals/{issued.id}", f"eseals/{issued.id}/sealed.pdf"):
        missing = client.get(f"/api/v1/{path}")
        assert (missing.status_code, missing.json()["code"]) == (404, "no_such_eseal")
    assert client.post(f"/api/v1/eseals/{issued.id}/withdraw", json=body).status_code == 404


@dataclasses.dataclass(frozen=True)
class _Session:
    scope: Any
