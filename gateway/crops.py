"""The two enlarged pictures of each place that differs, fetched from headquarters while the words are shown already."""

import hashlib
from typing import Any, Final

import structlog

from gateway.desk import Desk
from gateway.errors import GatewayError
from gateway.uplink.head_office import PageAnswer

SHOWN: Final = 4
"""Differences with pictures on the page; the photo itself is beside them."""
MAX_CROP: Final = 2_000_000

log = structlog.get_logger("gateway.crops")


class Crops:
    """Without headquarters, or when a picture does not fit its name, there are words only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def wanted(self, answer: PageAnswer) -> None:
        if answer.finding_id and answer.differences:
            self._desk.device.spawn(self._fetch(answer))

    async def _fetch(self, answer: PageAnswer) -> None:
        for difference in answer.differences[:SHOWN]:
            for name in names(difference):
                if self._desk.picture(name) is not None:
                    continue
                try:
                    picture = await self._desk.office.head_office.crop(
                        self._desk.device.device_id, answer.finding_id, name
                    )
                except GatewayError as error:
                    log.info("no_crop", error=str(error))
                    return
                if len(picture) <= MAX_CROP and hashlib.sha256(picture).hexdigest() == name:
                    self._desk.show(name, picture)


def names(difference: dict[str, Any]) -> tuple[str, ...]:
    """(approved, photo) of a difference, or nothing when it has no pictures."""
    approved, photo = difference.get("approved"), difference.get("photo")
    return (str(approved), str(photo)) if approved and photo else ()
