"""Devices for a bench of one office: the shipped device core on memory disks, each behind a pty of its own.

Their histories are real: paired with the installation under test, every event chained and signed by the device's key.
Only the camera, the shaft and the tray are missing, since nobody stamps.
"""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlmodel import Session

from device_sim.core.journal import Journal
from device_sim.core.log import EventLog, Identity
from device_sim.core.machine import Device
from device_sim.core.ports import Parts, PhotoOrder
from device_sim.core.timekeeping import Timekeeper
from device_sim.process.bulk import Pace, open_bulk
from device_sim.process.control import ControlLink
from device_sim.process.disk import PhotoFolder
from device_sim.process.faults import Faults
from device_sim.process.identity import DeviceKey, SystemRng
from firmware_protocol import events, messages
from firmware_protocol.events import Body, PageSeen, Sensor
from firmware_protocol.messages import Message
from firmware_protocol.orders import Terms
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead, PairingDeviceIn

CAPACITY: Final = 64 * 1024 * 1024
"""Bytes of journal: more than a fielded device has, so that 20 of them hold what 72 h of a large branch would."""
BULK_RATE: Final = 1_000_000
PHOTO_SIZE: Final = 20_000
WRITE_AT_ONCE: Final = 200


class _Clock:
    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


@dataclass(slots=True)
class _MemoryDisk:
    files: dict[str, bytearray] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        return bytes(self.files.get(name, b""))

    def append(self, name: str, data: bytes) -> None:
        self.files.setdefault(name, bytearray()).extend(data)

    def sync(self, name: str) -> None:
        """Memory is as durable as this bench."""

    def replace(self, name: str, data: bytes) -> None:
        self.files[name] = bytearray(data)

    def free_bytes(self) -> int:
        return CAPACITY


class _Nothing:
    """No shaft, no latch, no tray, no fault: nobody stamps here."""

    page_present = False
    page_token = 0

    def read(self) -> int:
        return 0

    def release(self) -> None: ...

    def hold(self) -> None: ...

    def trip(self, sensor: str) -> None: ...

    def tripped(self) -> tuple[str, ...]:
        return ()

    def rearm(self) -> None: ...

    def start(self, order: PhotoOrder) -> None: ...

    def reach(self, point: str) -> None: ...


class BenchDevice:
    """`history` first, then `switch_on`."""

    def __init__(self, folder: Path, number: int) -> None:
        folder.mkdir(parents=True)
        rng, nothing = SystemRng(), _Nothing()
        self._identity = Identity(device_id=f"CB-BENCH{number:04}", model="Cinnabar bench", firmware="0.1.0")
        self._photos = PhotoFolder(folder / "photos", Faults())
        self._bulk = open_bulk(folder / "bulk-port", photos=self._photos, pace=Pace(BULK_RATE, Faults()))
        self._parts = Parts(
            clock=_Clock(),
            rng=rng,
            disk=_MemoryDisk(),
            counter=nothing,
            latch=nothing,
            camera=nothing,
            photos=self._photos,
            key=DeviceKey(rng.token_bytes(32)),
            tripwire=nothing,
        )
        self._device = self._boot()
        self._link = ControlLink(folder / "control", self._receive)
        self.device_id = self._identity.device_id
        self.settings = {"control": str(folder / "control"), "bulk": self._bulk.address, "device_id": self.device_id}

    @property
    def last_seq(self) -> int:
        return self._device.memory.seq

    def pair(self, db: Session, run: Runtime, scope: Scope, gateway: GatewayRead) -> None:
        """As at a counter, with the two people's comparison left out."""
        self._device.press_pairing_button()
        self._device.take_outgoing()
        opened = devices.start_pairing(db, run, gateway, device_id=self.device_id)
        answer = self._ask(messages.PairCommitRequest(commitment=opened.commitment))
        if not isinstance(answer, messages.PairDevice):
            raise TypeError(f"the device answered {answer}")
        said = PairingDeviceIn(
            device_id=self.device_id, public_key=answer.public_key.hex(), nonce=answer.nonce.hex(), generation=1
        )
        out = devices.device_answer(db, run, gateway, pairing_id=opened.pairing_id, said=said).terms
        terms = Terms(
            installation_id=out.installation_id,
            issuer_keys=out.issuer_keys,
            recovery_key=out.recovery_key,
            root_key=out.root_key,
            server_nonce=out.server_nonce,
            trace_host=out.trace_host,
        )
        self._ask(messages.PairTermsRequest(terms=terms))
        devices.confirm_pairing(db, run, scope, pairing_id=opened.pairing_id)
        self._device.confirm_pairing()
        signed = [self._event(seq) for seq in range(1, self.last_seq + 1)]
        (paired,) = (data for data in signed if isinstance(events.peek(data).body, events.Paired))
        devices.pairing_event(db, run, gateway, pairing_id=opened.pairing_id, event=paired)

    def history(self, count: int, *, photos: int) -> None:
        """`count` more events; among them, evenly, pages whose preview and photo make `photos` pictures."""
        journal = Journal(self._parts.disk, capacity=CAPACITY)
        log = EventLog(
            identity=self._identity,
            journal=journal,
            key=self._parts.key,
            counter=self._parts.counter,
            time=Timekeeper(clock=self._parts.clock, rng=self._parts.rng),
        )
        pages, bodies = photos // 2, list[Body]()
        for number in range(count):
            if (number + 1) * pages // count > number * pages // count:
                bodies.append(self._page())
            else:
                bodies.append(Sensor(sensor="light", value=number))
        for first in range(0, count, WRITE_AT_ONCE):
            log.write(*bodies[first : first + WRITE_AT_ONCE])
        self._device = self._boot()

    def switch_on(self) -> None:
        import threading

        self._link.plug_in()
        threading.Thread(target=self._bulk.serve_forever, args=(0.1,), daemon=True).start()

    def switch_off(self) -> None:
        self._link.unplug()
        self._bulk.shutdown()
        self._bulk.server_close()

    def _page(self) -> Body:
        rng = self._parts.rng
        pictures = [rng.token_bytes(PHOTO_SIZE) for _ in range(2)]
        digests = [hashlib.sha256(picture).digest() for picture in pictures]
        self._photos.keep(zip(digests, pictures, strict=True))
        return PageSeen(
            token_id=bytes(16),
            stroke=0,
            preview_digest=digests[0],
            photo_digest=digests[1],
            stroke_nonce=rng.token_bytes(16),
        )

    def _boot(self) -> Device:
        return Device(identity=self._identity, parts=self._parts, capacity=CAPACITY)

    def _event(self, seq: int) -> bytes:
        answer = self._ask(messages.ReadEventRequest(seq=seq))
        if not isinstance(answer, messages.SignedEvent):
            raise TypeError(f"the device answered {answer}")
        return answer.event

    def _ask(self, request: Message) -> Message:
        self._asked = getattr(self, "_asked", 0) + 1
        self._device.receive(messages.encode(request, msg_id=self._asked))
        said = [messages.decode(data) for data in self._device.take_outgoing()]
        return next(answer.message for answer in said if answer.msg_id == self._asked)

    def _receive(self, message: bytes) -> None:
        """From the link's one reading thread."""
        self._device.receive(message)
        for answer in self._device.take_outgoing():
            self._link.send(answer)
