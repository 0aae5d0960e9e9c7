"""However reports are lost, late, or not yet taken in: no place gets a second imprint, and at the end nothing is stuck.

One honest device, its own rules in a few lines, and everything of headquarters that counts: issuing, the ledger's
admission with its gaps, the projection, spoiled sheets. What happens next is drawn by lot.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest

from firmware_protocol.events import Cancelled, Cause, Intent, Outcome, Refusal, Settled, TimeSet
from firmware_protocol.reasons import Reason
from server.core.clock import FixedClock
from server.events import service
from server.tokens import service as tokens
from server.tokens import store
from server.tokens.errors import DeviceMustReport, NotReady, StillOpen, StrokesUsedUp
from server.tokens.schemas import StrokeState, TokenRead
from tests.server.office import Office
from tests.server.world import Company

REQUESTS: Final = 15
ROUNDS: Final = 10
TOKEN: Final = 5
LEASE_S: Final = 601


class Story:
    """One request, stamped by a device whose reports go astray. `marks`: imprints on sheets that still count."""

    def __init__(self, office: Office, company: Company, clock: FixedClock, rng: random.Random) -> None:
        self.office, self.company, self.clock, self.rng = office, company, clock, rng
        self.request = company.approved(form={"copies": rng.randint(1, 4), "spares": rng.randint(1, 4)})
        self.on_the_way: dict[bytes, TokenRead] = {}  # by challenge: tokens, any of which may arrive, again too
        self.challenge: bytes | None = None
        self.newest: bytes | None = None  # on its way, has not arrived at all
        self.granted: TokenRead | None = None
        self.used = 0
        self.numbers: list[int] = []  # strokes of the grant that are left
        self.marks: Counter[int] = Counter()
        self.consumed = 0
        self.late: list[bytes] = []
        self.ranges: list[tuple[int, int]] = []

    def acts(self) -> tuple[tuple[Callable[[], None], float], ...]:
        """One round, each part of which may be left out."""
        return (
            (self.ask, 1.0),
            (self.token_arrives, 0.9),
            *((self.press, chance) for chance in (0.9, 0.7, 0.5)),
            (self.token_arrives, 0.3),
            (self.close, 0.6),
            (self.reports_arrive, 0.8),
            *((self.taken_in, chance) for chance in (0.8, 0.5)),
            (self.sheet_is_cancelled, 0.15),
            (self.time_passes, 0.3),
            (self.device_speaks, 0.8),
            (self.reports_arrive, 0.6),
            *((self.taken_in, chance) for chance in (0.8, 0.5)),
        )

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
        self.challenge = self.newest = nonce

    def token_arrives(self) -> None:
        """The newest, once; seldom an old one, late or for the second time."""
        if self.newest is not None and self.rng.random() < 0.9:
            nonce, self.newest = self.newest, None
        elif self.on_the_way and self.rng.random() < 0.15:
            nonce = self.rng.choice(list(self.on_the_way))
        else:
            return
        out = self.on_the_way[nonce]
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

    def device_speaks(self) -> None:
        self.office.pen.write(TimeSet(unix_ms=self.office.pen.time_ms or 0))

    def reports_arrive(self) -> None:
        """Some of them, in any order."""
        self.late += self.office.pen.written
        self.rng.shuffle(self.late)
        keep = min(len(self.late), self.rng.choice([0, 0, 0, 1, 2, 5]))
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
                    use = store.use(db, token.token_id, stroke)
                    if use is not None and use.state == StrokeState.DONE.value:
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
        self.device_speaks()
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
        for _ in range(ROUNDS):
            for act, chance in story.acts():
                if rng.random() < chance:
                    act()
                    story.check()
        story.settle()
        with office.run.db.read() as db:
            left = tokens.left(db, office.run, story.request)
        assert (left.open_token, left.silent_token) == (None, None)
        done = sum(story.marks.values())
        assert len(left.plan) == story.request.strokes - done
        assert left.strokes == min(len(left.plan), story.request.strokes + story.request.spares - story.consumed)


def test_a_grant_in_the_log_counts_before_it_is_taken_in(office: Office, company: Company) -> None:
    """The refusal of a second copy of the token overtook the GRANT of the first, and is taken in before it."""
    request = company.approved()
    out = office.token(request)
    grant = office.grant(out)
    office.pen.written.clear()
    office.pen.write(Refusal(message_type=TOKEN, reason=Reason.WRONG_NONCE, token_id=out.token_id))
    office.projected.clear()
    office.deliver()
    office.pen.written.append(grant)
    office.deliver()
    (first, last), _of_the_grant = office.projected
    service.project(office.run, first=first, last=last)
    with pytest.raises(StillOpen):
        office.token(request)
