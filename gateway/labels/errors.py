"""What can be wrong with a label printer. Each text says what happened, whether a label may exist, what to do."""

from gateway.errors import GatewayError


class LabelError(GatewayError):
    """Root of what printing a label can refuse."""

    code = "label_error"


class PrinterUnreachable(LabelError):
    """No connection, or no answer, before anything was sent to print."""

    code = "label_printer_unreachable"

    def __init__(self, printer: str, *, why: str) -> None:
        super().__init__(
            f"The label printer {printer} does not answer ({why}). No label was printed. "
            "See that it is switched on, closed, and has labels and ribbon; then try again."
        )


class PrinterNotReady(LabelError):
    """The printer says what is missing; nothing was sent to print."""

    code = "label_printer_not_ready"

    def __init__(self, printer: str, *, problem: str) -> None:
        super().__init__(f"The label printer {printer}: {problem}. No label was printed. Put it right and try again.")
        self.problem = problem


class PrintUncertain(LabelError):
    """The label was sent and nobody can say whether it came out. It counts as printed until a person decides."""

    code = "label_uncertain"

    def __init__(self, printer: str, *, why: str) -> None:
        super().__init__(
            f"The label printer {printer}: {why}. A label may have come out. If there is one and it is good, stick it "
            "on; otherwise destroy it and print again: the new label says that it is the second print."
        )


class AlreadyPrinted(LabelError):
    """There is a label for this imprint; another one is printed only when a person asks for it, and says so."""

    code = "label_already_printed"

    def __init__(self, *, prints: int) -> None:
        super().__init__(
            f"A label for this imprint was printed already ({prints}). Stick that one on, or ask for another: "
            "it will say that it is a further print."
        )
        self.prints = prints


class LabelUnprintable(LabelError):
    """The code does not fit on a label: at most QR version 9-M in alphanumeric mode."""

    code = "label_unprintable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"This trace code cannot be printed on a label: {reason}. Nothing was printed.")


class UnknownLabel(LabelError):
    """No label of that id was printed here."""

    code = "label_unknown"

    def __init__(self, label_id: str) -> None:
        super().__init__(f"No label {label_id} was printed at this gateway.")
