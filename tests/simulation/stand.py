"""A device on its stand: the real core with its power switch, its line, its disk and the hands beside it."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from device_sim.core.log import Identity
from device_sim.core.machine import STILL_MS, Device
from device_sim.core.ports import NoShot, Parts, Shot
from firmware_protocol import events, messages, orders, pairing
from firmware_protocol.cose import SIGNATURE_SIZE
from firmware_protocol.events import ResetCause
from firmware_protocol.messages import State
from firmware_protocol.purposes import Purpose
from tests.simulation.accounts import Account, readable, records, signed_events
from tests.simulation.disk import PowerCut, SimDisk
from tests.simulation.marks import Marks
from tests.simulation.mechanics import DriftingClock, Paper, SeededRng, Shaft, Tray
from tests.simulation.people import OFFLINE_STROKES, PEOPLE, entry
from tests.simulation.swift import made
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth

CAPACITY: Final = 1 << 18
TIGHT: Final = 13_000
"""Bytes of a journal that fills within a few strokes without a receipt."""
MOST: Final = 3
"""Devices in a schedule."""
SPARE: Final = 1 << 16
"""Bytes of disk beyond what the journal may use."""
_SIGNATURES: Final = 512
_OPEN: Final = (State.UNLOCKED, State.PRESSED)


class Key:
    """An Ed25519 key made from a name. The same bytes have the same signature (RFC 8032): it is made once."""

    def __init__(self, name: str) -> None:
        self.public_key, self._secret = crypto_sign_seed_keypair(hashlib.sha256(name.encode()).digest())
        self.sign = lru_cache(maxsize=_SIGNATURES)(self._sign)

    def _sign(self, data: bytes) -> bytes:
        signature = crypto_sign(data, self._secret)[:SIGNATURE_SIZE]
        made(self.public_key, signature, data)
        return signature


ISSUERS: Final = tuple(Key(purpose) for purpose in orders.ORDER_PURPOSES)
RECOVERY, ROOT = Key("recovery"), Key("root")
TERMS: Final = orders.Terms(
    installation_id=bytes(16),
    issuer_keys=tuple(key.public_key for key in ISSUERS),
    recovery_key=RECOVERY.public_key,
    root_key=ROOT.public_key,
    server_nonce=b"n" * 16,
    trace_host="seal.example",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One device as it left the factory and was paired, its events in the ledger: its key, its head, its journal."""

    identity: Identity
    key: Key
    head: bytes
    journal: bytes


@cache
def model(number: int, head_number: int, *, staffed: bool) -> Model:
    """Made once in a process: pairing is not what the schedules are about."""
    key, head = Key(f"device {number}"), hashlib.sha256(b"head%d" % head_number).digest()[:8]
    identity = Identity(device_id=f"CB-SIM{number:04}", model="simulation", firmware="1")
    disk = SimDisk(random.Random(number), capacity=CAPACITY, on_durable=lambda *_: None)
    timeline = Timeline()
    shaft = Shaft(on_release=lambda: None, on_press=lambda _: None)
    tray = Tray(timeline, random.Random(0), name="", taken=lambda *_: None, forgotten=lambda _: None)
    parts = Parts(
        clock=DriftingClock(timeline, ppm=0),
        rng=SeededRng(random.Random(number)),
        disk=disk,
        counter=shaft,
        latch=shaft,
        camera=tray,
        photos=tray,
        key=key,
        tripwire=_NoWire(),
    )
    device = Device(identity=identity, parts=parts)
    device.press_pairing_button()
    device.receive(messages.encode(messages.PairCommitRequest(commitment=pairing.commitment(TERMS)), msg_id=1))
    device.receive(messages.encode(messages.PairTermsRequest(terms=TERMS), msg_id=2))
    device.confirm_pairing()
    device.head_seen(0, head)
    if staffed:
        _staff(device, identity.device_id)
    known = device.memory
    receipt = orders.Receipt(
        device_id=identity.device_id, generation=1, up_to_seq=known.seq, chain_hash=known.chain_hash, photo_digests=()
    )
    signed = orders.sign(receipt, key=_issuer(Purpose.RECEIPT))
    device.receive(messages.encode(messages.ReceiptRequest(receipt=signed), msg_id=5))
    return Model(identity=identity, key=key, head=head, journal=disk.durable)


def _issuer(purpose: Purpose) -> Key:
    return ISSUERS[orders.ORDER_PURPOSES.index(purpose)]


def _staff(device: Device, name: str) -> None:
    """It knows its people, and may take vouchers."""
    key = _issuer(Purpose.POLICY)
    policy = orders.Policy(device_id=name, epoch=1, suspended=False, max_offline_strokes=OFFLINE_STROKES)
    device.receive(messages.encode(messages.PolicyRequest(policy=orders.sign(policy, key=key)), msg_id=3))
    roster = orders.Roster(device_id=name, number=1, part=0, parts=1, entries=tuple(entry(each) for each in PEOPLE))
    device.receive(messages.encode(messages.RosterRequest(roster=orders.sign(roster, key=key)), msg_id=4))


def make_models() -> None:
    """Every device that a schedule can have, each with its own head and with the one that all share."""
    for number in range(MOST):
        for head in {number, 0}:
            for staffed in (False, True):
                model(number, head, staffed=staffed)


class _NoWire:
    def reach(self, point: str) -> None:
        """Nothing happens on the day of pairing."""


class Stand:
    """One device, on or off. `out(data)` takes what it says; `changed(on)` hears of its power."""

    def __init__(
        self,
        number: int,
        *,
        head: int,
        staffed: bool,
        timeline: Timeline,
        rng: random.Random,
        truth: Truth,
        marks: Marks,
        capacity: int,
    ) -> None:
        made = model(number, head, staffed=staffed)
        self.key, self.identity = made.key, made.identity
        self.name = made.identity.device_id
        self.account = truth.accounts[self.name] = Account(device_id=self.name, head=made.head)
        self.device: Device | None = None
        self.out: Callable[[bytes], None] = lambda _: None
        self.changed: Callable[[bool], None] = lambda _: None
        self.check: Callable[[], None] = lambda: None
        self.cut_at = ""
        self._timeline, self._rng, self._truth = timeline, rng, truth
        self.marks = self._marks = marks
        self._nonces: set[bytes] = set()
        self._tick_ms = -1
        self.shaft = Shaft(on_release=self._released, on_press=self._pressed)
        self.tray = Tray(timeline, rng, name=self.name, taken=self._taken, forgotten=self._forgotten)
        self.capacity = capacity
        self.disk = SimDisk(rng, capacity=capacity + SPARE, on_durable=self._durable)
        self.disk.on_full = lambda: truth.full(self.account)
        self.disk.durable = made.journal
        self._parts = Parts(
            clock=DriftingClock(timeline, ppm=rng.randint(-50, 50)),
            rng=SeededRng(rng),
            disk=self.disk,
            counter=self.shaft,
            latch=self.shaft,
            camera=self.tray,
            photos=self.tray,
            key=made.key,
            tripwire=self,
        )
        truth.durable(self.account, made.journal, whole=False, now=False)
        self.account.acked = self.account.last_seq

    # --- power --------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Power on."""
        if self.device is not None:
            return
        self.account.nonce = None
        try:
            self.device = Device(
                identity=self.identity, parts=self._parts, cause=ResetCause.POWER, capacity=self.capacity
            )
        except PowerCut:
            self._marks.hit("cut_while_booting")
            self.cut()
            return
        self.touch(lambda device: device.head_seen(0, self.account.head or None))
        if self.device is not None:
            self.changed(True)

    def cut(self) -> None:
        """The power goes, now; somebody switches it on again within a minute."""
        torn = self.disk.pending
        if self.account.grant is not None and self.account.grant.token.seal.voucher_counter is not None:
            self._marks.hit("cut_in_a_voucher")
        if self.account.operator is not None:
            self._marks.hit("cut_with_somebody_signed_in")
        self.disk.power_lost()
        self._truth.durable(self.account, torn[: self.disk.kept], whole=False, now=False)
        self._mark_cut(torn)
        self.tray.power_lost()
        self.device, self.cut_at = None, ""
        self.account.alarm = False  # what was only in RAM; a head that stays away is seen at the next start
        if torn and self._rng.random() < 0.25:
            self.disk.tear_in = 1  # and once more, while the torn journal is written anew
        if self.shaft.free and self._rng.random() < 0.5:
            self._timeline.after(self._rng.randint(5, 60), self._pull_in_the_dark)
        else:
            self.shaft.hold()
        self._timeline.after(self._rng.choice((1_000, 2_000, 6_000)), self.boot)
        self.changed(False)

    def _mark_cut(self, torn: bytes) -> None:
        intent = self.account.intent
        if intent is not None and not torn:
            self._marks.hit("cut_between_press_and_done" if intent.presses else "cut_between_intent_and_press")
        if self.disk.lost_rename:
            self.disk.lost_rename = False
            self._marks.hit("rename_lost")
        if torn and self.disk.kept < len(torn):
            for signed in signed_events(records(torn)):
                match readable(signed).body:
                    case events.Intent():
                        self._marks.hit("intent_torn")
                    case events.Done():
                        self._marks.hit("done_torn")

    def reach(self, point: str) -> None:
        """ports.Tripwire."""
        if point == self.cut_at:
            raise PowerCut

    # --- what happens to it -------------------------------------------------------------------------------------------

    def touch(self, what: Callable[[Device], object]) -> None:
        """Something happens to the device, if it is on; then it speaks, and gets its next tick."""
        if self.device is None:
            return
        failing = self.disk.failed
        try:
            what(self.device)
        except PowerCut:
            self.cut()
            return
        if self.disk.failed and not failing and self.account.intent is not None:
            self._marks.hit("write_failed_in_a_stroke")
        for data in self.device.take_outgoing():
            self._heard(data)
        self._plan_tick()
        self.check()

    def receive(self, data: bytes) -> None:
        self.touch(lambda device: device.receive(data))

    def _heard(self, data: bytes) -> None:
        message = messages.decode(data).message
        if isinstance(message, messages.Challenge) and message.nonce not in self._nonces:
            self._nonces.add(message.nonce)
            self.account.nonce = message.nonce
        self.out(data)

    def _plan_tick(self) -> None:
        """50 ms apart in life; here as often as a deadline can matter."""
        device = self.device
        if device is None:
            return
        state = device.state
        delay = 1_500 if state in _OPEN else 20_000 if state is State.LOCKED else 8_000
        if state is State.FAULT:
            delay = 1_050
        due = self._timeline.now_ms + delay
        if not self._timeline.now_ms < self._tick_ms <= due:
            self._tick_ms = due
            self._timeline.after(delay, lambda: self._tick(due))

    def _tick(self, due: int) -> None:
        if due == self._tick_ms:
            self.touch(lambda device: device.tick())

    # --- hands --------------------------------------------------------------------------------------------------------

    def lay(self, paper: Paper | None) -> None:
        """A sheet is laid, or taken away."""
        seen = self.state
        if seen is State.UNLOCKED:
            self._marks.hit("page_moved_while_unlocked")
        elif seen is State.PAGE_SEEN and paper is not None and paper != self.tray.paper:
            self._marks.hit("page_swapped_after_photo")
        self.tray.lay(paper)
        if self.device is None:
            self.shaft.hold()  # whoever moves paper has no hand on the lever
        self.touch(lambda device: device.tray_changed())
        if paper is not None:
            self._timeline.after(STILL_MS + 10, lambda: self.touch(lambda device: device.tick()))

    def pull(self) -> None:
        """The lever; the device's own sensor sees it a moment later."""
        self.shaft.pull()
        self._timeline.after(self._rng.randint(0, 40), lambda: self.touch(lambda device: device.lever_pulled()))

    def mount(self, head: bytes) -> None:
        """Another head in the slot; empty bytes: none."""
        if self.device is not None and self.device.memory.token is not None:
            self._marks.hit("head_swapped_with_an_open_grant")
        if self.device is not None and self.account.head not in (b"", head):
            self.account.alarm = not self.account.tampered
        self.account.head = head
        if self.device is None:
            self.shaft.hold()  # as above
        self.touch(lambda device: device.head_seen(0, head or None))
        if self.state is State.FAULT:
            self._marks.hit("head_swapped_in_a_fault")

    @property
    def state(self) -> State | None:
        """None while it is off."""
        return None if self.device is None else self.device.state

    def _pull_in_the_dark(self) -> None:
        """The latch still held its last release; the hand did not see that the light went out."""
        if self.device is None and self.shaft.pull():
            self._marks.hit("pressed_in_the_dark")
        if self.device is None:
            self.shaft.hold()

    # --- what the simulator hears of it -------------------------------------------------------------------------------

    def _released(self) -> None:
        free = self.capacity - len(self.disk.durable)
        self._truth.released(self.account, free=free, pending=bool(self.disk.pending))

    def _pressed(self, presses: int) -> None:
        self._truth.pressed(self.account, presses, self.tray.paper)

    def _durable(self, chunk: bytes, whole: bool, fresh: bool) -> None:  # noqa: FBT001 - a callback
        self._truth.durable(self.account, chunk, whole=whole, now=fresh, counter=self.shaft.count)

    def _taken(self, number: int, outcome: Shot | NoShot) -> None:
        self.touch(lambda device: device.photographed(number, outcome))

    def _forgotten(self, digest: bytes) -> None:
        self._truth.photo_forgotten(self.account, digest)
