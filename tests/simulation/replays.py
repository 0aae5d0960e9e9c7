"""The attacker says again what was signed before: late, twice, to another device, in another's place."""

import hashlib
import random

from firmware_protocol import events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import State
from tests.simulation.headquarters import Headquarters
from tests.simulation.marks import Marks
from tests.simulation.mechanics import Paper
from tests.simulation.network import Network
from tests.simulation.office import Gateway
from tests.simulation.peeking import voucher_in
from tests.simulation.people import ON_LEAVE
from tests.simulation.stand import Stand
from tests.simulation.timeline import Timeline
from tests.simulation.wiretap import KINDS, Wiretap


class Replays:
    """Each method is one attack on or through one device; nothing here is signed by the attacker."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        rng: random.Random,
        marks: Marks,
        gateway: Gateway,
        server: Headquarters,
        stands: list[Stand],
        network: Network,
        wire: Wiretap,
    ) -> None:
        self._timeline, self._rng, self._marks, self._wire = timeline, rng, marks, wire
        self._gateway, self._server, self._stands, self._network = gateway, server, stands, network

    def replay(self, stand: Stand) -> None:
        """Anything signed, to any device."""
        kind = self._rng.choice(KINDS)
        if heard := self._wire.heard[kind]:
            self._wire.give(stand.name, kind, self._rng.choice(heard)[1])

    def foreign_receipt(self, stand: Stand) -> None:
        """A receipt for another device's chain."""
        foreign = [data for device, data in self._wire.heard["receipt"] if device != stand.name]
        if foreign:
            self._wire.give(stand.name, "receipt", self._rng.choice(foreign))

    def old_policy(self, stand: Stand) -> None:
        """An earlier policy after a later one: out of suspension."""
        own = self._wire.of("policy", stand)
        if own:
            self._wire.give(stand.name, "policy", self._rng.choice(own))
        if self._wire.heard["time"]:
            self._wire.ask(stand, messages.HelloRequest())
            self._wire.give(stand.name, "time", self._rng.choice(self._wire.heard["time"])[1])

    def old_token(self, stand: Stand) -> None:
        """The last token again, after its grant or with another challenge out."""
        own = self._wire.of("token", stand)
        if not own:
            return
        if self._rng.random() < 0.5 and stand.state is State.LOCKED:
            self._wire.ask(stand, messages.ChallengeRequest())
        elif self._rng.random() < 0.5:
            self._wire.ask(stand, messages.RelockRequest(close_grant=True))
        self._wire.give(stand.name, "token", self._rng.choice((own[-1], self._rng.choice(own))))

    def keep_for_another(self, stand: Stand) -> None:
        """A token for one device over another's challenge; the head goes along in somebody's pocket."""
        other = self._rng.choice([each for each in self._stands if each is not stand])
        if stand.state is not State.LOCKED or stand.device is None:
            return
        wanted = [order for order in self._server.orders if order.head == other.account.head]
        if not wanted:
            return
        order = self._rng.choice(wanted)
        nonce = self._wire.challenge(stand)
        if nonce is None:
            return
        call = self._network.call(lambda: self._server.token(other.name, order.number, nonce, stand.account.operator))
        call.then(lambda: self._pocket(stand, other, nonce) if call.value is not None else None)

    def _pocket(self, stand: Stand, other: Stand, nonce: bytes) -> None:
        row = self._server.by_nonce.get((other.name, nonce))
        if row is None:
            return
        head, left = other.account.head, stand.account.head
        if head != left:
            other.mount(left)
            stand.mount(head)
        self._wire.give(stand.name, "token", row.signed)
        stand.lay(Paper(row.issued.order.document, row.issued.plan[0]))
        stand.pull()
        if head != left:
            self._timeline.after(2_000, lambda: stand.mount(left))
            self._timeline.after(2_000, lambda: other.mount(head))

    def old_photo(self, stand: Stand) -> None:
        """The approved page under the camera, another under the head: an old permit for a new photo."""
        own = self._wire.of("permit", stand)
        if not own or stand.state not in (State.GRANTED, State.PAGE_SEEN):
            return
        stand.lay(Paper(hashlib.sha256(b"what nobody approved").digest(), 1))
        seen = self._wire.ask(stand, messages.CaptureRequest())

        def give() -> None:
            self._wire.give(stand.name, "permit", own[-1])
            stand.pull()

        seen.then(give)

    def old_page(self, stand: Stand) -> None:
        """An earlier PAGE_SEEN with its photo, to get a permit for the stroke that comes now."""
        photos = self._gateway.photos
        seen = [(event, _peeked(event)) for event in self._wire.of("event", stand)]
        usable = [
            (event, photos[body.preview_digest])
            for event, body in seen
            if isinstance(body, events.PageSeen) and body.preview_digest in photos
        ]
        if usable:
            event, preview = usable[-1]
            self._network.call(lambda: self._server.permit(stand.name, event, preview))

    def over_policy(self, stand: Stand) -> None:
        """A token in hand, its policy delivered first: is the old epoch still good?"""
        order = next((order for order in self._server.orders if order.head == stand.account.head), None)
        if order is None or stand.state is not State.LOCKED:
            return
        nonce = self._wire.challenge(stand)
        if nonce is None:
            return
        call = self._network.call(lambda: self._server.token(stand.name, order.number, nonce, stand.account.operator))

        def then() -> None:
            row = self._server.by_nonce.get((stand.name, nonce))
            if row is None or not self._server.alive:
                return
            self._server.set_suspended(stand.name, suspended=False)
            if policies := self._wire.of("policy", stand):
                self._wire.give(stand.name, "policy", policies[-1])
            wait = self._wire.ask(stand, messages.TokenRequest(token=row.signed))
            if isinstance(wait.value, messages.Refused):
                self._marks.hit("token_behind_its_policy_refused")

        call.then(then)

    def old_voucher(self, stand: Stand) -> None:
        """A voucher that was used, or whose time is over, perhaps after another start of the device."""
        own = [data for data in self._wire.of("token", stand) if voucher_in(data)]
        if not own:
            return
        self._wire.ask(stand, messages.RelockRequest(close_grant=True))
        self._wire.give(stand.name, "token", self._rng.choice(own))

    def for_another_operator(self, stand: Stand) -> None:
        """A token in the name of somebody who is not there."""
        order = next((order for order in self._server.orders if order.head == stand.account.head), None)
        if order is None or stand.state is not State.LOCKED:
            return
        nonce = self._wire.challenge(stand)
        if nonce is None:
            return
        call = self._network.call(lambda: self._server.token(stand.name, order.number, nonce, ON_LEAVE))

        def then() -> None:
            row = self._server.by_nonce.get((stand.name, nonce))
            if row is not None:
                self._wire.give(stand.name, "token", row.signed)

        call.then(then)

    def events_again(self, stand: Stand) -> None:
        """Events a second time, in any order, under another device's topic."""
        heard = self._wire.heard["event"]
        for _, event in self._rng.sample(heard, min(5, len(heard))):
            self._network.up(stand.name, "", event, self._server.ledger.arrive)


def _peeked(event: bytes) -> events.Body | None:
    try:
        return events.peek(event).body
    except ProtocolError:
        return None
