"""Dolev-Yao in the gateway's place.

It hears every signed byte, asks headquarters in the gateway's name, speaks to every device, keeps, drops, delays,
alters, re-targets and replays, empties the outbox, swaps photos, and has a keeper who helps. It cannot sign with a key
that it does not have.
"""

import random
from typing import TYPE_CHECKING, Final

from firmware_protocol import messages
from firmware_protocol.operators import Method
from firmware_protocol.reasons import Reason
from tests.simulation.forgeries import Forgeries
from tests.simulation.headquarters import Headquarters
from tests.simulation.marks import Marks
from tests.simulation.network import Network
from tests.simulation.office import Gateway
from tests.simulation.people import ON_LEAVE
from tests.simulation.replays import Replays
from tests.simulation.stand import Stand
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth
from tests.simulation.wiretap import Wiretap

if TYPE_CHECKING:
    from collections.abc import Callable

GUESSES: Final = 6
"""One more than a device lets through."""


class Attacker:
    """What it hears is in its wiretap; `act` is one attack that it draws."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        rng: random.Random,
        truth: Truth,
        marks: Marks,
        gateway: Gateway,
        server: Headquarters,
        stands: list[Stand],
        network: Network,
    ) -> None:
        self._timeline, self._rng, self._marks = timeline, rng, marks
        self._gateway, self._stands = gateway, stands
        wire = self._wire = Wiretap(timeline=timeline, rng=rng, marks=marks, stands=stands)
        again = Replays(
            timeline=timeline, rng=rng, marks=marks, gateway=gateway, server=server, stands=stands, network=network,
            wire=wire,
        )  # fmt: skip
        false = Forgeries(
            timeline=timeline, rng=rng, truth=truth, gateway=gateway, server=server, network=network, wire=wire
        )
        wire.on_permit = again.old_photo
        self.tap = wire.tap
        self._recipes: tuple[Callable[[Stand], None], ...] = (
            again.replay, again.replay, again.keep_for_another, again.keep_for_another, again.old_photo,
            again.old_photo, false.forge, false.forge, again.foreign_receipt, again.old_token, again.old_token,
            again.events_again, again.events_again, false.forge_event, false.foreign_photo, self.disturb,
            again.old_policy, again.old_policy, again.old_page, again.over_policy, again.over_policy,
            self.empty_outbox, self.empty_outbox,
        )  # fmt: skip
        if gateway.staffed:
            self._recipes += (
                self.guess_pin, self.guess_pin, *(again.old_voucher,) * 4, again.for_another_operator,
            )  # fmt: skip

    def act(self) -> None:
        recipe = self._rng.choice(self._recipes)
        recipe(self._rng.choice(self._stands))

    def guess_pin(self, stand: Stand) -> None:
        """The PIN of somebody who is on leave."""
        for _ in range(GUESSES):
            guess = messages.OperatorRequest(operator=ON_LEAVE, method=Method.PIN, proof=self._rng.randbytes(32))
            answer = self._wire.ask(stand, guess).value
            if isinstance(answer, messages.Refused) and answer.reason is Reason.TOO_MANY_TRIES:
                self._marks.hit("pins_guessed")

    def disturb(self, stand: Stand) -> None:
        """Ask, lock."""
        if self._rng.random() < 0.5:
            self._wire.ask(stand, messages.RelockRequest(close_grant=self._rng.random() < 0.5))
        else:
            self._wire.ask(stand, messages.ChallengeRequest())

    def empty_outbox(self, _stand: Stand) -> None:
        """Another box, empty, stands where the office's was."""
        self._gateway.kill()
        self._gateway.erase()
        self._timeline.after(800, self._gateway.start)
        self._marks.hit("outbox_erased")
