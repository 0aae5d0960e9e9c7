"""A device without a coder: labels from a printer on a socket, stuck on by hand, photographed, and accounted for."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from dashboard.demo.waiting import until
from server.core.trustfile import TrustFile
from server.verification import bundle
from server.verification.roots import of_bundle
from tests.fixtures.running import books, fsck, print_logs, session, stop_job, wait_for_step
from tests.gateway.label_printer import FakePrinter, label_printer
from tests.server.world import contract_pdf
from tests.story.keeping import Counter, counter

ONE = contract_pdf(pages=1)


@contextmanager
def printing() -> Iterator[FakePrinter]:
    """The printer, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def enter() -> tuple[FakePrinter, object]:
        manager = label_printer()
        return await manager.__aenter__(), manager

    printer, manager = asyncio.run_coroutine_threadsafe(enter(), loop).result()
    try:
        yield printer
    finally:
        asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result()  # type: ignore[attr-defined]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def printer() -> Iterator[FakePrinter]:
    with printing() as started:
        yield started


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, printer: FakePrinter) -> Iterator[Counter]:
    extra = {"label_printer": {"zpl": f"127.0.0.1:{printer.port}"}}
    with counter(tmp_path_factory.mktemp("labels"), coder=False, **extra) as made:
        yield made


@pytest.fixture(autouse=True)
def tidy(office: Counter) -> Iterator[None]:
    yield
    print_logs(office.stage)
    stop_job(office.stage)


def to_the_label(office: Counter, printer: FakePrinter) -> str:
    """One imprint, and its label came out of the printer. The request's id."""
    before = len(printer.printed)
    request_id = office.begin(ONE)
    office.stamp(ONE, 1)
    until("label", "the label", lambda: len(printer.printed) == before + 1)
    office.until(lambda now: now["step"] == "label" and now["stickers"][0]["state"] == "stick", "the label's screen")
    return request_id


def test_a_label_is_printed_stuck_on_photographed_and_recorded(office: Counter, printer: FakePrinter) -> None:
    request_id = to_the_label(office, printer)
    sticker = session(office.stage)["stickers"][0]
    assert sticker["short"] in " ".join(printer.printed[-1].texts)
    public = urlsplit(office.company.server.ready["public"]).netloc
    assert sticker["url"].startswith(f"HTTPS://{public.upper()}/V/"), "what is printed leads to the public pages"
    office.hand("/take-away")
    office.hand("/lay", again=True)
    office.hand("/stick-label", url=sticker["url"], short_code=sticker["short"], number="1")
    now = wait_for_step(office.stage, "done")
    assert now["stickers"][0]["state"] == "stuck", now
    office.done()
    row = until("label", "the label's outcome", lambda: whole(office, request_id))
    assert (row["labels_unused"], row["pressed"], row["agreeing"]) == (0, 1, 1), row


def whole(office: Counter, request_id: str) -> dict[str, object] | None:
    row = books(office.stage).row(request_id)
    return row if row["balanced"] else None


def test_a_label_that_was_printed_and_never_stuck_on_is_in_the_reconciliation(
    office: Counter, printer: FakePrinter
) -> None:
    request_id = to_the_label(office, printer)
    office.tap("label", step="leave")
    office.done()
    until("label", "the unused label", lambda: books(office.stage).row(request_id)["labels_unused"] == 1)
    row = books(office.stage).row(request_id)
    assert "labels_unused" in row["open_points"], row
    assert not row["balanced"], row
    assert "label" in office.page("auditor", f"/requests/{request_id}/reconciliation").lower()
    fsck(office.stage)


def test_one_label_stands_for_every_imprint_on_its_sheet_in_the_office_in_public_and_offline(
    office: Counter, printer: FakePrinter
) -> None:
    before = len(printer.printed)
    request_id = office.ask(ONE, (1, 1))
    office.start(request_id)
    office.stamp(ONE, 1)
    office.hand("/take-away")
    office.hand("/lay", again=True)
    office.hand("/move", rotation_deg=180)  # the second place lies at the sheet's other end
    wait_for_step(office.stage, "ready")
    office.press()
    until("label", "the one label", lambda: len(printer.printed) == before + 1)
    now = office.until(lambda now: now["stickers"] and now["stickers"][0]["state"] == "stick", "the label's screen")
    (sticker,) = now["stickers"]
    assert sticker["imprints"] == 2, now
    assert "2 imprints here" in printer.printed[-1].texts
    office.screen("This one label stands for all 2 imprints on this sheet.")
    office.hand("/take-away")
    office.hand("/lay", again=True)
    office.hand("/stick-label", url=sticker["url"], short_code=sticker["short"], number="2")
    assert wait_for_step(office.stage, "done")["stickers"][0]["state"] == "stuck"
    office.done()
    row = until("label", "both imprints agreeing", lambda: whole(office, request_id), timeout_s=120)
    assert (row["labels_unused"], row["pressed"], row["agreeing"]) == (0, 2, 2), row
    views = office.timeline(request_id)
    assert [view["label_code"] for view in views] == [sticker["short"]] * 2, views
    codes = [bytes.fromhex(view["stroke"]["trace_code"]) for view in views]
    office.public_word(codes[1], "2 on this sheet; the one code on its label stands for all of them")
    office.public_word(codes[0], sticker["short"])
    assert len(printer.printed) == before + 1
    assert_offline(office, request_id, sticker["short"])


def assert_offline(office: Counter, request_id: str, short: str) -> None:
    auditor, path = office.stage.person("auditor"), f"/api/v1/requests/{request_id}/evidence.zip"
    evidence = until("evidence", "the filing reaching the ledger", lambda: auditor.if_ready("evidence", path))
    pin = of_bundle(TrustFile(office.stage.company.home).bundle())
    verdict = bundle.verify(evidence, pins=[pin], now=int(time.time()))
    assert verdict.outcome is bundle.Outcome.GOOD, verdict
    (label,) = verdict.labels
    assert (label.code, label.copy, label.page, len(label.imprints)) == (short, 1, 1, 2)
