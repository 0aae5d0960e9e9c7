"""The gateway's process: devices, outbox, uplinks and the keeper's page in one asyncio loop."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
import uvicorn

from gateway import settings as configuration
from gateway.api import create_app
from gateway.bulk import PhotoStore
from gateway.carry import Carry
from gateway.clock import SystemClock
from gateway.connection import Office
from gateway.device import DeviceAgent
from gateway.labels.book import LabelBook
from gateway.labels.printing import printer_from
from gateway.labels.reporting import report_labels
from gateway.notebook import Notebook
from gateway.outbox import Outbox
from gateway.settings import GatewaySettings
from gateway.state import device_state
from gateway.telling import tell_notes
from gateway.uplink.certificate import CertificateKeeper
from gateway.uplink.head_office import HeadOffice
from gateway.uplink.mqtt import MqttUplink

log = structlog.get_logger("gateway")
HOST_ALLOWED: Final = ("127.0.0.1", "::1", "localhost")


class Changes:
    """Wakes whoever shows the state. Only the fact "something changed" travels; the reader asks for the rest."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def tell(self) -> None:
        for event in self._waiting:
            event.set()

    def join(self) -> asyncio.Event:
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)


class Gateway:
    """Everything that lives as long as the process."""

    def __init__(self, home: Path, settings: GatewaySettings, *, session_url: str) -> None:
        self.settings = settings
        self.changes = Changes()
        self.outbox = Outbox(home / "outbox.db")
        self.notebook = Notebook(home / "session.db")
        self.labels = LabelBook(home / "labels.db")
        self.carry = Carry(
            gateway_id=settings.gateway_id,
            secret=settings.secret,
            clock=SystemClock(),
            random=os.urandom,
            on_down=self._deliver,
        )
        self.head_office = HeadOffice(settings, carry=self.carry)
        self.uplink = MqttUplink(
            settings,
            birth=self.outbox.next_birth(),
            session_url=session_url,
            clock=SystemClock(),
            on_down=self._on_down,
            on_connected=self._on_connected,
        )
        self._loop = asyncio.get_running_loop()
        office = Office(
            gateway_id=settings.gateway_id,
            outbox=self.outbox,
            notebook=self.notebook,
            labels=self.labels,
            label_printer=printer_from(settings.label_printer),
            server_host=urlsplit(settings.server_url).netloc,
            photos=PhotoStore(home / "photos"),
            head_office=self.head_office,
            uplink=self.uplink,
            clock=SystemClock(),
            auto=settings.auto,
            changed=self.changes.tell,
        )
        self.devices = [DeviceAgent(device, office) for device in settings.devices]

    def device(self, device_id: str) -> DeviceAgent | None:
        return next((agent for agent in self.devices if agent.device_id == device_id), None)

    def _on_down(self, kind: str, device_id: str, payload: bytes) -> None:
        self._loop.call_soon_threadsafe(self._deliver, kind, device_id, payload)

    def _on_connected(self) -> None:
        self._loop.call_soon_threadsafe(self._broker_back)

    def _broker_back(self) -> None:
        for agent in self.devices:
            agent.broker_back()
        self.changes.tell()

    def _deliver(self, kind: str, device_id: str, payload: bytes) -> None:
        agent = self.device(device_id)
        if agent is not None:
            agent.carrying.down(kind, payload)

    def state(self) -> dict[str, Any]:
        """What the session page shows, as JSON."""
        return {
            "gateway_id": self.settings.gateway_id,
            "uplink": self.uplink.connected,
            "phone": self.carry.present,
            "carried": not self.uplink.connected and self.carry.working,
            "waiting": self.outbox.counts(),
            "devices": [device_state(agent) for agent in self.devices],
        }

    async def run(self) -> None:
        self.uplink.start()
        try:
            async with asyncio.TaskGroup() as group:
                if self.settings.uses_certificate:
                    group.create_task(CertificateKeeper(self.settings, self.head_office, SystemClock()).run())
                group.create_task(report_labels(self.labels, self.head_office))
                group.create_task(tell_notes(self.notebook, self.head_office))
                for agent in self.devices:
                    group.create_task(agent.run())
        finally:
            await asyncio.to_thread(self.uplink.stop)
            await self.head_office.close()
            self.outbox.close()
            self.notebook.close()
            self.labels.close()


async def serve(home: Path) -> None:
    """Until SIGTERM or SIGINT. Raises: BadConfiguration."""
    settings = configuration.load(home)
    host, _, port = settings.listen.rpartition(":")
    server = uvicorn.Server(uvicorn.Config("", host=host, port=int(port), log_level="warning", lifespan="off"))
    sock = server.config.bind_socket()
    sock.listen()  # who reads the ready line may connect at once
    session_url = f"http://{host}:{sock.getsockname()[1]}/"
    gateway = Gateway(home, settings, session_url=session_url)
    server.config.app = create_app(gateway)
    sys.stdout.write(json.dumps({"gateway_id": settings.gateway_id, "session_url": session_url}) + "\n")
    sys.stdout.flush()
    work = asyncio.create_task(gateway.run())
    page = asyncio.create_task(server.serve(sockets=[sock]))
    done, _pending = await asyncio.wait({work, page}, return_when=asyncio.FIRST_COMPLETED)
    if work in done and (error := work.exception()) is not None:
        log.error("gateway_failed", exc_info=error)  # at once: closing the page may take a while
    server.should_exit = True
    work.cancel()
    await asyncio.gather(work, page, return_exceptions=True)
    for task in done:
        task.result()
