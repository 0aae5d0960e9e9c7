"""`bench core`: the device core alone, on this processor and this disk.

token_verify_us: signature and claims of a token. journal_append_p99_us: one signed event into the journal.
device_unlock_p95_ms: a token message received to the latch being free, GRANT and INTENT in the journal; a continuous
token, since every other way waits for a photo. The last two on a real disk, less the fdatasync measured in each run.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from dashboard.figures import Options, Report, percentiles
from device_sim.core import rights
from device_sim.core.log import EventLog, Identity
from device_sim.core.machine import Device
from device_sim.core.ports import Parts, PhotoOrder
from device_sim.core.timekeeping import Timekeeper
from device_sim.process.disk import FolderDisk, PhotoFolder
from device_sim.process.faults import Faults
from device_sim.process.identity import DeviceKey, SystemRng
from firmware_protocol import messages, pairing, tokens
from firmware_protocol.events import Sensor
from firmware_protocol.orders import Terms
from firmware_protocol.tokens import Mode, PageCheck, SealClaims, Token

RUNS: Final = 400
QUICK_RUNS: Final = 60
UNLOCK_TARGET_MS: Final = 10.0
DEVICE_ID: Final = "CB-BENCHCORE"
HEAD: Final = bytes(range(8))


def run(options: Options) -> Report:
    runs = QUICK_RUNS if options.quick else RUNS
    return Report(
        figures={
            "token_verify_us": token_verify_us(runs),
            "journal_append_p99_us": journal_append_p99_us(runs),
            "device_unlock_p95_ms": device_unlock_p95_ms(runs),
        },
        counts={"runs": runs},
        targets={"device_unlock_p95_ms": ("<=", UNLOCK_TARGET_MS)},
    )


def token_verify_us(runs: int = RUNS) -> float:
    """Median, in microseconds."""
    with tempfile.TemporaryDirectory(prefix="cinnabar-bench-") as folder:
        stand = _Stand(Path(folder))
        signed = stand.token()
        samples = [_ms(lambda: rights.authentic_token(signed, stand.device.memory)) for _ in range(runs)]
    return round(1_000 * percentiles(samples)["p50"], 1)


def journal_append_p99_us(runs: int = RUNS) -> float:
    """One SENSOR event: folded, signed, chained, appended; in microseconds, without its fdatasync."""
    with tempfile.TemporaryDirectory(prefix="cinnabar-bench-") as folder:
        stand = _Stand(Path(folder))
        log = stand.log()
        events = [Sensor(sensor="light", value=at) for at in range(runs)]
        samples = [stand.less_sync(partial(log.write, event)) for event in events]
    return round(1_000 * percentiles(samples)["p99"], 1)


def device_unlock_p95_ms(runs: int = RUNS) -> float:
    """Token message received to latch free, in milliseconds, without its fdatasyncs."""
    with tempfile.TemporaryDirectory(prefix="cinnabar-bench-") as folder:
        stand = _Stand(Path(folder))
        samples = [stand.unlock() for _ in range(runs)]
    return percentiles(samples)["p95"]


class _Clock:
    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class _TimedDisk(FolderDisk):
    """The shipped disk; how long it took to make things durable."""

    synced_ms = 0.0

    def sync(self, name: str) -> None:
        self.synced_ms += _ms(lambda: super(_TimedDisk, self).sync(name))


class _Mechanics:
    """Latch, counter, tray and tripwire: a solenoid that says when it was pulled."""

    page_present = True
    page_token = 1
    freed_at = 0.0

    def read(self) -> int:
        return 0

    def release(self) -> None:
        self.freed_at = time.perf_counter()

    def hold(self) -> None: ...

    def trip(self, sensor: str) -> None: ...

    def tripped(self) -> tuple[str, ...]:
        return ()

    def rearm(self) -> None: ...

    def start(self, order: PhotoOrder) -> None: ...

    def reach(self, point: str) -> None: ...


class _Stand:
    """A paired device with a head, on a disk of its own."""

    def __init__(self, folder: Path) -> None:
        self._rng, self._mechanics = SystemRng(), _Mechanics()
        self._disk = _TimedDisk(folder / "journal", Faults())
        self._issuer = DeviceKey(self._rng.token_bytes(32))
        self._parts = Parts(
            clock=_Clock(),
            rng=self._rng,
            disk=self._disk,
            counter=self._mechanics,
            latch=self._mechanics,
            camera=self._mechanics,
            photos=PhotoFolder(folder / "photos", Faults()),
            key=DeviceKey(self._rng.token_bytes(32)),
            tripwire=self._mechanics,
        )
        self._identity = Identity(device_id=DEVICE_ID, model="Cinnabar bench", firmware="0.1.0")
        self.device = Device(identity=self._identity, parts=self._parts, capacity=1 << 26)
        self._pair()
        self.device.head_seen(0, HEAD)

    def _ask(self, message: messages.Message) -> messages.Message:
        self.device.receive(messages.encode(message, msg_id=1))
        replies = [messages.decode(data) for data in self.device.take_outgoing()]
        return next(reply.message for reply in replies if reply.msg_id == 1)

    def _pair(self) -> None:
        terms = Terms(
            installation_id=bytes(16),
            issuer_keys=(self._issuer.public_key,) * 5,
            recovery_key=self._issuer.public_key,
            root_key=self._issuer.public_key,
            server_nonce=bytes(16),
            trace_host="seal.example.com",
        )
        self.device.press_pairing_button()
        self._ask(messages.PairCommitRequest(commitment=pairing.commitment(terms)))
        self._ask(messages.PairTermsRequest(terms=terms))
        self.device.confirm_pairing()

    def token(self) -> bytes:
        """For a fresh challenge."""
        challenge = self._ask(messages.ChallengeRequest())
        if not isinstance(challenge, messages.Challenge):
            raise TypeError(f"the device answered {challenge}")
        seal = SealClaims(
            slot=0,
            max_strokes=2,
            policy=int(Mode.CONTINUOUS) | PageCheck.NONE,
            epoch=0,
            window_s=30,
            document_digest=hashlib.sha256(b"bench").digest(),
            head_id=HEAD,
        )
        token = Token(
            device_id=DEVICE_ID,
            issued_at=1,
            not_before=1,
            expires_at=1 << 31,
            token_id=self._rng.token_bytes(16),
            seal=seal,
            nonce=challenge.nonce,
            exi_s=300,
        )
        return tokens.issue(token, key=self._issuer)

    def log(self) -> EventLog:
        """A log of its own over the same journal."""
        clock = Timekeeper(clock=self._parts.clock, rng=self._rng)
        return EventLog(
            identity=self._identity,
            journal=self.device._journal,  # noqa: SLF001 - the bench writes what the device would
            key=self._parts.key,
            counter=self._parts.counter,
            time=clock,
        )

    def less_sync(self, work: Callable[[], object]) -> float:
        """Milliseconds that `work` took beside making things durable."""
        before = self._disk.synced_ms
        took = _ms(work)
        return took - (self._disk.synced_ms - before)

    def unlock(self) -> float:
        """One grant; closed again without a press."""
        message = messages.encode(messages.TokenRequest(token=self.token()), msg_id=2)
        before, began = self._disk.synced_ms, time.perf_counter()
        self.device.receive(message)
        took = 1_000 * (self._mechanics.freed_at - began)
        synced = self._disk.synced_ms - before
        self.device.take_outgoing()
        self._ask(messages.RelockRequest(close_grant=True))
        return took - synced


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - began)
