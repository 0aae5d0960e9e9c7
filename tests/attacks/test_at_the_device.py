"""What a keeper, or somebody in the keeper's place, may lay, move or ask for."""

from uuid import uuid4

from dashboard.demo import mishaps, story
from dashboard.demo.callers import Person
from dashboard.demo.cast import BRANCH
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from server.core.scope import Role
from tests.fixtures.running import (
    books,
    check_problem,
    check_screen,
    die_and_come_back,
    finish,
    lay,
    started,
    wait_for_step,
)


def held(stage: Stage) -> None:
    """The latch holds: the lever does not come down, the counter stays."""
    before = stage.beside.get("held", "/state")
    assert before["latch_free"] is False
    pulled = stage.beside.pull()
    assert (pulled["pressed"], pulled["counter"]) == (False, before["counter"])


def test_the_wrong_page_gets_no_permit_and_the_right_one_still_does(stage: Stage) -> None:
    request = started(stage)
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page - 1)
    problem = wait_for_step(stage, "problem", "ready")
    assert problem["code"] == "not_this_page", problem
    check_screen(stage, title="not the approved page", text="locked and nothing was stamped")
    held(stage)
    finish(stage, request)


def test_a_blank_sheet_gets_no_permit(stage: Stage) -> None:
    request = started(stage)
    stage.beside.post("lay", "/lay", {"blank": True})
    problem = wait_for_step(stage, "problem", "ready")
    assert problem["code"] == "blank_page", problem
    check_screen(stage, title="sheet is blank", text="locked and nothing was stamped")
    held(stage)
    found = books(stage).row(request)
    assert (found["pressed"], found["approved"]) == (0, 1)


def test_a_page_moved_before_the_press_locks_the_device_and_the_use_comes_back(stage: Stage) -> None:
    request = started(stage)
    lay(stage)
    stage.beside.post("move", "/move", {"dx_mm": 4, "dy_mm": -3})
    problem = wait_for_step(stage, "problem")
    assert problem["code"] == "cancelled_page_moved", problem
    assert problem["strokes_left"] == 1
    check_screen(stage, title="page moved before the press", text="The use was not lost")
    held(stage)
    finish(stage, request)


def test_who_asked_may_not_approve(stage: Stage) -> None:
    password = uuid4().hex
    admin = stage.person("admin")
    body = {"username": "both", "name": "Bo Both", "branch_path": BRANCH, "password": password}
    both = admin.post("add", "/api/v1/people", body)
    for role, branch in ((Role.REQUESTER, BRANCH), (Role.APPROVER, "/")):
        admin.post("role", f"/api/v1/people/{both['id']}/roles", {"role": role.value, "branch_path": branch})
    ca_file = str(stage.company.home / "tls" / "ca.pem")
    person = Person(stage.company.server.ready["web"], ca_file=ca_file, username="both", password=password)
    usual, stage.people["clerk"] = stage.person("clerk"), person
    try:
        person.post("branch", "/api/v1/session/branch", {"branch_path": BRANCH})
        story.request(stage)
        seen = person.get("read", f"/api/v1/requests/{stage.request_id}")
        decision = {"approve": True, "digest": seen["digest"], "comment": "", "password": password}
        answer = person._client.post(f"/api/v1/requests/{stage.request_id}/decisions", json=decision)
        check_problem(answer, status=403, code="self_approval")
        after = person.get("read", f"/api/v1/requests/{stage.request_id}")
        assert (after["state"], after["decisions"]) == ("submitted", [])
        assert stage.request_id not in {job["request_id"] for job in jobs(stage)}
    finally:
        stage.people["clerk"] = usual
        person.close()
    story.approve(stage)  # somebody else may


def jobs(stage: Stage) -> list[dict[str, object]]:
    """What waits at the device for the keeper."""
    path = f"/api/devices/{stage.device_id}"
    stage.at_gateway.post("jobs", f"{path}/sign-in", {"username": "keeper", "pin": stage.players.keeper_pin})
    found: list[dict[str, object]] = stage.at_gateway.get("jobs", f"{path}/jobs")
    return found


def test_a_port_unplugged_in_the_middle_of_a_stroke_loses_nothing(stage: Stage) -> None:
    request = started(stage)
    lay(stage)
    stage.beside.post("unplug", "/fault", {"name": "unplug"})
    wait_for_step(stage, "offline")
    check_screen(stage, title="does not answer", text="what was stamped is kept")
    assert stage.beside.pull()["pressed"] is True  # the right to this stroke was given before
    assert stage.beside.pull()["pressed"] is False
    until(
        "stroke",
        "the device finishing the stroke alone",
        lambda: stage.beside.get("state", "/state")["state"] == "LOCKED",
    )
    stage.beside.post("plug in", "/fault", {"name": "reappear"})
    until("plug in", "the gateway finding the device", lambda: stage.at_gateway.device("plug in")["online"])
    row = books(stage).row(request)
    assert (row["pressed"], row["not_confirmed"], row["granted"]) == (1, 0, 1), row


def test_a_device_whose_disk_is_full_refuses_and_goes_on_when_there_is_room(stage: Stage) -> None:
    request = started(stage)
    stage.beside.post("fill", "/fault", {"name": "disk_full"})
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    problem = wait_for_step(stage, "problem", "ready")
    assert problem["code"] in ("journal_full", "storage_failed"), problem
    check_screen(stage, title="The job stopped", text="The device is locked")
    held(stage)
    assert books_without_receipts(stage) == 0
    die_and_come_back(stage, "device")  # a device that could not write trusts nothing it has in memory
    mishaps.go_on(stage)
    row = books(stage).row(request)
    assert (row["pressed"], row["granted"], row["not_confirmed"]) == (1, 1, 0), row
    stage.beside.post("tidy", "/take-away")


def books_without_receipts(stage: Stage) -> int:
    """Imprints of the newest request in the ledger, while the device can take no receipt."""
    rows = stage.person("auditor").get_every("books", "/api/v1/reconciliation", "request_id")
    return int(next(row["pressed"] for row in rows if row["request_id"] == stage.request_id))
