"""Headquarters hears what became of every label, so that "printed, never stuck on" can be counted."""

import asyncio
from typing import Final

import structlog

from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable
from gateway.labels.book import LabelBook
from gateway.uplink.head_office import HeadOffice

EVERY_S: Final = 5.0

log = structlog.get_logger("gateway.labels")


async def report_labels(book: LabelBook, head_office: HeadOffice, *, every_s: float = EVERY_S) -> None:
    """Until cancelled."""
    while True:
        await report_once(book, head_office)
        await asyncio.sleep(every_s)


async def report_once(book: LabelBook, head_office: HeadOffice) -> None:
    """What it refuses now it may take later: the stroke's own report may still be on its way."""
    for record in book.unreported():
        if record.told is None:
            continue
        said = {
            "token_id": record.token_id.hex(),
            "stroke": record.stroke,
            "label_id": record.label_id,
            "printer": record.printer,
            "outcome": record.told.value,
        }
        try:
            await head_office.label(record.device_id, said)
        except HeadOfficeUnreachable:
            return
        except HeadOfficeRefused as error:
            log.info("label_refused", label=record.label_id, code=error.code)
            continue
        book.reported(record.label_id, record.told)
