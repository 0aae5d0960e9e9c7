"""Puts the real parts around the core and lets them run. The only place that picks real time and randomness."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from device_sim.core.machine import Device
from device_sim.core.memory import SLOTS
from device_sim.core.ports import Glance, NoShot, Parts, Rng, Shot
from device_sim.process.bulk import Pace, open_bulk
from device_sim.process.control import ControlLink
from device_sim.process.disk import FolderDisk, PhotoFolder, write_durably
from device_sim.process.faults import Fault, Faults, UnknownFault
from device_sim.process.heads import Heads
from device_sim.process.identity import SystemRng, load_identity, load_key
from device_sim.process.mechanics import Mechanics
from device_sim.process.meddler import Meddler
from device_sim.process.pad import InkPad
from device_sim.process.tray import Tray
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import messages
from firmware_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from device_sim.process.ble import BleLink

TICK_S: Final = 0.02
MAINS_PERCENT: Final = 100
ZERO_C_K: Final = 273
ROOM_K: Final = ZERO_C_K + 21
DEFAULT_BULK_RATE: Final = 1_000_000
"""Bytes per second, what a second USB interface of a small microcontroller brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    home: Path
    seed: int | None = None
    bulk_rate: int = DEFAULT_BULK_RATE
    dpi: int | None = None
    coder: bool = True
    """Whether a device that is made now has an inline coder."""
    ble: str | None = None
    """A Bluetooth adapter (ble.BleLink): the control link is in the air, not on a pty."""


class SteadyClock:
    """ports.Clock."""

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class SeededRng:
    """Repeatable bytes, for runs that must come out the same; never for a device that matters."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.default_rng(seed)

    def token_bytes(self, n: int) -> bytes:
        return self._source.bytes(n)


class Runner:
    """One running device. Every call into the core goes through `core()`: one at a time, its messages sent in order."""

    def __init__(self, options: Options) -> None:
        home = options.home
        home.mkdir(parents=True, exist_ok=True)
        self.faults = Faults()
        rng: Rng = SystemRng() if options.seed is None else SeededRng(options.seed)
        settings = SceneSettings() if options.dpi is None else SceneSettings(dpi=options.dpi)
        photos = PhotoFolder(home / "photos", self.faults)
        self.tray = Tray(
            Scene(settings=settings, rng=np.random.default_rng(options.seed)), photos=photos, faults=self.faults
        )
        self.mechanics = Mechanics(home / "counter", self.faults)
        self.pad = InkPad(home / "ink", self.faults)
        self.heads = Heads(home / "heads")
        self.identity = load_identity(home, rng, coder=options.coder)
        self._meddler = Meddler(self.faults, rng)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._link = self._control_link(options)
        self._device = Device(
            identity=self.identity,
            parts=Parts(
                clock=SteadyClock(),
                rng=rng,
                disk=FolderDisk(home / "journal", self.faults),
                counter=self.mechanics,
                latch=self.mechanics,
                camera=self.tray,
                photos=photos,
                key=load_key(home, rng),
                tripwire=self.faults,
                later_key=lambda generation: load_key(home, rng, generation=generation),
            ),
        )
        for slot in range(SLOTS):
            self._device.head_seen(slot, self.heads.in_slot(slot))
        pace = Pace(options.bulk_rate, self.faults)
        self._bulk = open_bulk(home / "bulk-port", photos=photos, pace=pace)
        self._home = home

    def _control_link(self, options: Options) -> "ControlLink | BleLink":
        if options.ble is None:
            return ControlLink(options.home / "control", self._received)
        from device_sim.process.ble import BleLink  # most runs are on a cable

        return BleLink(options.ble, name=self.identity.device_id, on_message=self._received)

    @contextmanager
    def core(self) -> Iterator[Device]:
        """The core, for one call; what it says is sent before the next."""
        with self._lock:
            yield self._device
            for message in self._device.take_outgoing():
                if self._meddler.lets_out(message):
                    self._link.send(message)

    def start(self) -> None:
        """The port appears and the threads run."""
        self._link.plug_in()
        for work in (lambda: self.tray.work(self._delivered), lambda: self._bulk.serve_forever(TICK_S), self._tick):
            threading.Thread(target=work, daemon=True).start()

    def announce(self, keeper_url: str) -> str:
        """The ready line, which also stays in `home`/running.json for the command line's other verbs."""
        about = {
            "device_id": self.identity.device_id,
            "control": self._link.path,
            "bulk": self._bulk.address,
            "keeper": keeper_url,
        }
        line = json.dumps(about)
        write_durably(self._home / "running.json", line.encode())
        return line

    def stop(self) -> None:
        self._stop.set()
        self.tray.stop()
        self._bulk.shutdown()
        self._bulk.server_close()
        self._link.close()
        with contextlib.suppress(OSError):
            (self._home / "running.json").unlink()

    # --- the keeper's hand --------------------------------------------------------------------------------------------

    def change_tray(self, change: Callable[[Scene], None]) -> None:
        """Raises what the scene raises; the tray's sensor tells the core at once."""
        with self.tray.scene() as scene:
            change(scene)
        with self.core() as device:
            device.tray_changed()

    def pull(self) -> bool:
        """Pull the lever. Whether the head came down."""
        presses = self.mechanics.pull()
        self._came_down(presses, seen=not (presses and self.faults.take(Fault.MISSED_PRESS)))
        return bool(presses)

    def inject(self, name: str) -> None:
        """Switch a fault on; `none` switches all off. Raises: UnknownFault."""
        base, _, point = name.partition(":")
        if base == "none":
            self.faults.clear()
            return
        if base not in set(Fault):
            raise UnknownFault(name)
        match Fault(base):
            case Fault.POWER_CUT:
                self.faults.cut_power_at(point)
            case Fault.UNPLUG:
                self._link.unplug()
            case Fault.REAPPEAR:
                self._link.plug_in()
            case Fault.COUNTER_JUMPS:
                self.mechanics.force()
                self._came_down(1)
            case Fault.COVER_OPEN | Fault.COVER_CLOSED | Fault.PRY | Fault.TILT | Fault.ERASE as act:
                self._happen(act)
            case lasting:
                self.faults.switch(lasting)

    def _happen(self, act: Fault) -> None:
        with self.core() as device:
            match act:
                case Fault.PRY:
                    device.pried()
                case Fault.TILT:
                    device.tilted()
                case Fault.ERASE:
                    device.receive(self._meddler.delete_all(device.memory, device_id=self.identity.device_id))
                case _:
                    device.cover_moved(closed=act is Fault.COVER_CLOSED)

    def fill_ink(self, level: float) -> None:
        """Raises: ValueError."""
        self.pad.fill(level)
        with self.core() as device:
            device.ink(self.pad.percent)

    def mount_head(self, slot: int, *, head_id: bytes, png: bytes, diameter_mm: float) -> None:
        """Raises: ArtworkInvalid, ValueError."""
        self.heads.mount(slot, head_id=head_id, png=png, diameter_mm=diameter_mm)
        with self.core() as device:
            device.head_seen(slot, head_id)

    def state(self) -> dict[str, Any]:
        """For people and tests beside the device."""
        with self.core() as device:
            status, memory, digits = device.status, device.memory, device.digits
        return {
            "device_id": self.identity.device_id,
            "state": status.state.name,
            "latch_free": self.mechanics.is_free,
            "counter": status.counter,
            "page_present": status.page_present,
            "page_still": bool(status.page_still),
            "cover_closed": status.cover_closed,
            "strokes_left": status.strokes_left,
            "battery": status.battery,
            "temperature_c": None if status.temperature is None else status.temperature - ZERO_C_K,
            "ink": status.ink,
            "operator": status.operator.hex() if status.operator else None,
            "pages_swept": status.pages_swept,
            "token_id": status.token_id.hex() if status.token_id else None,
            "last_seq": status.last_seq,
            "acked_seq": status.acked_seq,
            "journal_free": status.journal_free,
            "boot": memory.boot,
            "paired": memory.paired,
            "digits": digits,
            "heads": [head.hex() for head in memory.heads],
            "photos_waiting": len(memory.photos),
            "faults": self.faults.names,
            "control": self._link.path,
        }

    # --- threads ------------------------------------------------------------------------------------------------------

    def _received(self, message: bytes) -> None:
        with self.core() as device:
            if _is_hello(message):
                self._link.forget_old_bytes()
            device.receive(message)
            for played in self._meddler.after(message):
                device.receive(played)

    def _delivered(self, number: int, outcome: Shot | Glance | NoShot) -> None:
        with self.core() as device:
            device.photographed(number, outcome)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_S):
            with self.core() as device:
                device.tick()

    def _came_down(self, presses: int, *, seen: bool = True) -> None:
        """The head came down so often, with the ink it had; `seen`: the lever's switch told the device."""
        with self.core() as device:
            work = device.memory.work
        head = self.heads.artwork(work.slot if work else 0)
        for _ in range(presses):
            tone, touching = self.pad.press()
            if head is not None:
                with self.tray.scene() as scene:
                    scene.press(head, ink=tone, touching=touching)
        with self.core() as device:
            if seen:
                device.lever_pulled()
            if presses:
                device.ink(self.pad.percent)


def _is_hello(message: bytes) -> bool:
    try:
        return isinstance(messages.decode(message).message, messages.HelloRequest)
    except ProtocolError:
        return False
