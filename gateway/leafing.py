"""Pages under the camera that are not for a stroke: a document leafed through, and the sample sheet of a service."""

import asyncio

from firmware_protocol import events, messages
from firmware_protocol.messages import State, Status
from gateway.bulk import BulkLink
from gateway.carrying import Carrying
from gateway.desk import Desk
from gateway.errors import DeviceRefused, GatewayError
from gateway.rules import facts
from gateway.rules.session import Do, Step


class Leafing:
    """A page is photographed as soon as it lies still; headquarters looks at it while the next one is turned."""

    def __init__(self, desk: Desk, bulk: BulkLink, carrying: Carrying) -> None:
        self._desk = desk
        self._bulk = bulk
        self._carrying = carrying
        desk.does |= {Do.SWEEP: self.photograph, Do.END_SWEEP: self.end, Do.SAMPLE: self.sample}

    async def photograph(self) -> None:
        async with self._desk.turn:
            if self._desk.session.step is not Step.SWEEP:
                return
            try:
                captured = await self._desk.device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
            except GatewayError as error:
                self._desk.wrong(error)
                return
        self._desk.device.spawn(self._tell(captured))

    async def _tell(self, captured: messages.Captured) -> None:
        try:
            event, preview = await asyncio.gather(
                self._carrying.event(captured.seq), self._bulk.fetch(captured.preview_digest, urgent=True)
            )
            answer = await self._desk.office.head_office.swept(
                self._desk.device.device_id, event=event, preview=preview
            )
        except GatewayError as error:
            self._desk.wrong(error)
            return
        self._desk.step(
            facts.PageSwept(
                page=int(answer["page"]),
                answer=str(answer["answer"]),
                seen=int(answer["seen"]),
                of=int(answer["of"]),
                missing=tuple(int(page) for page in answer["missing"]),
                text=str(answer.get("text") or ""),
            )
        )

    async def end(self) -> None:
        """Every page was seen: the device closes the sweep."""
        async with self._desk.turn:
            try:
                swept = await self._desk.device.ask(messages.SweepEndRequest(), messages.Swept, slow=True)
            except GatewayError as error:
                self._desk.wrong(error)
                return
        self._desk.step(facts.SweepEnded(seen=swept.seen, expected=swept.expected))
        self._desk.look_at_tray()

    # A service that two persons ordered

    def learn(self, body: events.Body) -> None:
        if not isinstance(body, events.Service):
            return
        if body.stage is events.ServiceStage.BEGUN:
            self._desk.step(facts.ServiceBegun(kind=body.kind.name.lower(), slot=body.slot or 0))
        elif self._desk.session.service:
            self._desk.step(facts.ServiceEnded(in_time=body.stage is events.ServiceStage.ENDED))

    def saw(self, status: Status) -> None:
        """A gateway that was restarted in the middle of a service goes on with it."""
        if status.state is State.SERVICE and not self._desk.session.service:
            self._desk.step(facts.ServiceBegun(kind="service", slot=0))

    async def sample(self) -> None:
        """A sheet for the sample imprint lies still; the device frees the latch by itself."""
        async with self._desk.turn:
            try:
                await self._desk.device.ask(messages.CaptureRequest(), messages.Captured, slow=True)
            except DeviceRefused:
                return  # the cover is open still, or the head is not the ordered one: the screen says what to do
            except GatewayError as error:
                self._desk.wrong(error)
