"""Doubtful pages and poor imprints, and a line to headquarters that is cut: real processes, books that agree."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from dashboard.bench._phone import Phone
from dashboard.demo.waiting import until
from firmware_protocol import trace
from server.core.trustfile import TrustFile
from server.verification.code import Outcome, check_code
from server.verification.roots import of_bundle
from tests.fixtures.running import Json, books, fsck, print_logs, session, stop_job, wait_for_step
from tests.server.world import contract_pdf
from tests.story.keeping import Counter, counter, picture

TWO: Final = contract_pdf(pages=2)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with counter(tmp_path_factory.mktemp("doubts")) as made:
        yield made


@pytest.fixture(autouse=True)
def tidy(office: Counter) -> Iterator[None]:
    yield
    print_logs(office.stage)
    office.hand("/fault", name="none")
    stop_job(office.stage)


def asked(office: Counter, request_id: str) -> str:
    """A page with a speck of dirt lies there, and a second person sees the question. The case's path."""
    office.hand("/take-away")
    office.hand("/lay", image_base64=picture(TWO, 1, specks=1))
    wait_for_step(office.stage, "asked")
    assert not office.stage.beside.get("asked", "/state")["latch_free"]

    def shown() -> str | None:
        found = re.search(r"/cases/[0-9a-f-]{36}", office.page("approver", "/"))
        return found[0] if found else None

    path = until("case", f"the question about {request_id} in the inbox", shown)
    assert "Is this the approved page?" in office.page("approver", path)
    return path


def test_a_second_person_says_stamp_anyway_and_the_permit_arrives(office: Counter) -> None:
    request_id = office.begin(TWO)
    path = asked(office, request_id)
    office.fill_in("approver", path, answer="anyway", reason="A speck of dust on the glass; the text is the same.")
    wait_for_step(office.stage, "ready")
    office.press()
    office.done()
    row = books(office.stage).row(request_id)
    assert (row["pressed"], row["granted"], row["state"]) == (1, 1, "done"), row


def test_a_second_person_says_no_and_the_latch_stays_locked(office: Counter) -> None:
    request_id = office.begin(TWO)
    path = asked(office, request_id)
    office.fill_in("approver", path, answer="no", reason="That dot makes it another amount.")
    now = wait_for_step(office.stage, "problem")
    assert now["code"] == "second_person_no", now
    office.screen("That dot makes it another amount.")
    assert not office.stage.beside.pull()["pressed"]
    office.stamp(TWO, 1)  # a clean print of the same page
    office.done()
    assert books(office.stage).row(request_id)["pressed"] == 1


@pytest.mark.parametrize("fault", ["faint_imprint", "no_imprint"])
def test_a_poor_imprint_is_cancelled_and_stamped_again_on_the_spare(office: Counter, fault: str) -> None:
    request_id = office.begin(TWO)
    office.lay(TWO, 1)
    wait_for_step(office.stage, "ready")
    office.hand("/fault", name=fault)
    office.press()
    office.hand("/fault", name="none")
    now = wait_for_step(office.stage, "redo")
    assert now["redo"][0]["grade"] in ("faint", "missing"), now
    office.tap("redo", spoil=True)  # the sheet still lies as it was stamped
    office.until(lambda now: now["step"] in ("continue", "place") and now["strokes_left"] == 1, "the spare")
    office.stamp(TWO, 1)
    office.done()
    row = books(office.stage).row(request_id)
    assert (row["approved"], row["pressed"], row["spoiled"], row["state"]) == (1, 1, 1, "done"), row
    until("notice", "the approver's notice", lambda: "was spoiled" in office.page("approver", "/"))
    strokes = [view["stroke"] for view in office.timeline(request_id)]
    (spoiled,) = [stroke["trace_code"] for stroke in strokes if stroke["state"] == "spoiled"]
    url = trace.url(bytes.fromhex(spoiled), host="x")

    def offline() -> str:
        pin = of_bundle(TrustFile(office.stage.company.home).bundle())
        return check_code(url, pins=[pin], now=int(time.time())).outcome

    until("trust bundle", "the code withdrawn offline, too", lambda: offline() == Outcome.WITHDRAWN)


def test_the_phone_carries_a_whole_job_while_the_office_has_no_line(office: Counter) -> None:
    request_id = office.ask(TWO, (1,))
    office.sign_in()
    company = office.company
    with office.nobody_answers():
        web, ca_file = str(company.server.ready["web"]), str(company.home / "tls" / "ca.pem")
        phone = Phone(office.stage.at_gateway.base_url, web, ca_file=ca_file)
        phone.start()
        try:
            gateway = office.stage.at_gateway
            until("phone", "the phone at the gateway", lambda: gateway.get("state", "/api/state")["phone"])
            office.start(request_id)
            office.stamp(TWO, 1)
            office.done()
        finally:
            phone.stop()
    row = books(office.stage).row(request_id)
    assert (row["pressed"], row["to_review"], row["state"]) == (1, 0, "done"), row


def offline_jobs(office: Counter, request_id: str) -> Json | None:
    return next((job for job in office.jobs() if job["request_id"] == request_id and job.get("offline")), None)


def test_a_voucher_is_stamped_without_headquarters_and_reviewed_afterwards(office: Counter) -> None:
    admin = office.stage.person("admin")
    rule = {"stages": [{"name": "Headquarters"}], "max_offline_strokes": 2}
    admin.send("rule", "PUT", f"/api/v1/seals/{office.stage.players.seal_id}/rule", json=rule)
    admin.post("offline", f"/api/v1/devices/{office.stage.device_id}/offline", {"max_offline_strokes": 2})
    keeper = str(office.stage.players.people["keeper"])
    request_id = office.ask(TWO, (1,), stamping="voucher", page_check="none", keeper_id=keeper)
    office.sign_in()
    office.jobs()  # the gateway asks for the voucher while it can
    kept = office.company.folder / "gateway" / "session.db"
    until("voucher", "the voucher at the gateway", lambda: holds_voucher(kept))
    with office.nobody_answers():
        until("offline", "the job of the voucher", lambda: offline_jobs(office, request_id), timeout_s=40)
        office.start(request_id)
        assert session(office.stage)["plan"]["mode"] == "voucher"
        office.screen("The page is not checked before the press.")
        office.lay(TWO, 1)
        wait_for_step(office.stage, "ready")
        office.press()
        office.done()
        assert office.stage.at_gateway.get("waiting", "/api/state")["waiting"]["events"] > 0
    row = books(office.stage).row(request_id)
    assert (row["pressed"], row["granted"], row["to_review"]) == (1, 1, 1), row
    (stroke,) = (view["stroke"] for view in office.timeline(request_id))
    path = f"/reviews/{stroke['token_id']}/{stroke['stroke']}"
    assert path in office.page("auditor", "/reviews")
    office.fill_in("auditor", path, answer="confirm", reason="The photos show the approved page.")
    assert books(office.stage).row(request_id)["to_review"] == 0
    fsck(office.stage)


def holds_voucher(notebook: Path) -> bool:
    with closing(sqlite3.connect(notebook)) as db:
        return bool(db.execute("SELECT count(*) FROM voucher").fetchone()[0])
