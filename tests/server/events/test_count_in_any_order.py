"""However reports are lost, late, or not yet taken in: no place gets a second imprint, and at the end nothing is stuck.

One honest device, its own rules in a few lines, and everything of headquarters that counts: issuing, the ledger's
admission with its gaps, the projection, spoiled sheets. What happens next is drawn by lot.
"""

import random
from collections import Counter
from typing import Final

from firmware_protocol.events import Cancelled, Cause, Intent, Outcome, Refusal, Settled, TimeSet
from firmware_protocol.reasons import Reason
from server.core.clock import FixedClock
from server.events import service
from server.tokens import service as tokens
from server.tokens.errors import DeviceMustReport, NotReady, StillOpen, StrokesUsedUp
from server.tokens.schemas import StrokeState, TokenRead
from tests.server.office import Office
from tests.server.world import Company

REQUESTS: Final = 40
STEPS: Final = 30
TOKEN: Final = 5
LEASE_S: Final = 601


class Story:
    """One request, stamped by a device whose reports go astray. `marks`: imprints on sheets that still count."""

    def __init__(self, office: Office, company: Company, clock: FixedClock, rng: random.Random) -> None:
        self.office, self.company, self.clock, self.rng = office, company, clock, rng
        self.request = company.approved(form={"copies": rng.randint(1, 3), "spares": rng.randint(1, 3)})
        self.on_the_way: dict[bytes, TokenRead] = {}  # by challenge: tokens, any of which may arrive, again too
        self.challenge: bytes | None = None
        self.granted: TokenRead | None = None
        self.used = 0
        self.numbers: list[int] = []  # strokes of the grant that are left
        self.marks: Counter[int] = Counter()
        self.consumed = 0
        self.late: list[bytes] = []
        self.ranges: list[tuple[int, int]] = []

    def ask(self) -> None:
        nonce = self.rng.randbytes(16)
        try:
            out = self.office.token(self.request, nonce=nonce)
        except (StillOpen, DeviceMustReport, StrokesUsedUp, NotReady):
            return
        with self.office.run.db.read() as db:
            issued = tokens.token(db, self.company.everywhere, out.token_id)
        assert issued is not None
        self.on_the_way[nonce] = issued
        self.challenge = nonce

    def token_arrives(self) -> None:
        """Mostly the newest; perhaps late, perhaps for the second time."""
        if not self.on_the_way:
            return
        sent = list(self.on_the_way.items())
        nonce, out = sent[-1] if self.rng.random() < 0.8 else self.rng.choice(sent)
        mine = nonce == self.challenge and self.granted is None and not self.over(out)
        self.challenge = None
        if not mine:
            self.office.pen.write(Refusal(message_type=TOKEN, reason=Reason.WRONG_NONCE, token_id=out.token_id))
            return
        self.granted, self.used, self.numbers = out, 0, list(range(1, out.strokes + 1))
        self.office.grant(out)

    def press(self) -> None:
        """The count of a use is durable before the press: a crash may hide the end of it, never the use."""
        if self.granted is None or not self.numbers or self.over(self.granted):
            return
        out, stroke = self.granted, self.numbers.pop(0)
        place = out.plan[stroke - 1]
        pen, end = self.office.pen, self.rng.randrange(6)
        self.used, self.consumed = self.used + 1, self.consumed + 1
        if end < 3:
            self.office.press(out, stroke)
            self.marks[place] += 1
            return
        pen.write(Intent(token_id=out.token_id, stroke=stroke))
        if end == 3:
            pen.counter += 1
            self.marks[place] += 1
            outcome = self.rng.choice([Outcome.RECOVERED, Outcome.UNKNOWN])
            code = self.rng.randbytes(20) if outcome is Outcome.RECOVERED else None
            pen.write(Settled(token_id=out.token_id, stroke=stroke, outcome=outcome, trace_code=code))
        elif end == 4:
            pen.write(Cancelled(token_id=out.token_id, stroke=stroke, cause=Cause.BY_KEEPER, returned=False))
        else:
            pen.write(Cancelled(token_id=out.token_id, stroke=stroke, cause=Cause.BY_KEEPER, returned=True))
            self.used, self.consumed = self.used - 1, self.consumed - 1
            self.numbers.insert(0, stroke)

    def close(self) -> None:
        if self.granted is not None:
            self.office.close(self.granted, self.used)
            self.granted = None

    def time_passes(self) -> None:
        self.clock.advance(LEASE_S)
        self.office.pen.time_ms = round(self.clock.now().timestamp() * 1000)
        self.close()  # the device's own clock ends it
        if self.rng.random() < 0.7:
            self.office.pen.write(TimeSet(unix_ms=self.office.pen.time_ms))

    def reports_arrive(self) -> None:
        """Some of them, in any order."""
        self.late += self.office.pen.written
        self.rng.shuffle(self.late)
        keep = self.rng.randint(0, len(self.late))
        self.late, self.office.pen.written[:] = self.late[:keep], self.late[keep:]
        self.deliver()

    def deliver(self) -> None:
        self.office.projected.clear()
        self.office.deliver()
        self.ranges += self.office.projected

    def taken_in(self) -> None:
        """One batch of what the ledger has."""
        if self.ranges:
            first, last = self.ranges.pop(0)
            service.project(self.office.run, first=first, last=last)

    def sheet_is_cancelled(self) -> None:
        """By a person, with a press that headquarters knows of."""
        with self.office.run.db.write() as db:
            left = tokens.left(db, self.office.run, self.request)
            for token in tokens.tokens_of(db, self.company.everywhere, self.request.id) if left.spares else []:
                for stroke, place in enumerate(token.plan, 1):
                    state = tokens.states(db, self.request.tenant_id, self.request.id).get(place)
                    if state is StrokeState.DONE and not tokens.spoiled(db, token.token_id, stroke):
                        digests = (self.rng.randbytes(32), self.rng.randbytes(32))
                        tokens.spoil(
                            db,
                            self.office.run,
                            token_id=token.token_id,
                            stroke=stroke,
                            photos=digests,
                            leaf_hash=bytes(32),
                        )
                        self.marks[place] -= 1
                        return

    def settle(self) -> None:
        """Everything arrives at last."""
        self.time_passes()
        self.office.pen.write(TimeSet(unix_ms=self.office.pen.time_ms or 0))
        self.office.pen.written[:0] = self.late
        self.late = []
        self.deliver()
        while self.ranges:
            self.taken_in()

    def over(self, out: TokenRead) -> bool:
        return out.lease_until <= self.clock.now()

    def check(self) -> None:
        assert self.consumed <= self.request.strokes + self.request.spares
        assert max(self.marks.values(), default=0) <= 1, self.marks


def test_no_place_is_stamped_twice_and_nothing_is_stuck(
    office: Office, company: Company, clock: FixedClock, rng: random.Random
) -> None:
    for _ in range(REQUESTS):
        office.keeper_signs_in()
        story = Story(office, company, clock, rng)
        acts = (
            [story.ask, story.token_arrives, story.press] * 4
            + [story.reports_arrive, story.taken_in, story.close] * 3
            + [story.time_passes, story.sheet_is_cancelled]
        )
        for _ in range(STEPS):
            rng.choice(acts)()
            story.check()
        story.settle()
        with office.run.db.read() as db:
            left = tokens.left(db, office.run, story.request)
        assert (left.open_token, left.silent_token) == (None, None)
        done = sum(story.marks.values())
        assert len(left.plan) == story.request.strokes - done
        assert left.strokes == min(len(left.plan), story.request.strokes + story.request.spares - story.consumed)
