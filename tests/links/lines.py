"""What a line does to what travels on it: loses, halves, flips, repeats, swaps, delays, and adds garbage."""

import contextlib
import os
import random
import select
import threading
import tty
from collections.abc import Iterable
from dataclasses import dataclass

from firmware_protocol.fragments import INDEX, LAST
from firmware_protocol.framing import FrameDecoder, encode_frame


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Shares are of messages, 0 to 1."""

    loss: float = 0.0
    delay_s: float = 0.0
    """One message in four waits up to so long, and those behind it too."""
    garbage: float = 0.0
    repeat: float = 0.0
    chop: bool = False
    """Serial only: one byte at a time."""

    def wait_s(self, rng: random.Random) -> float:
        return rng.uniform(0, self.delay_s) if rng.random() < 1 / 4 else 0.0


class BadCable:
    """A pty between the device's and the gateway's, and a thread that passes frames on as `trouble` says."""

    def __init__(self, device_path: str, trouble: Trouble, rng: random.Random) -> None:
        self._trouble = trouble
        self._rng = rng
        self._device = os.open(device_path, os.O_RDWR | os.O_NOCTTY)
        self._gateway, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        for descriptor in (self._device, self._gateway):
            os.set_blocking(descriptor, False)
        self._wake_read, self._wake_write = os.pipe()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()
        self.lost = 0

    def close(self) -> None:
        self._stopping.set()
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._device, self._gateway, self._slave, self._wake_read, self._wake_write):
            os.close(descriptor)

    def inject(self, noise: bytes, *, to_device: bool) -> None:
        os.write(self._device if to_device else self._gateway, noise)

    def _carry(self) -> None:
        decoders = {self._gateway: FrameDecoder(), self._device: FrameDecoder()}
        other = {self._gateway: self._device, self._device: self._gateway}
        while True:
            ready, _, _ = select.select([*decoders, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            for descriptor in ready:
                with contextlib.suppress(OSError):
                    for message in decoders[descriptor].feed(os.read(descriptor, 4096)):
                        if not select.select([*decoders], [], [], 0)[0]:  # late, but never jammed by retries
                            self._stopping.wait(self._trouble.wait_s(self._rng))
                        self._write(other[descriptor], self._mangled(encode_frame(message)))

    def _mangled(self, frame: bytes) -> bytes:
        rng, trouble = self._rng, self._trouble
        noise = rng.randbytes(rng.choice([1, 7, 40, 700])) if rng.random() < trouble.garbage else b""
        if rng.random() < trouble.loss:
            self.lost += 1
            at = rng.randrange(1, len(frame) - 1)
            flipped = bytes([frame[at] ^ 1 << rng.randrange(8)])
            frame = rng.choice([b"", frame[:at], frame[:at] + flipped + frame[at + 1 :]])
        elif rng.random() < trouble.repeat:
            frame += frame
        return noise + frame

    def _write(self, descriptor: int, data: bytes) -> None:
        """Waits for a reader as a wire would not, but no longer than this line exists."""
        while data and not self._stopping.is_set():
            _, writable, _ = select.select([self._wake_read], [descriptor], [], 10)
            if not writable:
                return
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(descriptor, data[:1] if self._trouble.chop else data) :]


class BadAir:
    """A ble_bleak.Disturbance. What it does to a message is decided at its first fragment."""

    def __init__(self, trouble: Trouble, rng: random.Random) -> None:
        self._trouble = trouble
        self._rng = rng
        self._fate = {True: "pass", False: "pass"}
        self._held: dict[bool, bytes | None] = {True: None, False: None}
        self.lost = 0

    def __call__(self, fragment: bytes, *, to_device: bool) -> Iterable[tuple[float, bytes]]:
        rng = self._rng
        out = []
        delay_s = 0.0
        if fragment[0] & INDEX == 0:
            self._begin(to_device=to_device)
            delay_s = self._trouble.wait_s(rng)
            if rng.random() < self._trouble.garbage:
                out += [bytes([rng.choice([0, 3, 9, 0x83, 0xFF])]) + rng.randbytes(rng.randrange(19))]
        out += self._as_fated(fragment, to_device=to_device)
        return [(delay_s, piece) for piece in out[:1]] + [(0.0, piece) for piece in out[1:]]

    def _begin(self, *, to_device: bool) -> None:
        rng = self._rng
        self._held[to_device] = None
        self._fate[to_device] = "pass"
        if rng.random() < self._trouble.loss:
            self.lost += 1
            self._fate[to_device] = rng.choice(["drop first", "drop last", "swap", "flip"])
        elif rng.random() < self._trouble.repeat:
            self._fate[to_device] = "repeat"

    def _as_fated(self, fragment: bytes, *, to_device: bool) -> list[bytes]:
        first, last = fragment[0] & INDEX == 0, bool(fragment[0] & LAST)
        match self._fate[to_device]:
            case "drop first" if first:
                return []
            case "drop last" if last:
                return []
            case "repeat" if first or last:
                return [fragment, fragment]
            case "swap" if first:
                self._held[to_device] = fragment
                return []
            case "flip" if last:
                return [fragment[:-1] + bytes([fragment[-1] ^ 0x10])]
            case _:
                held, self._held[to_device] = self._held[to_device], None
                return [fragment] if held is None else [fragment, held]
