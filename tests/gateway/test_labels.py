"""Labels over ZPL and CUPS: what comes out can be read, what is wrong is said, nothing is printed twice unsaid."""

import asyncio
import base64
import json
import socket
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import trace
from gateway.errors import BadConfiguration
from gateway.labels.book import LabelBook
from gateway.labels.cups import CupsPrinter, draw_pdf
from gateway.labels.errors import (
    AlreadyPrinted,
    LabelUnprintable,
    PrinterNotReady,
    PrinterUnreachable,
    PrintUncertain,
    UnknownLabel,
)
from gateway.labels.label import Label, LabelOutcome
from gateway.labels.layout import lay_out
from gateway.labels.printing import print_label, printer_from
from gateway.labels.zebra import ZebraPrinter, parse_status
from gateway.settings import GatewaySettings, LabelPrinterSettings, load
from tests.gateway.label_printer import FakePrinter, label_printer

CODE = base64.b32encode(bytes(range(122))).decode().rstrip("=")
URL = f"HTTPS://SEAL.EXAMPLE:8443/V/{CODE}"
LABEL = Label(
    device_id="CB-TEST0000",
    token_id=bytes(range(16)),
    stroke=2,
    url=URL,
    short_code="7KQ2-M4XA-09PZ-T",
    number=2,
    of=3,
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[LabelBook]:
    opened = LabelBook(tmp_path / "labels.db")
    yield opened
    opened.close()


def zebra(printer: FakePrinter, *, answer_s: float = 5.0) -> ZebraPrinter:
    return ZebraPrinter(host="127.0.0.1", port=printer.port, answer_s=answer_s, poll_s=0)


def with_printer(work: Callable[[FakePrinter], Coroutine[Any, Any, None]], **state: object) -> FakePrinter:
    """Run `work` beside a printer in this state; the printer, with what came out of it."""

    async def run() -> FakePrinter:
        async with label_printer(**state) as printer:
            await work(printer)
            return printer

    return asyncio.run(run())


def outcomes(book: LabelBook) -> list[tuple[int, str]]:
    return [(record.print_number, record.outcome.value) for record in book.of_stroke(LABEL.token_id, LABEL.stroke)]


# --- ZPL --------------------------------------------------------------------------------------------------------------


def test_a_label_comes_out_and_its_code_can_be_read_again(book: LabelBook) -> None:
    async def work(printer: FakePrinter) -> None:
        printed = await print_label(zebra(printer), LABEL, book=book)
        assert (printed.print_number, printed.printer) == (1, f"127.0.0.1:{printer.port}")

    (label,) = with_printer(work).printed
    (code,) = zxingcpp.read_barcodes(label.picture)
    assert code.text == URL
    assert trace.parse_url(code.text) == bytes(range(122))
    assert label.texts == ["7KQ2-M4XA-09PZ-T", "imprint 2 of 3"]
    assert outcomes(book) == [(1, "printed")]


def test_the_largest_code_is_26_mm_with_its_margin() -> None:
    longest = "HTTPS://SEAL.EXAMPLE/V/".ljust(trace.MAX_URL, "A")
    layout = lay_out(Label(**{**_fields(LABEL), "url": longest}), print_number=1)
    side_mm = (layout.code_dots + 2 * 4 * 5) / 300 * 25.4
    assert 25.5 < side_mm < 26.5
    assert layout.text_from + 2 * 40 <= 425


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"paper_out": True}, "out of labels"),
        ({"ribbon_out": True}, "out of ribbon"),
        ({"head_open": True}, "head is open"),
        ({"paused": True}, "paused"),
    ],
)
def test_a_printer_that_cannot_print_says_why(book: LabelBook, state: dict[str, bool], says: str) -> None:
    async def work(printer: FakePrinter) -> None:
        with pytest.raises(PrinterNotReady, match=says):
            await print_label(zebra(printer), LABEL, book=book)

    assert with_printer(work, **state).printed == []
    assert outcomes(book) == []


def test_silence_is_not_ready(book: LabelBook) -> None:
    async def work(printer: FakePrinter) -> None:
        with pytest.raises(PrinterUnreachable, match="No label was printed"):
            await print_label(zebra(printer, answer_s=0.05), LABEL, book=book)

    assert with_printer(work, paper_out=True, silent_when_wrong=True).printed == []
    assert outcomes(book) == []


def test_no_printer_at_all(book: LabelBook) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody answers there
        gone = ZebraPrinter(host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(PrinterUnreachable, match="no connection"):
            asyncio.run(print_label(gone, LABEL, book=book))


@pytest.mark.parametrize("trouble", ["runs_out_in_the_middle", "hangs_up_in_the_middle"])
def test_a_label_lost_in_the_middle_counts_as_printed_and_the_next_one_says_so(book: LabelBook, trouble: str) -> None:
    async def work(printer: FakePrinter) -> None:
        device = zebra(printer)
        with pytest.raises(PrintUncertain, match="destroy it"):
            await print_label(device, LABEL, book=book)
        setattr(printer, trouble, False)
        printer.paper_out = False
        with pytest.raises(AlreadyPrinted):
            await print_label(device, LABEL, book=book)
        assert (await print_label(device, LABEL, book=book, again=True)).print_number == 2

    printer = with_printer(work, **{trouble: True})
    assert [label.texts[1] for label in printer.printed] == ["imprint 2 of 3, PRINT 2"]
    assert printer.cancelled == (trouble == "runs_out_in_the_middle")  # what it held never comes out later
    assert outcomes(book) == [(1, "unsure"), (2, "printed")]
    assert [record.told for record in book.unreported()] == [LabelOutcome.PRINTED] * 2


def test_a_printer_that_still_holds_a_label_gets_no_second_one(book: LabelBook) -> None:
    async def work(printer: FakePrinter) -> None:
        printer._waiting = "^XA^XZ"
        printer._looks = 99
        with pytest.raises(PrinterNotReady, match="from before"):
            await print_label(zebra(printer), LABEL, book=book)

    with_printer(work)


def test_cancelled_in_the_middle_is_unsure(book: LabelBook) -> None:
    async def work(printer: FakePrinter) -> None:
        task = asyncio.create_task(print_label(zebra(printer), LABEL, book=book))
        await printer.got_label.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_printer(work, looks_before_done=10_000)
    assert outcomes(book) == [(1, "unsure")]


@pytest.mark.parametrize(
    "wrong",
    [{"url": URL + "^XZ"}, {"url": URL.lower()}, {"url": URL * 2}, {"url": ""}, {"short_code": "7KQ2^FS"}],
)
def test_what_does_not_fit_never_reaches_the_printer(book: LabelBook, wrong: dict[str, str]) -> None:
    async def work(printer: FakePrinter) -> None:
        with pytest.raises(LabelUnprintable):
            await print_label(zebra(printer), Label(**(_fields(LABEL) | wrong)), book=book)
        assert printer._waiting is None

    with_printer(work)
    assert outcomes(book) == [(1, "failed")]


@given(st.binary(max_size=300))
def test_a_status_that_is_none_is_refused_in_one_way(data: bytes) -> None:
    try:
        parse_status(b"\x02" + data)
    except ValueError:
        return
    assert data.count(b"\x02") == 2


# --- CUPS -------------------------------------------------------------------------------------------------------------

COMMAND = """#!/usr/bin/env python3
import json, pathlib, sys
home = pathlib.Path(__file__).parent
state = json.loads((home / "state.json").read_text())
name, options = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with (home / "asked").open("a") as asked:
    asked.write(name + " " + " ".join(options) + "\\n")
if name == "lp":
    (home / "label.pdf").write_bytes(sys.stdin.buffer.read())
    print("request id is office-7 (1 file(s))")
elif name == "lpstat" and options[0] == "-p":
    if state == "unknown":
        sys.exit('lpstat: Invalid destination name in list "office".')
    stopped = state == "stopped" or (state == "stops" and (home / "label.pdf").exists())
    print("printer office disabled since Mon -\\n\\tout of labels" if stopped else "printer office is idle.  enabled")
elif name == "lpstat" and "completed" in options:
    how = "job-canceled-by-user" if state == "cancelled" else "job-completed-successfully"
    print("office-70 keeper 10 Mon\\n\\tAlerts: aborted-by-system\\noffice-7  keeper 10 Mon\\n\\tAlerts: " + how)
elif name == "lpstat" and state == "stops":
    print("office-7  keeper 10 Mon")
"""


def cups(home: Path, state: str) -> CupsPrinter:
    home.joinpath("state.json").write_text(f'"{state}"')
    for name in ("lp", "lpstat", "cancel"):
        home.joinpath(name).write_text(COMMAND)
        home.joinpath(name).chmod(0o755)
    return CupsPrinter(queue="office", search_path=f"{home}:/usr/local/bin:/usr/bin:/bin", poll_s=0)


def test_lp_gets_a_page_of_the_labels_size_with_the_code_on_it(book: LabelBook, tmp_path: Path) -> None:
    printed = asyncio.run(print_label(cups(tmp_path, "ready"), LABEL, book=book))
    assert printed.printer == "lp office"
    with pdfium.PdfDocument((tmp_path / "label.pdf").read_bytes()) as document:
        page = document[0]
        picture = page.render(scale=300 / 72, grayscale=True).to_numpy()
        text = page.get_textpage().get_text_bounded()
    assert abs(picture.shape[0] - 425) <= 1
    assert abs(picture.shape[1] - 472) <= 1
    (code,) = zxingcpp.read_barcodes(np.ascontiguousarray(picture))
    assert code.text == URL
    assert text.split("\r\n") == ["7KQ2-M4XA-09PZ-T", "imprint 2 of 3"]
    assert "lp -d office -o media=Custom.1.573x1.417in" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ("stopped", PrinterNotReady, "out of labels"),
        ("unknown", PrinterUnreachable, "Invalid destination"),
        ("stops", PrintUncertain, "job was cancelled"),
        ("cancelled", PrintUncertain, "gave the label up"),
    ],
)
def test_cups_says_what_is_wrong(
    book: LabelBook, tmp_path: Path, state: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        asyncio.run(print_label(cups(tmp_path, state), LABEL, book=book))
    assert ("cancel office-7" in (tmp_path / "asked").read_text()) == (state == "stops")
    assert outcomes(book) == ([(1, "unsure")] if error is PrintUncertain else [])


def test_a_machine_without_cups_says_so(book: LabelBook, tmp_path: Path) -> None:
    bare = CupsPrinter(queue="office", search_path=str(tmp_path))
    with pytest.raises(PrinterUnreachable, match="lpstat"):
        asyncio.run(print_label(bare, LABEL, book=book))


def test_a_second_print_is_marked_in_the_pdf_too() -> None:
    assert b"imprint 2 of 3, PRINT 2" in draw_pdf(lay_out(LABEL, print_number=2))


# --- the book ---------------------------------------------------------------------------------------------------------


def test_every_label_is_accounted_for(book: LabelBook) -> None:
    first = book.begin(LABEL, printer="p")
    assert book.unreported() == []
    book.decide(first.label_id, LabelOutcome.PRINTED)
    assert [record.label_id for record in book.open_labels()] == [first.label_id]
    book.reported(first.label_id, LabelOutcome.PRINTED)
    assert book.unreported() == []
    book.decide(first.label_id, LabelOutcome.SPOILED)
    assert [record.told for record in book.unreported()] == [LabelOutcome.SPOILED]
    book.reported(first.label_id, LabelOutcome.SPOILED)
    assert book.unreported() == book.open_labels() == []
    with pytest.raises(AlreadyPrinted):  # spoiled or not: the next one is the second
        book.begin(LABEL, printer="p")
    with pytest.raises(UnknownLabel):
        book.decide("00" * 16, LabelOutcome.STUCK)


def test_a_label_under_way_when_the_power_goes_is_unsure(tmp_path: Path) -> None:
    book = LabelBook(tmp_path / "labels.db")
    begun = book.begin(LABEL, printer="p")
    assert sqlite3.connect(tmp_path / "labels.db").execute("SELECT outcome FROM label").fetchall() == [("printing",)]
    book.close()
    again = LabelBook(tmp_path / "labels.db")
    assert outcomes(again) == [(1, "unsure")]
    assert [record.label_id for record in again.open_labels()] == [begun.label_id]
    again.close()


def test_a_number_of_which_nothing_came_is_used_again(book: LabelBook) -> None:
    first = book.begin(LABEL, printer="p")
    book.decide(first.label_id, LabelOutcome.FAILED)
    assert book.begin(LABEL, printer="p") == first


# --- settings ---------------------------------------------------------------------------------------------------------


def test_gateway_json_names_the_printer(tmp_path: Path) -> None:
    given = GatewaySettings(gateway_id="g", server_url="u", secret="s", mqtt_url="mqtt://h:1")
    assert printer_from(given.label_printer) is None
    found = printer_from(LabelPrinterSettings(zpl="[::1]:9100"))
    assert isinstance(found, ZebraPrinter)
    assert found.name == "::1:9100"
    assert isinstance(printer_from(LabelPrinterSettings(lp="office")), CupsPrinter)
    both = given.model_dump() | {"label_printer": {"zpl": "p:1", "lp": "q"}}
    (tmp_path / "gateway.json").write_text(json.dumps(both))
    with pytest.raises(BadConfiguration, match="either zpl or lp"):
        load(tmp_path)


def _fields(label: Label) -> dict[str, Any]:
    return {name: getattr(label, name) for name in Label.__dataclass_fields__}
