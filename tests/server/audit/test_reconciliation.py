"""Approved = granted = pressed = photographed = filed, or the sheet says what does not agree."""

from server.audit import service
from server.core.clock import FixedClock
from server.events import service as events
from tests.fixtures.databases import on_both
from tests.server.office import Office
from tests.server.world import Company

pytestmark = on_both


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


def test_every_used_request_is_on_some_page(office: Office, company: Company, clock: FixedClock) -> None:
    """The books of a year are not cut short without a word."""
    used = []
    for _ in range(5):
        clock.advance(1)
        request = company.approved()
        office.token(request)
        used.insert(0, request.id)
    read, last = [], None
    with office.run.db.read() as db:
        while page := service.sheet(db, office.run, company.scope(company.auditor), before=last, limit=2):
            assert len(page) <= 2
            read += [row.request_id for row in page]
            last = read[-1]
    assert read == used
