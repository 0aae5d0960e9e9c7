"""Keepers' words go to headquarters, and stay in the notebook until they are on record there."""

import asyncio
from typing import Final

import structlog

from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable
from gateway.notebook import Notebook
from gateway.uplink.head_office import HeadOffice

EVERY_S: Final = 5.0

log = structlog.get_logger("gateway.telling")


async def tell_notes(notebook: Notebook, head_office: HeadOffice, *, every_s: float = EVERY_S) -> None:
    """Until cancelled."""
    while True:
        await tell_once(notebook, head_office)
        await asyncio.sleep(every_s)


async def tell_once(notebook: Notebook, head_office: HeadOffice) -> None:
    """What is refused now may be taken later: the device may not be known there yet."""
    for note_id, device_id, said in notebook.owed():
        try:
            await head_office.note(device_id, said)
        except HeadOfficeUnreachable:
            return
        except HeadOfficeRefused as error:
            log.info("note_refused", note=note_id, code=error.code)
            continue
        notebook.told(note_id)
