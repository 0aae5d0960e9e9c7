"""Random days: keeper, gateway, attacker and power do what they like, and the invariants hold after every step."""

import contextlib
import os
import random
from collections.abc import Callable

from device_sim.core import records
from device_sim.core.folding import remember
from device_sim.core.journal import FILE
from device_sim.core.memory import EMPTY
from device_sim.core.work import SAMPLE_STROKES
from firmware_protocol import events, messages, operators
from firmware_protocol.cose import keyring
from firmware_protocol.events import Outcome
from firmware_protocol.messages import State
from firmware_protocol.operators import Entry, Method
from firmware_protocol.orders import ServiceKind
from firmware_protocol.tokens import Mode
from tests.device_sim.hardware import PowerCut
from tests.device_sim.installation import DEVICE_KEY, STRANGER
from tests.device_sim.world import World

DAYS = int(os.environ.get("CINNABAR_DAYS", "12"))
STEPS = 60
PROOF = b"p" * 32
ANN = Entry(operator=b"ann.", method=Method.PIN, salt=b"saltsalt", verifier=operators.verifier(PROOF))


class Day:
    """One world and what went over its line, so that anything can be replayed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.world = World()
        self.told: dict[int, bytes] = {}
        self.recorded: list[messages.Message] = []
        self.marks: set[str] = set()
        self.check()

    def step(self) -> None:
        action = self.choose()
        if self.rng.random() < 0.04:
            self.world.disk.bytes_left = self.rng.randrange(1, 900)
        try:
            with contextlib.suppress(Refused):
                action()
        except PowerCut:
            self.marks.add(f"cut in {action.__name__}")
            self.reboot()
        self.world.disk.bytes_left = None
        self.check()

    def choose(self) -> Callable[[], object]:
        """Mostly work, some trouble; a day without presses proves nothing."""
        weights: dict[Callable[[], object], int] = {
            self.token: 6, self.lay: 3, self.capture: 2, self.permit: 10, self.pull: 12, self.receipt: 3, self.wait: 2,
            self.move: 1, self.relock: 1, self.replay: 3, self.forge: 1, self.bounce: 1, self.camera: 1, self.reboot: 1,
            self.spoil: 2, self.sweep: 3, self.tamper: 1, self.clear: 2, self.change_head: 1, self.sign_in: 1,
        }  # fmt: skip
        return self.rng.choices(list(weights), list(weights.values()))[0]

    # --- actions ------------------------------------------------------------------------------------------------------

    def send(self, message: messages.Message) -> messages.Message:
        self.recorded.append(message)
        answer = self.world.ask(message)
        if isinstance(answer, messages.Refused):
            raise Refused
        return answer

    def token(self) -> None:
        challenge = self.send(messages.ChallengeRequest())
        assert isinstance(challenge, messages.Challenge)
        strokes = self.rng.randrange(1, 4)
        policy = self.rng.choice([0, 0, 0, 0, 1, 2, int(Mode.BATCH), 2 | Mode.CONTINUOUS, int(Mode.SWEEP)])
        pages = {"first_page": 1, "last_page": 2} if policy & Mode.SWEEP else {}
        memory = self.world.device.memory
        token = self.world.token(
            nonce=challenge.nonce,
            max_strokes=strokes,
            policy=policy,
            head_id=memory.heads[0],
            epoch=memory.epoch,
            **pages,  # type: ignore[arg-type]
        )
        self.send(messages.TokenRequest(token=token))
        self.marks.add("granted")

    def sweep(self) -> None:
        if self.world.device.state is State.SWEEPING:
            for _ in range(2):
                self.lay()
                self.capture()
            self.send(messages.SweepEndRequest())
            self.marks.add("swept")

    def spoil(self) -> None:
        spent = self.world.device.memory.spent
        if spent:
            token_id, stroke = self.rng.choice(spent[-3:]), self.rng.randrange(1, 3)
            request = self.rng.choice([messages.SpoilRequest, messages.LabelRequest])
            self.send(request(token_id=token_id, stroke=stroke))
            self.marks.add("spoiled or labelled")

    def tamper(self) -> None:
        self.rng.choice([self.world.device.pried, self.world.device.tilted])()
        self.marks.add("tampered")

    def clear(self) -> None:
        device = self.world.device
        if device.state is State.TAMPERED:
            device.cover_moved(closed=True)
            self.world.serve(ServiceKind.CLEAR_TAMPER, epoch=device.memory.epoch + 1)
            self.marks.add("cleared")

    def change_head(self) -> None:
        """A whole service, or as far as it comes."""
        world, device = self.world, self.world.device
        new = self.rng.randbytes(8)
        if device.state is not State.LOCKED:
            return
        world.serve(ServiceKind.CHANGE_HEAD, epoch=device.memory.epoch + 1, slot=0, head_id=new)
        device.cover_moved(closed=False)
        device.head_seen(0, new)
        device.cover_moved(closed=True)
        self.lay()
        self.capture()
        self.pull()
        self.marks.add("head changed")

    def sign_in(self) -> None:
        number = (self.world.device.memory.roster_number or 0) + 1
        self.send(messages.RosterRequest(roster=self.world.roster(ANN, number=number)))
        self.send(messages.OperatorRequest(operator=ANN.operator, method=int(ANN.method), proof=PROOF))
        self.marks.add("signed in")

    def capture(self) -> None:
        self.seen = self.send(messages.CaptureRequest())

    def permit(self) -> None:
        self.capture()
        assert isinstance(self.seen, messages.Captured)
        if self.world.device.state is State.PAGE_SEEN:
            self.send(messages.PermitRequest(permit=self.world.permit(self.seen)))
            self.marks.add("unlocked")

    def pull(self) -> None:
        if self.world.pull():
            self.marks.add("pressed")

    def lay(self) -> None:
        self.world.lay()

    def move(self) -> None:
        self.world.move()

    def wait(self) -> None:
        self.world.wait(self.rng.choice([50, 1_000, 1_000, 40_000, 600_000]))

    def relock(self) -> None:
        self.send(messages.RelockRequest(close_grant=self.rng.random() < 0.5))

    def replay(self) -> None:
        if self.recorded:
            self.world.ask(self.rng.choice(self.recorded))

    def forge(self) -> None:
        self.send(messages.TokenRequest(token=self.world.token(nonce=bytes(16), key=STRANGER)))

    def receipt(self) -> None:
        memory = self.world.device.memory
        up_to = self.rng.randint(memory.acked_seq + 1, memory.seq) if memory.seq > memory.acked_seq else memory.seq
        if up_to > memory.acked_seq:
            self.send(messages.ReceiptRequest(receipt=self.world.receipt(up_to=up_to, photos=memory.photos[:2])))

    def bounce(self) -> None:
        self.world.shaft.bounces = 1

    def camera(self) -> None:
        self.world.tray.fails = self.rng.random() < 0.3

    def reboot(self) -> None:
        self.world.disk.bytes_left = None
        self.world.boot()

    # --- invariants ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        world, memory = self.world, self.world.device.memory
        folded = EMPTY
        for record in records.read(world.disk.read(FILE)).records:
            folded = remember(folded, record)
        assert folded == memory
        if memory.tampered:
            assert not world.shaft.free
        if world.shaft.free:  # an INTENT is durable before the latch moves
            assert world.device.state is State.UNLOCKED
            assert folded.intent is not None
        if world.device.state in (State.LOCKED, State.GRANTED, State.PAGE_SEEN):
            assert memory.counted == world.shaft.count
            assert not world.shaft.free
        for seq in range(memory.acked_seq + 1, memory.seq + 1):
            data = world.event_bytes(seq)
            assert self.told.setdefault(seq, data) == data

    def check_the_end(self) -> None:
        """The whole story as a ledger reads it: chain, presses, no token with more strokes than it was good for."""
        self.reboot()
        self.check()
        presses, before, previous = 0, 0, events.FIRST_PREVIOUS
        used: dict[bytes, int] = {}
        limit: dict[bytes, int] = {}
        for seq in range(1, max(self.told) + 1):
            event = events.verify(self.told[seq], keys=keyring(DEVICE_KEY.public_key))
            assert (event.header.seq, event.header.previous) == (seq, previous)
            previous = events.chain_hash(self.told[seq])
            match event.body:
                case events.Grant(token_id=token_id, max_strokes=strokes):
                    assert token_id not in limit
                    limit[token_id] = strokes
                case events.Service(order_digest=order):
                    limit[order[:16]] = SAMPLE_STROKES
                case events.Intent():
                    before = event.header.counter
                case events.Done(token_id=token_id) | events.Settled(token_id=token_id, outcome=Outcome.RECOVERED):
                    used[token_id] = used.get(token_id, 0) + 1
                    presses += 1
                case events.Settled(token_id=token_id, outcome=Outcome.UNKNOWN):
                    used[token_id] = used.get(token_id, 0) + 1
                    presses += event.header.counter - before
                case events.Cancelled(token_id=token_id, returned=False):
                    used[token_id] = used.get(token_id, 0) + 1
                    presses += event.header.counter - before
                case events.ExtraStroke(strokes=strokes):
                    presses += strokes
        assert presses == self.world.shaft.count
        assert all(count <= limit[token_id] for token_id, count in used.items())


class Refused(Exception):
    """The device said no; the day goes on."""


def test_random_days_keep_every_account(seed: int) -> None:
    marks: set[str] = set()
    presses = 0
    for number in range(DAYS):
        day = Day(random.Random(seed + number))
        for _ in range(STEPS):
            day.step()
        day.check_the_end()
        marks |= day.marks
        presses += day.world.shaft.count
    print(f"{DAYS} days, {presses} presses, {len(marks)} marks")  # noqa: T201 - the counts are the result
    assert {"granted", "unlocked", "pressed", "tampered", "cleared", "signed in"} <= marks
    assert presses > DAYS
    assert any(mark.startswith("cut in") for mark in marks)
