"""The tray as it lies now, for whoever lays a sheet. Kept nowhere; whatever else needs the device comes first."""

import asyncio
from typing import Final

import structlog

from firmware_protocol import messages
from gateway.bulk import BulkLink
from gateway.desk import Desk
from gateway.errors import GatewayError
from gateway.rules import look

SHARED_S: Final = 0.6
"""How long one picture does for all who look; a device gives two a second."""
PLACE_SIZE: Final = 8
"""x and y of four corners."""

log = structlog.get_logger("gateway.looking")


class Looking:
    """Asks the device only while somebody fetches the picture. It never takes the desk's turn, it gives way to it."""

    def __init__(self, desk: Desk, bulk: BulkLink) -> None:
        self._desk = desk
        self._bulk = bulk
        self._turn = asyncio.Lock()
        self._asked_at = -SHARED_S
        self._picture: bytes | None = None
        self._place: tuple[int, ...] = ()

    @property
    def place(self) -> tuple[int, ...] | None:
        """Corners of the place for the sheet, () when not known or not at the stops; None: this step has no picture."""
        session = self._desk.session
        return look.outline(session, self._place) if look.offered(session, features=self._features) else None

    async def look(self) -> bytes | None:
        """A JPEG, at most SHARED_S old; None when there is none to show just now."""
        async with self._turn:
            if not self._may_ask():
                self._picture = None
                return None
            now = asyncio.get_running_loop().time()
            if now - self._asked_at >= SHARED_S:
                self._asked_at, self._picture = now, None
                try:
                    self._picture = await self._ask()
                except GatewayError as error:
                    log.debug("no_look", device=self._desk.device.device_id, error=str(error))
            return self._picture

    async def _ask(self) -> bytes | None:
        """Raises: GatewayError."""
        looked = await self._desk.device.ask(messages.LookRequest(), messages.Looked)
        picture = await self._bulk.look(looked.digest) if self._may_ask() else None
        if len(looked.place) == PLACE_SIZE and self._place != looked.place:
            self._place = looked.place
            self._desk.office.changed()
        return picture

    def _may_ask(self) -> bool:
        return look.may_ask(
            self._desk.session,
            self._desk.device.status,
            features=self._features,
            signed_in=self._desk.operator is not None,
            busy=self._desk.turn.locked() or not self._desk.device.online,
        )

    @property
    def _features(self) -> int:
        hello = self._desk.device.hello
        return hello.features if hello is not None else 0
