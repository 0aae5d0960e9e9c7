"""The ways of stamping other than page by page, in a whole company of real processes."""

import base64
from collections.abc import Iterator

import pytest

from dashboard.demo.waiting import until
from tests.fixtures.running import LATCH_S, Json, books, fsck, print_logs, session, stop_job, wait_for_step
from tests.server.world import contract_pdf
from tests.story.keeping import Counter, counter

TWO = contract_pdf(pages=2)
THREE = contract_pdf(pages=3)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    with counter(tmp_path_factory.mktemp("ways")) as made:
        yield made


@pytest.fixture(autouse=True)
def tidy(office: Counter) -> Iterator[None]:
    yield
    print_logs(office.stage)
    stop_job(office.stage)


def balanced(office: Counter, request_id: str, strokes: int) -> Json:
    row = books(office.stage).row(request_id)
    counts = (row["approved"], row["granted"], row["pressed"], row["not_confirmed"])
    assert counts == (strokes, strokes, strokes, 0), row
    assert row["alarms"] == 0, row
    return row


def test_a_batch_over_several_pages_is_one_job(office: Counter) -> None:
    request_id = office.begin(THREE, (1, 3), copies=2)
    begun = session(office.stage)
    assert (begun["strokes_left"], begun["plan"]["mode"]) == (4, "batch"), begun
    picture = until("live picture", "the tray on the keeper's page", lambda: office.tray() or None, timeout_s=LATCH_S)
    assert picture.startswith(b"\xff\xd8"), "a JPEG"
    office.screen("<polygon")
    for page in (1, 3, 1, 3):
        assert wait_for_step(office.stage, "place", "stamped")["strokes_left"] > 0
        office.stamp(THREE, page)
        assert office.tray() == b"", "only while a page is to be laid"
    wait_for_step(office.stage, "done")
    office.screen("Filed as SR-")
    office.done()
    balanced(office, request_id, 4)


def test_continuous_presses_cannot_be_confirmed_until_a_person_decides(office: Counter) -> None:
    request_id = office.begin(THREE, (2,), copies=2, stamping="continuous", page_check="none")
    assert session(office.stage)["plan"]["mode"] == "continuous"
    for left in (1, 0):
        office.lay(THREE, 2)
        office.until(lambda now: now["step"] == "ready", "a free latch")
        assert office.hand("/pull")["pressed"]
        office.until(lambda now, left=left: now["strokes_left"] == left, f"{left} left")
    office.done()
    row = balanced(office, request_id, 2)
    assert row["to_review"] == 2, row
    strokes = [view["stroke"] for view in office.timeline(request_id)]
    codes = [bytes.fromhex(stroke["trace_code"]) for stroke in strokes]
    office.public_word(codes[1], "Do not rely on it yet")
    for stroke, answer in zip(strokes, ("confirm", "refuse"), strict=True):
        path = f"/reviews/{stroke['token_id']}/{stroke['stroke']}"
        assert path in office.page("auditor", "/reviews")
        office.fill_in("auditor", path, answer=answer, reason="Looked at both photos.")
        assert path not in office.page("auditor", "/reviews")
    assert books(office.stage).row(request_id)["to_review"] == 0
    office.public_word(codes[1], "Do not rely on this paper")
    office.public_word(codes[0], "This code is real")


def test_a_straddle_compares_the_cover_and_then_stamps_the_fan(office: Counter) -> None:
    request_id = office.begin(THREE, (1,), stamping="straddle", first_page=1, last_page=3)
    office.lay(THREE, 1)
    office.until(lambda now: now["stage"] == "fan", "the cover being agreed")
    assert not office.stage.beside.get("fan", "/state")["latch_free"], "the cover itself is not stamped"
    office.hand("/take-away")
    office.hand("/fan", pdf_base64=base64.b64encode(THREE).decode(), pages=[1, 2, 3])
    wait_for_step(office.stage, "ready")
    office.press()
    office.done()
    balanced(office, request_id, 1)


def test_a_sweep_counts_pages_in_any_order_and_names_the_forgotten_one(office: Counter) -> None:
    request_id = office.begin(THREE, (3,), sweep=True)
    assert wait_for_step(office.stage, "sweep")["of"] == 3
    for seen, page in ((1, 2), (2, 1)):
        office.lay(THREE, page)
        office.until(lambda now, seen=seen: now["seen"] == seen, f"{seen} pages")
    office.screen("Still missing: 3")
    assert not office.stage.beside.pull()["pressed"]
    office.lay(THREE, 3)
    wait_for_step(office.stage, "place")
    office.stamp(THREE, 3)
    office.done()
    balanced(office, request_id, 1)
    swept = office.stage.beside.get("swept", "/state")
    assert swept["pages_swept"] in (None, 3), swept
    fsck(office.stage)


def test_a_seal_that_must_be_leafed_through_orders_its_device_to_refuse_without(office: Counter) -> None:
    stage = office.stage
    words = "every page before stamping: the device refuses a press without it"
    request_id = office.ask(TWO, (2,))
    if stage.at_gateway.device("who")["operator"] is None:
        office.sign_in()
    obeyed(office, sweep_required="true")
    try:
        assert words in office.page("admin", f"/devices/{stage.device_id}")
        office.screen("Every page is leafed through first")
        assert office.start(request_id)["of"] == 2
        office.screen("Leaf through: page 1 of 2")
        for page in (1, 2):
            assert not stage.beside.pull()["pressed"]
            office.lay(TWO, page)
            office.until(lambda now, page=page: now["step"] != "sweep" or now["seen"] == page, f"page {page} seen")
        wait_for_step(stage, "place")
        office.stamp(TWO, 2)
        office.done()
        balanced(office, request_id, 1)
    finally:
        obeyed(office)
    assert words not in office.page("admin", f"/devices/{stage.device_id}")


def obeyed(office: Counter, **rule: str) -> None:
    """The seal's rule is set, and its device signed that it took the order."""

    def last_seq() -> int:
        return int(office.stage.beside.get("state", "/state")["last_seq"])

    before = last_seq()
    path = f"/seals/{office.stage.players.seal_id}/stamping"
    office.fill_in("admin", path, max_offline_strokes="0", sweep_from_pages="0", **rule)
    until("rule", "the device's word that it obeys", lambda: last_seq() > before, timeout_s=60)
