"""Presses without a comparison wait for a person; until then, and if refused, the public page says so."""

import pytest

from server.approvals.schemas import RequestRead
from server.audit import reviewing, service
from server.audit.errors import NotYourReview, ReasonMissing, ReviewedAlready
from server.events import service as events
from server.identity.schemas import PersonRead
from server.public.building import refresh
from server.public.snapshot import Status
from server.public.store import codes
from server.tokens.schemas import TokenOut
from tests.server.office import Office
from tests.server.world import Company


def stamped(office: Office, company: Company) -> tuple[RequestRead, TokenOut]:
    """Two presses of a continuous job."""
    request = company.approved(form={"stamping": "continuous"})
    token = office.token(request)
    office.grant(token)
    for stroke in (1, 2):
        office.page_seen(token.token_id, stroke, b"before %d" % stroke)
        office.press(token, stroke)
    office.close(token, 2)
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        events.project(office.run, first=first, last=last)
    return request, token


def decide(office: Office, person: PersonRead, token: TokenOut, stroke: int, *, confirmed: bool, why: str) -> None:
    with office.run.db.write() as db:
        reviewing.decide(
            db,
            office.run,
            office.company.scope(person),
            token_id=token.token_id,
            stroke=stroke,
            confirmed=confirmed,
            reason=why,
        )


def statuses(office: Office) -> list[int]:
    office.deliver()
    refresh(office.run)
    with office.run.db.read() as db:
        return sorted(row.status for row in codes(db))


def test_a_person_decides_about_each_press(office: Office, company: Company) -> None:
    request, token = stamped(office, company)
    scope = company.scope(company.auditor)
    assert statuses(office) == [Status.NOT_CONFIRMED] * 2
    with office.run.db.read() as db:
        waiting = reviewing.open_reviews(db, office.run, scope)
        counts = service.reconcile(db, office.run, scope, request.id)
    assert [(review.stroke.stroke, review.mode) for review in waiting] == [(1, "continuous"), (2, "continuous")]
    assert (counts.to_review, "to_review" in counts.open_points) == (2, True)
    decide(office, company.auditor, token, 1, confirmed=True, why="photos show the approved page")
    decide(office, company.boss, token, 2, confirmed=False, why="another document lies there")
    with office.run.db.read() as db:
        assert reviewing.open_reviews(db, office.run, scope) == []
        said = reviewing.verdicts(db, scope, request.id)
    assert [(one.by, one.confirmed) for one in said.values()] == [("Auditor", True), ("Boss", False)]
    assert statuses(office) == sorted([Status.KNOWN, Status.WITHDRAWN])
    with pytest.raises(ReviewedAlready):
        decide(office, company.boss, token, 1, confirmed=False, why="I changed my mind")


def test_not_everybody_decides_and_never_without_a_reason(office: Office, company: Company) -> None:
    _request, token = stamped(office, company)
    for person in (company.keeper, company.clerk):
        with pytest.raises(NotYourReview):
            decide(office, person, token, 1, confirmed=True, why="fine with me")
    with pytest.raises(ReasonMissing):
        decide(office, company.auditor, token, 1, confirmed=True, why="  ")
