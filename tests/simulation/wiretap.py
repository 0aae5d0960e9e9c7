"""The attacker on the line: what it hears, holds back, doubles and alters, and what it asks a device itself."""

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from firmware_protocol import messages
from firmware_protocol.messages import Message
from firmware_protocol.reasons import Reason
from tests.simulation.marks import Marks
from tests.simulation.stand import Stand
from tests.simulation.timeline import Timeline, Wait

INTERFERES: Final = 0.06
"""Share of messages that it holds back, doubles or drops on their way; of tokens twice as many."""
_REQUEST: Final[dict[str, Callable[[bytes], Message]]] = {
    "token": lambda data: messages.TokenRequest(token=data),
    "permit": lambda data: messages.PermitRequest(permit=data),
    "receipt": lambda data: messages.ReceiptRequest(receipt=data),
    "policy": lambda data: messages.PolicyRequest(policy=data),
    "time": lambda data: messages.TimeRequest(time=data),
}
KINDS: Final = tuple(_REQUEST)
"""What a device takes when it is signed."""
_MARK_OF_KIND: Final = {
    ("token", Reason.WRONG_DEVICE): "token_on_another_device_refused",
    ("token", Reason.WRONG_NONCE): "token_replayed_to_its_device",
    ("token", Reason.VOUCHER_SPENT): "voucher_twice_refused",
    ("token", Reason.OPERATOR_NEEDED): "foreign_operator_refused",
    ("permit", Reason.WRONG_NONCE): "permit_for_an_old_photo_refused",
    ("permit", Reason.WRONG_PHOTO): "permit_for_an_old_photo_refused",
    ("receipt", Reason.WRONG_DEVICE): "receipt_of_another_chain_refused",
    ("policy", Reason.OLD_EPOCH): "old_policy_refused",
    ("time", Reason.WRONG_NONCE): "old_time_refused",
    ("time", Reason.CLOCK_DOUBT): "old_time_refused",
}
_MARK: Final = {
    Reason.REPLAYED: "token_replayed_to_its_device",
    Reason.UNKNOWN_KEY: "forged_order_refused",
    Reason.BAD_SIGNATURE: "forged_order_refused",
    Reason.WRONG_CHAIN: "receipt_of_another_chain_refused",
}
"""Of any other kind."""


class Wiretap:
    """`heard`: every signed thing so far, by kind, with the device it was for. `on_permit`: a permit was taken away."""

    def __init__(self, *, timeline: Timeline, rng: random.Random, marks: Marks, stands: list[Stand]) -> None:
        self._timeline, self._rng, self._marks = timeline, rng, marks
        self._stands = {stand.name: stand for stand in stands}
        self.heard: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
        self.on_permit: Callable[[Stand], None] = lambda _stand: None
        self._msg_id = 0x8000
        self._answers: dict[int, Wait] = {}

    def of(self, kind: str, stand: Stand) -> list[bytes]:
        """What was heard for this device, oldest first."""
        return [data for device, data in self.heard[kind] if device == stand.name]

    def tap(self, leg: str, device_id: str, kind: str, data: bytes) -> list[bytes]:
        """What goes on instead of `data`."""
        if leg == "from_device":
            return self._overheard(data)
        if not kind:
            return [data]
        self.heard[kind].append((device_id, data))
        if kind == "permit" and self._rng.random() < 0.15:
            stand = self._stands[device_id]
            self._timeline.after(20, lambda: self.on_permit(stand))
            return []
        if kind == "time" or self._rng.random() >= INTERFERES * (2 if kind == "token" else 1):
            return [data]
        if kind in ("token", "permit") and self._rng.random() < 0.5:
            self._timeline.after(self._rng.choice((4_000, 30_000, 400_000)), lambda: self.give(device_id, kind, data))
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

    def challenge(self, stand: Stand) -> bytes | None:
        """The nonce of a new challenge; None when the device gives none at once."""
        answer = self.ask(stand, messages.ChallengeRequest()).value
        return answer.nonce if isinstance(answer, messages.Challenge) else None

    def _give_up(self, msg_id: int) -> None:
        wait = self._answers.pop(msg_id, None)
        if wait is not None:
            wait.set(None)

    def give(self, device_id: str, kind: str, data: bytes) -> None:
        """A signed thing to a device; a refusal is noted."""
        wait = self.ask(self._stands[device_id], _REQUEST[kind](data))
        wait.then(lambda: self._note(kind, wait))

    def _note(self, kind: str, wait: Wait) -> None:
        answer = wait.value
        if not isinstance(answer, messages.Refused):
            return
        mark = _MARK_OF_KIND.get((kind, answer.reason)) or _MARK.get(answer.reason)
        if mark is not None:
            self._marks.hit(mark)
