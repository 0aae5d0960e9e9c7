"""Dolev-Yao in the gateway's place.

It hears every signed byte, asks headquarters in the gateway's name, speaks to every device, keeps, drops, delays,
alters, re-targets and replays, empties the outbox, swaps photos, and has a keeper who helps. It cannot sign with a key
that it does not have.
"""

import dataclasses
import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from firmware_protocol import events, messages, orders, tokens
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import Message, State
from firmware_protocol.operators import Method
from firmware_protocol.orders import Permit, Policy, Receipt, SignedTime
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import SealClaims, Token
from tests.simulation.headquarters import Headquarters
from tests.simulation.marks import Marks
from tests.simulation.mechanics import Paper
from tests.simulation.network import Network
from tests.simulation.office import Gateway
from tests.simulation.peeking import voucher_in
from tests.simulation.people import ON_LEAVE
from tests.simulation.stand import ISSUERS, Key, Stand
from tests.simulation.timeline import Timeline, Wait
from tests.simulation.truth import Truth

KINDS: Final = ("token", "permit", "receipt", "policy", "time")
_REQUEST: Final[dict[str, Callable[[bytes], Message]]] = {
    "token": lambda data: messages.TokenRequest(token=data),
    "permit": lambda data: messages.PermitRequest(permit=data),
    "receipt": lambda data: messages.ReceiptRequest(receipt=data),
    "policy": lambda data: messages.PolicyRequest(policy=data),
    "time": lambda data: messages.TimeRequest(time=data),
}
_REFUSED: Final = {
    Reason.REPLAYED: "token_replayed_to_its_device",
    Reason.UNKNOWN_KEY: "forged_order_refused",
    Reason.BAD_SIGNATURE: "forged_order_refused",
    Reason.WRONG_CHAIN: "receipt_of_another_chain_refused",
}
_OF_VOUCHERS: Final = {
    Reason.VOUCHER_SPENT: "voucher_twice_refused",
    Reason.OPERATOR_NEEDED: "foreign_operator_refused",
}
GUESSES: Final = 6
"""One more than a device lets through."""


class Impostor:
    """A key of the attacker's own that claims to be `owner`'s."""

    def __init__(self, owner: bytes, own: SigningKey) -> None:
        self.public_key = owner
        self._own = own

    def sign(self, data: bytes) -> bytes:
        return self._own.sign(data)


_OWN: Final = Key("attacker")
_FALSE: Final = {
    purpose: Impostor(issuer.public_key, _OWN) for purpose, issuer in zip(orders.ORDER_PURPOSES, ISSUERS, strict=True)
}


class Attacker:
    """`interferes`: share of messages that it holds back, doubles or drops on their way."""

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
        self._timeline, self._rng, self._truth, self._marks = timeline, rng, truth, marks
        self._gateway, self._server, self._stands, self._network = gateway, server, stands, network
        self.heard: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
        self.interferes = 0.06
        self._msg_id = 0x8000
        self._answers: dict[int, Wait] = {}
        self._recipes: tuple[Callable[[Stand], None], ...] = (
            self.replay, self.replay, self.keep_for_another, self.keep_for_another, self.old_photo, self.old_photo,
            self.forge, self.forge, self.foreign_receipt, self.old_token, self.old_token, self.events_again,
            self.events_again, self.forge_event, self.foreign_photo, self.disturb, self.old_policy, self.old_policy,
            self.old_page, self.over_policy, self.over_policy, self.empty_outbox, self.empty_outbox,
        )  # fmt: skip
        if gateway.staffed:
            self._recipes += (self.guess_pin, self.guess_pin, *(self.old_voucher,) * 4, self.for_another_operator)

    # --- on the line --------------------------------------------------------------------------------------------------

    def tap(self, leg: str, device_id: str, kind: str, data: bytes) -> list[bytes]:
        """What goes on instead of `data`."""
        if leg == "from_device":
            return self._overheard(data)
        if not kind:
            return [data]
        self.heard[kind].append((device_id, data))
        if kind == "permit" and self._rng.random() < 0.15:
            stand = next(stand for stand in self._stands if stand.name == device_id)
            self._timeline.after(20, lambda: self.old_photo(stand))
            return []
        if kind == "time" or self._rng.random() >= self.interferes * (2 if kind == "token" else 1):
            return [data]
        if kind in ("token", "permit") and self._rng.random() < 0.5:
            self._timeline.after(self._rng.choice((4_000, 30_000, 400_000)), lambda: self._give(device_id, kind, data))
        if kind == "event" and self._rng.random() < 0.3:
            return [self._altered(data)]
        return []

    def _overheard(self, data: bytes) -> list[bytes]:
        if not self._answers:
            return [data]
        envelope = messages.decode(data)
        wait = self._answers.pop(envelope.msg_id, None)
        if wait is None:
            return [data]
        wait.set(envelope.message)
        return []

    def _altered(self, data: bytes) -> bytes:
        at = self._rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self._rng.randrange(8))]) + data[at + 1 :]

    def ask(self, stand: Stand, message: Message) -> Wait:
        """The device's answer to a request of the attacker's; None when it gives none."""
        self._msg_id = 0x8000 + (self._msg_id + 1) % 0x7FFF
        wait = self._answers[self._msg_id] = Wait()
        msg_id = self._msg_id
        stand.receive(messages.encode(message, msg_id=msg_id))
        if not wait.done:
            self._timeline.after(3_000, lambda: self._give_up(msg_id))
        return wait

    def _give_up(self, msg_id: int) -> None:
        wait = self._answers.pop(msg_id, None)
        if wait is not None:
            wait.set(None)

    def _give(self, device_id: str, kind: str, data: bytes) -> None:
        """A signed thing to a device; a refusal is noted."""
        stand = next(stand for stand in self._stands if stand.name == device_id)
        wait = self.ask(stand, _REQUEST[kind](data))
        wait.then(lambda: self._note(kind, wait))

    def _note(self, kind: str, wait: Wait) -> None:
        answer = wait.value
        if not isinstance(answer, messages.Refused):
            return
        reason = Reason
        if kind == "token" and answer.reason is reason.WRONG_DEVICE:
            self._marks.hit("token_on_another_device_refused")
        elif kind == "permit" and answer.reason in (reason.WRONG_NONCE, reason.WRONG_PHOTO):
            self._marks.hit("permit_for_an_old_photo_refused")
        elif kind == "policy" and answer.reason is reason.OLD_EPOCH:
            self._marks.hit("old_policy_refused")
        elif kind == "time" and answer.reason in (reason.WRONG_NONCE, reason.CLOCK_DOUBT):
            self._marks.hit("old_time_refused")
        elif kind == "token" and answer.reason is reason.WRONG_NONCE:
            self._marks.hit("token_replayed_to_its_device")
        elif kind == "token" and answer.reason in _OF_VOUCHERS:
            self._marks.hit(_OF_VOUCHERS[answer.reason])
        elif kind == "receipt" and answer.reason is reason.WRONG_DEVICE:
            self._marks.hit("receipt_of_another_chain_refused")
        elif answer.reason in _REFUSED:
            self._marks.hit(_REFUSED[answer.reason])

    # --- what it does by itself ---------------------------------------------------------------------------------------

    def act(self) -> None:
        recipe = self._rng.choice(self._recipes)
        recipe(self._rng.choice(self._stands))

    def _one(self, kind: str) -> tuple[str, bytes] | None:
        heard = self.heard[kind]
        return self._rng.choice(heard) if heard else None

    def replay(self, stand: Stand) -> None:
        """Anything signed, to any device."""
        kind = self._rng.choice(KINDS)
        if found := self._one(kind):
            self._give(stand.name, kind, found[1])

    def foreign_receipt(self, stand: Stand) -> None:
        """A receipt for another device's chain."""
        foreign = [data for device, data in self.heard["receipt"] if device != stand.name]
        if foreign:
            self._give(stand.name, "receipt", self._rng.choice(foreign))

    def old_policy(self, stand: Stand) -> None:
        """An earlier policy after a later one: out of suspension."""
        own = [data for device, data in self.heard["policy"] if device == stand.name]
        if own:
            self._give(stand.name, "policy", self._rng.choice(own))
        if self.heard["time"]:
            self.ask(stand, messages.HelloRequest())
            self._give(stand.name, "time", self._rng.choice(self.heard["time"])[1])

    def old_token(self, stand: Stand) -> None:
        """The last token again, after its grant or with another challenge out."""
        own = [data for device, data in self.heard["token"] if device == stand.name]
        if not own:
            return
        if self._rng.random() < 0.5 and stand.state is State.LOCKED:
            self.ask(stand, messages.ChallengeRequest())
        elif self._rng.random() < 0.5:
            self.ask(stand, messages.RelockRequest(close_grant=True))
        self._give(stand.name, "token", self._rng.choice((own[-1], self._rng.choice(own))))

    def keep_for_another(self, stand: Stand) -> None:
        """A token for one device over another's challenge; the head goes along in somebody's pocket."""
        other = self._rng.choice([each for each in self._stands if each is not stand])
        if stand.state is not State.LOCKED or stand.device is None:
            return
        wanted = [order for order in self._server.orders if order.head == other.account.head]
        if not wanted:
            return
        order = self._rng.choice(wanted)
        challenge = self.ask(stand, messages.ChallengeRequest())
        if not isinstance(challenge.value, messages.Challenge):
            return
        nonce = challenge.value.nonce
        call = self._network.call(lambda: self._server.token(other.name, order.number, nonce, _who(stand)))
        call.then(lambda: self._pocket(stand, other, nonce) if call.value is not None else None)

    def _pocket(self, stand: Stand, other: Stand, nonce: bytes) -> None:
        row = self._server.by_nonce.get((other.name, nonce))
        if row is None:
            return
        head, left = other.account.head, stand.account.head
        if head != left:
            other.mount(left)
            stand.mount(head)
        self._give(stand.name, "token", row.signed)
        stand.lay(Paper(row.issued.order.document, row.issued.plan[0]))
        stand.pull()
        if head != left:
            self._timeline.after(2_000, lambda: stand.mount(left))
            self._timeline.after(2_000, lambda: other.mount(head))

    def old_photo(self, stand: Stand) -> None:
        """The approved page under the camera, another under the head: an old permit for a new photo."""
        own = [data for device, data in self.heard["permit"] if device == stand.name]
        if not own or stand.state not in (State.GRANTED, State.PAGE_SEEN):
            return
        stand.lay(Paper(hashlib.sha256(b"what nobody approved").digest(), 1))
        seen = self.ask(stand, messages.CaptureRequest())

        def give() -> None:
            self._give(stand.name, "permit", own[-1])
            stand.pull()

        seen.then(give)

    def old_page(self, stand: Stand) -> None:
        """An earlier PAGE_SEEN with its photo, to get a permit for the stroke that comes now."""
        photos = self._gateway.photos
        seen = [(event, _peeked(event)) for device, event in self.heard["event"] if device == stand.name]
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
        challenge = self.ask(stand, messages.ChallengeRequest())
        if not isinstance(challenge.value, messages.Challenge):
            return
        nonce = challenge.value.nonce
        call = self._network.call(lambda: self._server.token(stand.name, order.number, nonce, _who(stand)))

        def then() -> None:
            row = self._server.by_nonce.get((stand.name, nonce))
            if row is None or not self._server.alive:
                return
            self._server.set_suspended(stand.name, suspended=False)
            policy = next((data for device, data in reversed(self.heard["policy"]) if device == stand.name), None)
            if policy is not None:
                self._give(stand.name, "policy", policy)
            wait = self.ask(stand, messages.TokenRequest(token=row.signed))
            if isinstance(wait.value, messages.Refused):
                self._marks.hit("token_behind_its_policy_refused")

        call.then(then)

    def guess_pin(self, stand: Stand) -> None:
        """The PIN of somebody who is on leave."""
        for _ in range(GUESSES):
            guess = messages.OperatorRequest(operator=ON_LEAVE, method=Method.PIN, proof=self._rng.randbytes(32))
            answer = self.ask(stand, guess).value
            if isinstance(answer, messages.Refused) and answer.reason is Reason.TOO_MANY_TRIES:
                self._marks.hit("pins_guessed")

    def old_voucher(self, stand: Stand) -> None:
        """A voucher that was used, or whose time is over, perhaps after another start of the device."""
        own = [data for device, data in self.heard["token"] if device == stand.name and voucher_in(data)]
        if not own:
            return
        self.ask(stand, messages.RelockRequest(close_grant=True))
        self._give(stand.name, "token", self._rng.choice(own))

    def for_another_operator(self, stand: Stand) -> None:
        """A token in the name of somebody who is not there."""
        order = next((order for order in self._server.orders if order.head == stand.account.head), None)
        if order is None or stand.state is not State.LOCKED:
            return
        challenge = self.ask(stand, messages.ChallengeRequest())
        if not isinstance(challenge.value, messages.Challenge):
            return
        nonce = challenge.value.nonce
        call = self._network.call(lambda: self._server.token(stand.name, order.number, nonce, ON_LEAVE))

        def then() -> None:
            row = self._server.by_nonce.get((stand.name, nonce))
            if row is not None:
                self._give(stand.name, "token", row.signed)

        call.then(then)

    def disturb(self, stand: Stand) -> None:
        """Ask, lock."""
        if self._rng.random() < 0.5:
            self.ask(stand, messages.RelockRequest(close_grant=self._rng.random() < 0.5))
        else:
            self.ask(stand, messages.ChallengeRequest())

    def empty_outbox(self, _stand: Stand) -> None:
        """Another box, empty, stands where the office's was."""
        self._gateway.kill()
        self._gateway.erase()
        self._timeline.after(800, self._gateway.start)
        self._marks.hit("outbox_erased")

    # --- forgeries ----------------------------------------------------------------------------------------------------

    def forge(self, stand: Stand) -> None:
        """An order that fits in everything but its signature."""
        if stand.device is None:
            return
        memory = stand.device.memory
        kind = self._rng.choice(KINDS)
        if kind == "token":
            challenge = self.ask(stand, messages.ChallengeRequest())
            if isinstance(challenge.value, messages.Challenge):
                self._give(stand.name, kind, self._false_token(stand, challenge.value.nonce))
        elif kind == "permit":
            seen = self.ask(stand, messages.CaptureRequest())
            seen.then(lambda: self._false_permit(stand, seen.value))
        elif kind == "receipt":
            last = stand.account.story[stand.account.last_seq]
            order = Receipt(
                device_id=stand.name, generation=1, up_to_seq=memory.seq,
                chain_hash=events.chain_hash(last), photo_digests=tuple(memory.photos[:8]),
            )  # fmt: skip
            false = orders.sign(order, key=_FALSE[Purpose.RECEIPT])
            self._give(stand.name, kind, false)
            self._gateway.down(stand.name, kind, false)
        elif kind == "policy":
            policy = Policy(device_id=stand.name, epoch=memory.policy_epoch + 5, suspended=False)
            self._give(stand.name, kind, orders.sign(policy, key=_FALSE[Purpose.POLICY]))
        else:
            self._false_time(stand)

    def _false_token(self, stand: Stand, nonce: bytes) -> bytes:
        now = self._timeline.unix_ms // 1000
        seal = SealClaims(
            slot=0, max_strokes=9, policy=2, epoch=99, window_s=30, document_digest=bytes(32),
            head_id=stand.account.head,
        )  # fmt: skip
        token = Token(
            device_id=stand.name, issued_at=now, not_before=now, expires_at=now + 600,
            token_id=self._rng.randbytes(16), nonce=nonce, exi_s=500, seal=seal,
        )  # fmt: skip
        return tokens.issue(token, key=_FALSE[Purpose.TOKEN])

    def _false_permit(self, stand: Stand, seen: Any) -> None:
        token = stand.device.memory.open_token() if stand.device else None
        if not isinstance(seen, messages.Captured) or token is None:
            return
        permit = Permit(
            device_id=stand.name, token_id=token.token_id, stroke=seen.stroke, page=1,
            page_digest=orders.page_digest(token.seal.document_digest, 1),
            photo_digest=seen.photo_digest, stroke_nonce=seen.stroke_nonce,
        )  # fmt: skip
        self._give(stand.name, "permit", orders.sign(permit, key=_FALSE[Purpose.PERMIT]))

    def _false_time(self, stand: Stand) -> None:
        hello = self.ask(stand, messages.HelloRequest())
        if isinstance(hello.value, messages.Hello):
            time = SignedTime(
                device_id=stand.name, boot_nonce=hello.value.boot_nonce, unix_ms=self._timeline.unix_ms + 10**9
            )
            self._give(stand.name, "time", orders.sign(time, key=_FALSE[Purpose.TIME]))

    # --- towards headquarters -----------------------------------------------------------------------------------------

    def events_again(self, stand: Stand) -> None:
        """Events a second time, in any order, under another device's topic."""
        heard = self.heard["event"]
        for _, event in self._rng.sample(heard, min(5, len(heard))):
            self._network.up(stand.name, "", event, self._server.ledger.arrive)

    def forge_event(self, stand: Stand) -> None:
        """An event that fits the chain but for its signature, some numbers ahead."""
        account = stand.account
        event = events.peek(account.story[account.last_seq])
        header = dataclasses.replace(
            event.header,
            seq=account.last_seq + self._rng.randint(1, 3),
            event_type=events.EventType.SENSOR,
            previous=events.chain_hash(account.story[account.last_seq]),
        )
        false = events.Event(header=header, body=events.Sensor(sensor="none", value=1))
        signed = events.sign(false, key=Impostor(stand.key.public_key, _OWN))
        self._network.up(stand.name, "", signed, self._server.ledger.arrive)

    def foreign_photo(self, stand: Stand) -> None:
        """Other bytes for a digest that an event announced."""
        announced = self._server.ledger.tables.announced
        owed = [digest for digest in announced if digest not in self._truth.blobs] or list(announced)
        if owed:
            digest = self._rng.choice(owed)
            self._network.call(lambda: self._server.upload(digest, b"another picture"))


def _who(stand: Stand) -> bytes | None:
    """Who is signed in there."""
    return stand.account.operator


def _peeked(event: bytes) -> events.Body | None:
    try:
        return events.peek(event).body
    except ProtocolError:
        return None
