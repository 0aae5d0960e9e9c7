"""One label from the wish to the book."""

from gateway.labels.book import LabelBook
from gateway.labels.cups import CupsPrinter
from gateway.labels.errors import LabelError, PrintUncertain
from gateway.labels.label import Label, LabelOutcome, LabelPrinter, Printed
from gateway.labels.zebra import ZebraPrinter
from gateway.settings import LabelPrinterSettings


def printer_from(settings: LabelPrinterSettings | None) -> LabelPrinter | None:
    """The printer that gateway.json names, or None."""
    if settings is None:
        return None
    if settings.zpl is not None:
        host, _, port = settings.zpl.rpartition(":")
        return ZebraPrinter(host=host.strip("[]"), port=int(port))
    return CupsPrinter(queue=settings.lp or "")


async def print_label(printer: LabelPrinter, label: Label, *, book: LabelBook, again: bool = False) -> Printed:
    """Print one label; the book knows of it before the printer does.

    Never twice for one imprint unless `again`, and then the label says so. Cancelled in the middle, it is unsure.

    Raises: AlreadyPrinted, PrinterUnreachable, PrinterNotReady, LabelUnprintable: no label exists by this call;
    PrintUncertain: one may.
    """
    await printer.check()
    begun = book.begin(label, printer=printer.name, again=again)
    outcome = LabelOutcome.UNSURE
    try:
        await printer.print(label, print_number=begun.print_number)
        outcome = LabelOutcome.PRINTED
    except PrintUncertain:
        raise
    except LabelError:
        outcome = LabelOutcome.FAILED
        raise
    finally:
        book.decide(begun.label_id, outcome)
    return begun
