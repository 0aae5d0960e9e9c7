"""Every label this gateway ever sent to a printer, and what became of it (SQLite, WAL, synchronous=FULL).

A row is durable before the first byte goes to the printer, and stays: a second print for the same imprint must
always be known as one. Headquarters hears of each outcome once it can be reached.
"""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.durable import open_durable
from gateway.labels.errors import AlreadyPrinted, UnknownLabel
from gateway.labels.label import Label, LabelOutcome, Printed

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS label (
    label_id TEXT PRIMARY KEY, device TEXT NOT NULL, token_id BLOB NOT NULL, stroke INTEGER NOT NULL,
    print_number INTEGER NOT NULL, printer TEXT NOT NULL, outcome TEXT NOT NULL, reported TEXT NOT NULL DEFAULT '',
    UNIQUE (token_id, stroke, print_number)) WITHOUT ROWID;
"""
_EXISTS: Final = (LabelOutcome.UNSURE, LabelOutcome.PRINTED, LabelOutcome.STUCK, LabelOutcome.SPOILED)
"""Outcomes of a label that is, or may be, on paper."""
_TOLD: Final = {
    LabelOutcome.UNSURE: LabelOutcome.PRINTED,
    LabelOutcome.PRINTED: LabelOutcome.PRINTED,
    LabelOutcome.STUCK: LabelOutcome.STUCK,
    LabelOutcome.SPOILED: LabelOutcome.SPOILED,
}
"""What headquarters is told: a label that may exist is a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRecord:
    """One label. `told` is what headquarters should hear, None while nothing came out."""

    label_id: str
    device_id: str
    token_id: bytes
    stroke: int
    print_number: int
    printer: str
    outcome: LabelOutcome

    @property
    def told(self) -> LabelOutcome | None:
        return _TOLD.get(self.outcome)


class LabelBook:
    """One file, one connection, a lock; every call takes a millisecond or two."""

    def __init__(self, path: Path) -> None:
        """What was printing when the power went is unsure from now on."""
        self._lock = threading.Lock()
        self._db = open_durable(path, schema=_SCHEMA)
        self._db.execute("UPDATE label SET outcome = ? WHERE outcome = ?", (LabelOutcome.UNSURE, LabelOutcome.PRINTING))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def begin(self, label: Label, *, printer: str, again: bool = False) -> Printed:
        """Durable before anything is sent: this label is about to be printed. Ids follow from what the label is for.

        Raises: AlreadyPrinted, unless `again`.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._of(label.token_id, label.stroke)
            exist = sum(record.outcome in (*_EXISTS, LabelOutcome.PRINTING) for record in known)
            if exist and not again:
                raise AlreadyPrinted(prints=exist)
            if known and known[-1].outcome is LabelOutcome.FAILED:  # nothing came of that number
                self._db.execute("DELETE FROM label WHERE label_id = ?", (known.pop().label_id,))
            begun = Printed(label_id=_label_id(label, len(known) + 1), printer=printer, print_number=len(known) + 1)
            self._db.execute(
                "INSERT INTO label (label_id, device, token_id, stroke, print_number, printer, outcome)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    begun.label_id,
                    label.device_id,
                    label.token_id,
                    label.stroke,
                    begun.print_number,
                    printer,
                    LabelOutcome.PRINTING,
                ),
            )
        return begun

    def decide(self, label_id: str, outcome: LabelOutcome) -> None:
        """What became of it. Raises: UnknownLabel."""
        with self._lock:
            found = self._db.execute("UPDATE label SET outcome = ? WHERE label_id = ?", (outcome, label_id))
        if found.rowcount != 1:
            raise UnknownLabel(label_id)

    def of_stroke(self, token_id: bytes, stroke: int) -> list[LabelRecord]:
        """All prints for one imprint, oldest first."""
        with self._lock:
            return self._of(token_id, stroke)

    def open_labels(self) -> list[LabelRecord]:
        """Printed, or perhaps printed, and neither stuck on nor spoiled: somebody should look for them."""
        with self._lock:
            return self._select(
                "outcome IN (?, ?) ORDER BY token_id, stroke, print_number", LabelOutcome.PRINTED, LabelOutcome.UNSURE
            )

    def unreported(self) -> list[LabelRecord]:
        """Whose `told` headquarters has not heard yet."""
        with self._lock:
            rows = self._select("outcome NOT IN (?, ?)", LabelOutcome.PRINTING, LabelOutcome.FAILED)
            told = dict(self._db.execute("SELECT label_id, reported FROM label").fetchall())
        return [row for row in rows if row.told != told[row.label_id]]

    def reported(self, label_id: str, told: LabelOutcome) -> None:
        """Headquarters answered 204 to this outcome."""
        with self._lock:
            self._db.execute("UPDATE label SET reported = ? WHERE label_id = ?", (told, label_id))

    def _of(self, token_id: bytes, stroke: int) -> list[LabelRecord]:
        return self._select("token_id = ? AND stroke = ? ORDER BY print_number", token_id, stroke)

    def _select(self, where: str, *arguments: object) -> list[LabelRecord]:
        rows = self._db.execute(
            "SELECT label_id, device, token_id, stroke, print_number, printer, outcome FROM label WHERE " + where,  # noqa: S608 - written below and above, never asked for
            arguments,
        ).fetchall()
        return [
            LabelRecord(
                label_id=row[0],
                device_id=row[1],
                token_id=row[2],
                stroke=row[3],
                print_number=row[4],
                printer=row[5],
                outcome=LabelOutcome(row[6]),
            )
            for row in rows
        ]


def _label_id(label: Label, print_number: int) -> str:
    name = label.token_id + label.stroke.to_bytes(2, "big") + print_number.to_bytes(2, "big")
    return hashlib.sha256(b"seal/1/label" + name).hexdigest()[:32]
