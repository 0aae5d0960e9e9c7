"""A doubtful page: a second authorised person is asked; this waits for the answer and carries the permit."""

import asyncio
from collections.abc import Callable
from typing import Final

from firmware_protocol import messages
from gateway.carrying import Carrying
from gateway.desk import Desk
from gateway.errors import GatewayError, HeadOfficeUnreachable, OutOfOrder
from gateway.rules import facts
from gateway.rules.session import Do

POLL_S: Final = 1.0
PERMIT_S: Final = 10.0
"""After "anyway" the permit is on its way; longer than this it is not."""


class Cases:
    """One case at a time: that of the page on the tray."""

    def __init__(self, desk: Desk, carrying: Carrying, *, poll_s: float = POLL_S) -> None:
        self._desk = desk
        self._carrying = carrying
        self._poll_s = poll_s
        self._following: asyncio.Task[None] | None = None
        desk.does[Do.DROP_CASE] = self._dropped

    def open(self, case_id: str, fits: Callable[[bytes], bool]) -> None:
        """Follow the case; `fits` knows the permit of the photo it is about."""
        self.drop()
        self._following = asyncio.get_running_loop().create_task(self._follow(case_id, fits))

    def drop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    async def remind(self) -> None:
        """Headquarters tells those who may answer that somebody waits; once a case. Raises: GatewayError."""
        case_id = self._desk.session.case_id
        if not case_id:
            raise OutOfOrder("Nobody is asked any more: the page was lifted, or the answer is there. See the screen.")
        if self._desk.session.reminded is None:
            names = await self._desk.office.head_office.remind(self._desk.device.device_id, case_id)
            self._desk.step(facts.CaseReminded(case_id=case_id, names=tuple(names)))

    async def _dropped(self) -> None:
        self.drop()

    async def _follow(self, case_id: str, fits: Callable[[bytes], bool]) -> None:
        with self._carrying.expect("permit", fits) as arrived:
            while (heard := await self._heard(case_id)).state == "waiting":
                self._desk.step(heard)
                await asyncio.sleep(self._poll_s)
            self._desk.step(heard)
            if heard.state != "anyway":
                return
            done, _pending = await asyncio.wait({arrived}, timeout=PERMIT_S)
            if not done:
                self._desk.wrong(HeadOfficeUnreachable("permit did not arrive"))
                return
        async with self._desk.turn:
            try:
                request = messages.PermitRequest(permit=arrived.result())
                await self._desk.device.ask(request, messages.Unlocked, slow=True)
                self._desk.step(facts.LatchFree())
            except GatewayError as error:
                self._desk.wrong(error)

    async def _heard(self, case_id: str) -> facts.CaseHeard:
        """Silence of headquarters is no answer: it goes on waiting."""
        try:
            answer = await self._desk.office.head_office.case(self._desk.device.device_id, case_id)
        except HeadOfficeUnreachable:
            return facts.CaseHeard(case_id=case_id, state="waiting")
        except GatewayError as error:
            return facts.CaseHeard(case_id=case_id, state="over", reason=str(error))
        return facts.CaseHeard(
            case_id=case_id,
            state=str(answer["state"]),
            by=str(answer.get("by") or ""),
            reason=str(answer.get("reason") or ""),
        )
