"""Approved = granted = pressed = photographed = filed, or the sheet says what does not agree."""

from server.audit import service
from server.events import service as events
from tests.server.office import Office
from tests.server.world import Company


def project(office: Office) -> None:
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        events.project(office.run, first=first, last=last)


def test_a_finished_job_without_photos_is_not_balanced(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    for stroke in (1, 2):
        office.page_seen(token.token_id, stroke, b"before %d" % stroke)
        office.press(token, stroke)
    office.close(token, 2)
    project(office)
    with office.run.db.read() as db:
        (counts,) = service.sheet(db, office.run, company.scope(company.auditor))
    assert (counts.approved, counts.granted, counts.pressed, counts.photographed) == (2, 2, 2, 0)
    assert set(counts.open_points) == {"photos_missing", "not_looked_at", "not_filed"}
    assert not counts.balanced


def test_a_job_under_way_shows_what_may_still_happen(office: Office, company: Company) -> None:
    office.token(company.approved())
    with office.run.db.read() as db:
        (counts,) = service.sheet(db, office.run, company.scope(company.auditor))
    assert (counts.granted, counts.pressed) == (2, 0)
    assert counts.balanced
