"""The field failures that happen between device and office (docs/field-failures.md, 5 to 8), in a whole company.

After each one device, gateway, ledger and requests say the same number as the mechanical counter.
"""

from collections.abc import Iterator

import pytest

from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from tests.fixtures.running import books, lay, started, stop_job, wait_for_step

pytestmark = pytest.mark.usefixtures("logs")


@pytest.fixture(autouse=True)
def tidy(company: Stage) -> Iterator[None]:
    """The tray is empty and nothing is broken, before and after."""
    company.beside.post("tidy", "/fault", {"name": "none"})
    stop_job(company)
    yield
    company.beside.post("tidy", "/fault", {"name": "none"})
    company.beside.post("tidy", "/take-away")


def broken(company: Stage, fault: str) -> None:
    company.beside.post("fault", "/fault", {"name": fault})


def one_imprint(company: Stage, request_id: str) -> None:
    """Approved, pressed and filed: one, everywhere."""
    counter = company.beside.get("count", "/state")["counter"]
    until("count", "the gateway hearing of it", lambda: company.at_gateway.device("count").get("counter") == counter)
    row = books(company).row(request_id)
    assert (row["state"], row["approved"], row["pressed"], row["not_confirmed"]) == ("done", 1, 1, 0)


def test_5_the_office_believes_one_is_left_until_it_reads_the_device(company: Stage) -> None:
    request_id = started(company)
    lay(company)
    broken(company, "mute")
    assert company.beside.pull()["pressed"]
    until("mute", "the device being used up", lambda: company.beside.get("mute", "/state")["state"] == "LOCKED")
    request = company.person("clerk").get("mute", f"/api/v1/requests/{request_id}")
    assert request["state"] != "done", "headquarters cannot know it yet"
    assert not company.beside.pull()["pressed"]
    broken(company, "none")
    one_imprint(company, request_id)


def test_6_orders_played_again_consume_no_other_job(company: Stage) -> None:
    """The orders of the job before, and of this one, are played again after every message."""
    broken(company, "replays")
    request_id = started(company)
    assert company.beside.get("replays", "/display")["strokes_left"] == 1
    lay(company)
    assert company.beside.pull()["pressed"]
    wait_for_step(company, "done", "idle")
    broken(company, "none")
    one_imprint(company, request_id)


def test_7_photos_that_cannot_leave_wait_and_come_later(company: Stage) -> None:
    request_id = started(company)
    lay(company)
    broken(company, "bulk_down")
    assert company.beside.pull()["pressed"]
    until("bulk", "the stroke being signed", lambda: company.beside.get("bulk", "/state")["state"] == "LOCKED")
    assert company.beside.get("bulk", "/state")["photos_waiting"] >= 2
    broken(company, "none")
    one_imprint(company, request_id)
    until("bulk", "a receipt for every photo", lambda: company.beside.get("bulk", "/state")["photos_waiting"] == 0)


def test_8_a_cable_that_falls_out_in_mid_contract(company: Stage) -> None:
    request_id = started(company)
    lay(company)
    broken(company, "unplug")
    assert company.beside.pull()["pressed"], "the latch was free; the cable has no say in it"
    until("unplug", "the gateway missing it", lambda: not company.at_gateway.device("unplug")["online"])
    broken(company, "reappear")
    one_imprint(company, request_id)
