"""From admitted events to timelines: rebuildable, in any batch, with photos by announced digest only."""

import hashlib
from typing import Any

import pytest
from sqlmodel import Session, select

from firmware_protocol.events import Cancelled, Cause, ExtraStroke, Intent, Outcome, Sensor, Settled, Tamper
from server.app import create_api
from server.approvals import service as approvals
from server.approvals.policy import State
from server.audit import service as audit
from server.core.scope import Scope
from server.devices import service as devices
from server.events import projecting, service
from server.events.models import Alarm, AnnouncedPhoto, Stroke
from server.events.schemas import Progress
from server.jobs.models import Job
from server.ledger.models import LedgerPhoto
from server.tokens.schemas import TokenOut
from tests.fixtures.databases import on_both
from tests.server.office import Office
from tests.server.world import Client, Company

pytestmark = on_both


def project(office: Office) -> None:
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        service.project(office.run, first=first, last=last)


def stamped(office: Office, company: Company) -> tuple[Any, TokenOut]:
    """Two copies, two strokes, closed."""
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    for stroke in (1, 2):
        office.page_seen(token.token_id, stroke, b"before %d" % stroke, nonce=bytes([stroke]) * 16)
        office.press(token, stroke)
    office.close(token, 2)
    project(office)
    return request, token


def rows(db: Session) -> list[Any]:
    """Every read model row, without the ids that a rebuild makes anew."""
    found = [row for table in (Stroke, AnnouncedPhoto, Alarm) for row in db.exec(select(table)).all()]
    dumps = [row.model_dump(exclude={"id", "stored_at"}) | {"table": type(row).__name__} for row in found]
    return sorted(dumps, key=repr)


def test_two_presses_become_two_stamped_strokes(office: Office, company: Company) -> None:
    request, _token = stamped(office, company)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
    assert (line.progress, line.stamped, line.total) == (Progress.STAMPED, 2, 2)
    assert line.request.state is State.DONE
    assert [(view.stroke.copy_number, view.stroke.state, view.stroke.counter) for view in line.strokes] == [
        (1, "done", 101),
        (2, "done", 102),
    ]
    assert all(view.stroke.short_code for view in line.strokes)


def test_a_rebuild_gives_the_same_rows(office: Office, company: Company) -> None:
    stamped(office, company)
    office.pen.write(Tamper(sensor="cover"))
    project(office)
    with office.run.db.read() as db:
        before = rows(db)
    service.rebuild(office.run)
    service.rebuild(office.run)
    with office.run.db.read() as db:
        assert rows(db) == before
        assert len(before) == 2 + 8 + 1


def test_projecting_twice_changes_nothing(office: Office, company: Company) -> None:
    stamped(office, company)
    with office.run.db.read() as db:
        before = rows(db)
    service.project(office.run, first=0, last=office.sequencer.size - 1)
    with office.run.db.read() as db:
        assert rows(db) == before


def test_before_any_event_the_job_is_only_unlocked(office: Office, company: Company) -> None:
    request = company.approved()
    with office.run.db.read() as db:
        assert service.timeline(db, office.run, company.everywhere, request.id).progress is Progress.APPROVED
    office.token(request)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
    assert line.progress is Progress.UNLOCKED
    assert [lease.strokes for lease in line.leases] == [2]


@pytest.mark.parametrize(
    ("outcome", "state", "progress"),
    [
        (Outcome.RECOVERED, "done", Progress.STAMPED),
        (Outcome.ABORTED, "aborted", Progress.UNLOCKED),
        (Outcome.UNKNOWN, "unknown", Progress.LOOK_HERE),
    ],
)
def test_a_stroke_settled_after_a_power_cut(
    office: Office, company: Company, outcome: Outcome, state: str, progress: Progress
) -> None:
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    office.pen.write(Intent(token_id=token.token_id, stroke=1))
    office.pen.write(Settled(token_id=token.token_id, stroke=1, outcome=outcome))
    project(office)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
    assert (line.strokes[0].stroke.state, line.progress) == (state, progress)
    assert [alarm.kind for alarm in line.alarms] == (["press_not_confirmed"] if state == "unknown" else [])


@pytest.mark.parametrize("before", ["cancelled", "aborted"])
def test_a_use_that_came_back_is_pressed_under_the_same_number(office: Office, company: Company, before: str) -> None:
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    office.pen.write(Intent(token_id=token.token_id, stroke=1))
    if before == "cancelled":
        office.pen.write(Cancelled(token_id=token.token_id, stroke=1, cause=Cause.BY_KEEPER, returned=True))
    else:
        office.pen.write(Settled(token_id=token.token_id, stroke=1, outcome=Outcome.ABORTED))
    office.press(token, 1)
    project(office)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
        counts = audit.reconcile(db, office.run, company.everywhere, request.id)
    assert [view.stroke.state for view in line.strokes] == ["done"]
    assert counts.pressed == 1


def test_a_cancelled_stroke_and_an_extra_one(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    office.pen.write(Intent(token_id=token.token_id, stroke=1))
    office.pen.write(Cancelled(token_id=token.token_id, stroke=1, cause=Cause.BY_KEEPER, returned=True))
    office.pen.write(ExtraStroke(strokes=1, token_id=token.token_id))
    project(office)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
        counts = audit.reconcile(db, office.run, company.everywhere, request.id)
    assert line.strokes[0].stroke.state == "returned"
    assert [alarm.kind for alarm in line.alarms] == ["extra_stroke"]
    assert not counts.balanced
    assert "alarm" in counts.open_points


def test_only_announced_photos_are_taken_and_resumed(office: Office, company: Company) -> None:
    gateway = Client(create_api(office.run), headers=office.headers)
    photo = b"after" + bytes([1])
    path = f"/gateway/v1/blobs/{hashlib.sha256(photo).hexdigest()}"
    early = gateway.request("PUT", path, content=photo, headers={"upload-offset": "0", "upload-length": "6"})
    assert (early.status_code, early.json()["code"]) == (404, "digest_not_announced")
    stamped(office, company)
    assert gateway.request("HEAD", path).headers["upload-offset"] == "0"
    half = gateway.request("PUT", path, content=photo[:4], headers={"upload-offset": "0", "upload-length": "6"})
    assert (half.status_code, half.headers["upload-offset"]) == (204, "4")
    assert gateway.request("HEAD", path).headers["upload-offset"] == "4"
    wrong = gateway.request("PUT", path, content=photo[:4], headers={"upload-offset": "0", "upload-length": "6"})
    assert wrong.status_code == 409
    rest = gateway.request("PUT", path, content=photo[4:], headers={"upload-offset": "4", "upload-length": "6"})
    assert (rest.status_code, rest.headers["upload-offset"]) == (204, "6")
    assert gateway.request("HEAD", path).headers["upload-offset"] == "6"
    with office.run.db.read() as db:
        assert service.photo(db, office.run, company.everywhere, hashlib.sha256(photo).digest()) == photo


def test_photos_that_never_arrived_are_asked_for_until_they_do(office: Office, company: Company) -> None:
    gateway = Client(create_api(office.run), headers=office.headers)
    path = f"/gateway/v1/devices/{office.pen.device_id}/photos/wanted"
    assert gateway.request("GET", path).json() == {"digests": []}
    stamped(office, company)
    photo = b"after" + bytes([1])
    wanted = gateway.request("GET", path).json()["digests"]
    assert hashlib.sha256(photo).hexdigest() in wanted
    gateway.request(
        "PUT",
        f"/gateway/v1/blobs/{hashlib.sha256(photo).hexdigest()}",
        content=photo,
        headers={"upload-offset": "0", "upload-length": "6"},
    )
    left = gateway.request("GET", path).json()["digests"]
    assert set(wanted) - set(left) == {hashlib.sha256(photo).hexdigest()}
    assert gateway.request("GET", "/gateway/v1/devices/CB-NOBODY/photos/wanted").status_code == 404


def test_a_preview_that_came_with_a_question_is_named_in_a_receipt_too(office: Office, company: Company) -> None:
    """It was stored after its event announced it; the gateway asks, hears that all is here, and sends nothing."""
    gateway = Client(create_api(office.run), headers=office.headers)
    stamped(office, company)
    photo = b"after" + bytes([1])
    digest = hashlib.sha256(photo).digest()
    with office.run.db.write() as db:
        office.run.blobs.put(db, photo, "image/jpeg", scope=company.everywhere)
    for _ in range(2):
        assert gateway.request("HEAD", f"/gateway/v1/blobs/{digest.hex()}").headers["upload-offset"] == "6"
    with office.run.db.read() as db:
        assert [row.state for row in db.exec(select(LedgerPhoto).where(LedgerPhoto.digest == digest))] == [0]


def test_other_bytes_under_an_announced_digest_are_refused(office: Office, company: Company) -> None:
    gateway = Client(create_api(office.run), headers=office.headers)
    stamped(office, company)
    path = f"/gateway/v1/blobs/{hashlib.sha256(b'after' + bytes([1])).hexdigest()}"
    answer = gateway.request("PUT", path, content=b"forged", headers={"upload-offset": "0", "upload-length": "6"})
    assert (answer.status_code, answer.json()["code"]) == (400, "digest_mismatch")


def test_the_look_at_the_imprint_waits_for_both_photos(office: Office, company: Company) -> None:
    gateway = Client(create_api(office.run), headers=office.headers)
    stamped(office, company)

    def promised() -> int:
        with office.run.db.read() as db:
            return len(db.exec(select(Job).where(Job.kind == projecting.INSPECT_IMPRINT)).all())

    for photo in (b"before 1 in full", b"after" + bytes([1])):
        assert promised() == 0
        gateway.request(
            "PUT",
            f"/gateway/v1/blobs/{hashlib.sha256(photo).hexdigest()}",
            content=photo,
            headers={"upload-offset": "0", "upload-length": str(len(photo))},
        )
    assert promised() == 1


def test_another_branch_sees_nothing(office: Office, company: Company) -> None:
    request, _token = stamped(office, company)
    with office.run.db.read() as db, pytest.raises(approvals.NoSuchRequest):
        service.timeline(db, office.run, company.scope(company.stranger), request.id)
    with office.run.db.read() as db:
        assert service.strokes(db, company.scope(company.stranger), request.id) == []
        assert service.alarms(db, Scope.system(company.tenant.id)) == []


def test_changes_are_told_with_what_changed(office: Office, company: Company) -> None:
    service.watch_changes(office.run)
    with office.run.db.read() as db:
        before = service.latest_change(db)
    request, _token = stamped(office, company)
    with office.run.db.read() as db:
        topics = {change.topic for change in service.changes_since(db, company.everywhere, after=before)}
    assert {f"request:{request.id}", f"device:{office.pen.device_id}"} <= topics


def test_of_many_values_of_a_sensor_the_last_one_stays(office: Office, company: Company) -> None:
    for value in range(5):
        office.pen.write(Sensor(sensor="light", value=value))
        office.pen.write(Sensor(sensor="battery", value=90 - value))
    project(office)
    with office.run.db.read() as db:
        found = {one.sensor: one.value for one in devices.sensors(db, office.pen.device_id)}
    assert (found["light"], found["battery"]) == (4, 86)


def test_the_largest_numbers_a_device_can_sign_are_kept(office: Office, company: Company) -> None:
    """Real times are beyond 32 bits, and a counter may come near to them: no column may be too narrow."""
    office.pen.time_ms = 1_795_000_000_000
    office.pen.counter = 2**32 - 10
    request, _token = stamped(office, company)
    office.pen.write(Sensor(sensor="light", value=2**31))
    project(office)
    with office.run.db.read() as db:
        line = service.timeline(db, office.run, company.everywhere, request.id)
        device = devices.device(db, company.everywhere, office.pen.device_id)
    assert [view.stroke.counter for view in line.strokes] == [2**32 - 9, 2**32 - 8]
    assert {view.stroke.done_ms for view in line.strokes} == {office.pen.time_ms}
    assert (device.counter, device.proved_ms) == (2**32 - 8, office.pen.time_ms)


def test_a_photo_of_an_earlier_try_that_comes_late_replaces_nothing(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    office.grant(token)
    project(office)
    early = office.page_seen(token.token_id, 1, b"first try")
    late = [early, office.pen.write(Intent(token_id=token.token_id, stroke=1))]
    office.pen.written.clear()
    office.page_seen(token.token_id, 1, b"second try")
    office.press(token, 1)
    project(office)
    office.pen.written += late
    project(office)
    with office.run.db.read() as db:
        view = service.timeline(db, office.run, company.everywhere, request.id).strokes[0]
    assert view.stroke.before_preview == hashlib.sha256(b"second try").digest()
    assert view.stroke.state == "done"
