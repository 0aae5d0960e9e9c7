"""A label, and who can print it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class LabelOutcome(StrEnum):
    """What became of a label. The first three are the gateway's own; headquarters hears PRINTED, STUCK, SPOILED."""

    PRINTING = "printing"
    """Sent, or about to be: after a crash here nobody knows."""
    FAILED = "failed"
    """Nothing was sent; no label exists."""
    UNSURE = "unsure"
    """Sent, never confirmed; counts as printed."""
    PRINTED = "printed"
    STUCK = "stuck"
    """It is on the paper: the device photographed it there."""
    SPOILED = "spoiled"
    """Destroyed, or lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What one label says: the trace code of a sheet's last imprint. `cancelled`: and that the sheet is spoiled."""

    device_id: str
    token_id: bytes
    stroke: int
    url: str  # the trace code's; QR alphanumeric mode, at most version 9-M
    short_code: str
    number: int  # "imprint NUMBER of OF", for the person who sticks it on
    of: int
    cancelled: bool = False
    imprints: int = 1  # on the sheet: the label stands for all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A label that came out."""

    label_id: str  # 32 hexadecimal digits
    printer: str
    print_number: int  # 1; from 2 on the label says so


class LabelPrinter(Protocol):
    """One printer. Not reentrant: one label at a time."""

    @property
    def name(self) -> str:
        """Where it is, for people and for the reconciliation."""
        ...

    async def check(self) -> None:
        """Returns when it could print now. Raises: PrinterUnreachable, PrinterNotReady."""
        ...

    async def print(self, label: Label, *, print_number: int) -> None:
        """Returns when the label is out.

        Raises: PrinterUnreachable, PrinterNotReady, LabelUnprintable, while no label can exist; PrintUncertain after.
        """
        ...
