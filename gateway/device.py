"""One device at this office: finding it, greeting headquarters for it, and losing it again."""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import structlog

from firmware_protocol import events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import Hello, Message, Status
from firmware_protocol.reasons import Reason
from gateway.bulk import BulkLink
from gateway.carrying import Carrying, woken
from gateway.cases import Cases
from gateway.connection import Connection, Office
from gateway.desk import Desk
from gateway.errors import (
    AnotherDevice,
    DeviceRefused,
    GatewayError,
    HeadOfficeRefused,
    HeadOfficeUnreachable,
    OutOfOrder,
)
from gateway.imprints import Imprints
from gateway.leafing import Leafing
from gateway.link import DeviceLink
from gateway.looking import Looking
from gateway.operators import Operators
from gateway.outbox import KeptEvent
from gateway.passkeys import Passkeys
from gateway.rules import facts
from gateway.settings import DeviceSettings
from gateway.stamping import Stamping
from gateway.sticking import Sticking
from gateway.transports.choosing import transport_for
from gateway.vouchers import Vouchers

RECONNECT_S: Final = 0.5
HEARTBEAT_S: Final = 5.0
HELLO_AGAIN_S: Final = 0.5
"""While the broker is there, so that headquarters is about to be: events do not leave before it knows the device."""
VERSION: Final = "0.1.0"

log = structlog.get_logger("gateway.device")


class DeviceAgent:
    """Everything about one device runs in the event loop. `connection`: what it said; `carrying`: what travels;
    `stamping`: the keeper's session.
    """

    def __init__(self, settings: DeviceSettings, office: Office) -> None:
        self.settings = settings
        self._office = office
        self._bulk = BulkLink(settings.bulk, store=office.photos)
        self._hello_now = asyncio.Event()
        self.connection = Connection(office.clock, on_status=self._saw)
        self.carrying = Carrying(self.connection, office, self._bulk, learned=self._learned)
        self.desk = Desk(self.connection, office)
        self.operators = Operators(self.desk)
        self.passkeys = Passkeys(self.desk, self.operators)
        self.imprints = Imprints(self.desk, self._bulk, self.carrying)
        self.sticking = Sticking(self.desk, office.labels, office.label_printer)
        self._leafing = Leafing(self.desk, self._bulk, self.carrying)
        self.looking = Looking(self.desk, self._bulk)
        self.cases, vouchers = Cases(self.desk, self.carrying), Vouchers(self.desk, self.carrying)
        self.stamping = Stamping(self.desk, self._bulk, self.carrying, cases=self.cases, vouchers=vouchers)

    @property
    def device_id(self) -> str:
        return self.connection.device_id

    # The link

    async def run(self) -> None:
        """Until cancelled: connect, serve, and connect again."""
        while True:
            try:
                await self._serve()
            except GatewayError as error:
                self.desk.step(facts.DeviceLost(text=str(error)))
            except ExceptionGroup as group:
                if group.split(GatewayError)[1] is not None:
                    raise
                self.desk.step(facts.DeviceLost(text=str(group.exceptions[0])))
            finally:
                await self._hang_up()
            await asyncio.sleep(RECONNECT_S)

    async def _serve(self) -> None:
        link = DeviceLink(transport_for(self.settings), where=self.settings.where, on_notice=self._on_notice)
        await link.open()
        self.connection.link = link
        self.connection.hello = self._expected(await link.ask(messages.HelloRequest(), Hello))
        self.connection.saw(await link.ask(messages.StatusRequest(), Status))
        await self.carrying.drain()
        self.stamping.resume()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._until_lost(link))
            group.create_task(self._introduce())
            group.create_task(self.carrying.read_events())
            group.create_task(self.carrying.send_events())
            group.create_task(self.carrying.upload_photos())
            group.create_task(self._heartbeat())
            group.create_task(self.operators.keep_roster())

    def _expected(self, hello: Hello) -> Hello:
        """Raises: AnotherDevice."""
        if self.settings.device_id not in (None, hello.device_id):
            raise AnotherDevice(expected=str(self.settings.device_id), found=hello.device_id)
        return hello

    async def _hang_up(self) -> None:
        link, self.connection.link = self.connection.link, None
        if link is not None:
            await link.close()
        await self._bulk.close()
        self._office.changed()

    async def _until_lost(self, link: DeviceLink) -> None:
        await link.lost.wait()
        raise OutOfOrder("The device was unplugged. It locks by itself; nothing is lost. Plug it in again.")

    async def _introduce(self) -> None:
        """Say hello to headquarters until it knows the device; set the device's clock."""
        said = ""
        while True:
            try:
                await self.greet()
                if self.connection.enrolment != "unknown":
                    await self._set_clock()
                    return
            except (HeadOfficeRefused, HeadOfficeUnreachable, DeviceRefused) as error:
                if str(error) != said:  # days without a network are one line
                    said = str(error)
                    log.info("hello_failed", device=self.device_id, error=said)
            await woken(self._hello_now, HELLO_AGAIN_S if self._office.uplink.connected else HEARTBEAT_S)

    def broker_back(self) -> None:
        """The network is there again. Runs in the event loop."""
        self._hello_now.set()
        self.carrying.broker_back()

    async def greet(self) -> None:
        """Raises: HeadOfficeRefused, HeadOfficeUnreachable."""
        hello = self.connection.introduced()
        told = {
            "device_id": hello.device_id,
            "public_key": hello.public_key.hex(),
            "generation": hello.generation,
            "model": hello.model,
            "firmware": hello.firmware,
            "heads": [head.hex() for head in hello.heads],
            "last_seq": hello.last_seq,
            "acked_seq": hello.acked_seq,
            "counter": hello.counter,
            "boot": hello.boot,
            "paired": hello.paired,
            "features": hello.features,
        }
        answer = await self._office.head_office.hello(self._office.gateway_id, VERSION, [told])
        self._office.notebook.keep_trace_host(str(answer.get("trace_host") or self._office.trace_host))
        status = {known["device_id"]: known["status"] for known in answer["devices"]}
        self.connection.enrolment = status.get(hello.device_id, "unknown")
        self.carrying.send.set()

    async def _tell_heads(self) -> None:
        """Another head sits in the device: headquarters should know before somebody waits for it."""
        try:
            self.connection.hello = await self.connection.ask(messages.HelloRequest(), Hello)
            await self.greet()
        except GatewayError as error:
            log.info("hello_failed", device=self.device_id, error=str(error))

    async def _set_clock(self) -> None:
        # a nonce counts for ten seconds; this one is fresh
        hello = await self.connection.ask(messages.HelloRequest(), Hello)
        signed = await self._office.head_office.signed_time(self.device_id, hello.boot_nonce)
        await self.connection.ask(messages.TimeRequest(time=signed), messages.Accepted)

    def facts(self) -> dict[str, Any]:
        """For headquarters' live view: what this device said last."""
        status = self.connection.status
        words: dict[str, Any] = {
            "online": self.connection.online,
            "at_ms": self._office.clock.now_ms(),
            "seen_ms": self.connection.seen_ms,
            "step": self.desk.session.step.value,
            "notes": [asdict(note) for note in self._office.notebook.notes(self.device_id)],
            "leftovers": [asdict(left) for left in self._office.notebook.leftovers(self.device_id)],
        }
        if status is not None:
            words |= {
                "state": status.state.name.lower(),
                "page_present": status.page_present,
                "page_still": bool(status.page_still),
                "cover_closed": status.cover_closed,
                "counter": status.counter,
                "strokes_left": status.strokes_left,
                "journal_free": status.journal_free,
                "last_seq": status.last_seq,
                "acked_seq": status.acked_seq,
                "battery": status.battery,
                "ink": status.ink,
                "camera_failed": status.last_reason is Reason.CAMERA_FAILED,
            }
        return words

    async def _heartbeat(self) -> None:
        while True:
            self._office.uplink.state(self.device_id, self.facts())
            await asyncio.sleep(HEARTBEAT_S)
            await self.connection.look()
            self.desk.look_at_tray()  # a page that came to lie still at the wrong moment is not overlooked for ever

    def _on_notice(self, message: Message) -> None:
        if isinstance(message, messages.StatusNotice):
            self.connection.saw(message.status)
            self.desk.look_at_tray()
        self._office.uplink.state(self.device_id, self.facts())

    def _saw(self, status: Status, before: Status | None) -> None:
        self.stamping.saw(status, before)
        self.operators.saw(status, before)
        self._leafing.saw(status)
        self.carrying.look.set()
        self._office.changed()

    def _learned(self, kept: KeptEvent) -> None:
        try:
            body = events.peek(kept.signed).body
        except ProtocolError:
            log.warning("odd_event", device=kept.device_id, seq=kept.seq)
            return
        if isinstance(body, events.ExtraStroke):
            self.desk.extra_seq = kept.seq
        if isinstance(body, events.HeadChanged):
            self.connection.spawn(self._tell_heads())
        self.sticking.learn(body)
        self.imprints.learn(body)
        self.stamping.learn(body)
        self._leafing.learn(body)
