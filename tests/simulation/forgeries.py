"""The attacker makes things that fit in everything but their signature, and photos that are not the announced ones."""

import dataclasses
import random
from typing import Any, Final

from firmware_protocol import events, messages, orders, tokens
from firmware_protocol.cose import SigningKey
from firmware_protocol.orders import Permit, Policy, Receipt, SignedTime
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import SealClaims, Token
from tests.simulation.headquarters import Headquarters
from tests.simulation.network import Network
from tests.simulation.office import Gateway
from tests.simulation.stand import ISSUERS, Key, Stand
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth
from tests.simulation.wiretap import KINDS, Wiretap


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


class Forgeries:
    """Each method is one attack on or through one device."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        rng: random.Random,
        truth: Truth,
        gateway: Gateway,
        server: Headquarters,
        network: Network,
        wire: Wiretap,
    ) -> None:
        self._timeline, self._rng, self._truth, self._wire = timeline, rng, truth, wire
        self._gateway, self._server, self._network = gateway, server, network

    def forge(self, stand: Stand) -> None:
        """An order that fits in everything but its signature."""
        if stand.device is None:
            return
        memory = stand.device.memory
        kind = self._rng.choice(KINDS)
        if kind == "token":
            nonce = self._wire.challenge(stand)
            if nonce is not None:
                self._wire.give(stand.name, kind, self._false_token(stand, nonce))
        elif kind == "permit":
            seen = self._wire.ask(stand, messages.CaptureRequest())
            seen.then(lambda: self._false_permit(stand, seen.value))
        elif kind == "receipt":
            last = stand.account.story[stand.account.last_seq]
            order = Receipt(
                device_id=stand.name, generation=1, up_to_seq=memory.seq,
                chain_hash=events.chain_hash(last), photo_digests=tuple(memory.photos[:8]),
            )  # fmt: skip
            false = orders.sign(order, key=_FALSE[Purpose.RECEIPT])
            self._wire.give(stand.name, kind, false)
            self._gateway.down(stand.name, kind, false)
        elif kind == "policy":
            policy = Policy(device_id=stand.name, epoch=memory.policy_epoch + 5, suspended=False)
            self._wire.give(stand.name, kind, orders.sign(policy, key=_FALSE[Purpose.POLICY]))
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
        self._wire.give(stand.name, "permit", orders.sign(permit, key=_FALSE[Purpose.PERMIT]))

    def _false_time(self, stand: Stand) -> None:
        hello = self._wire.ask(stand, messages.HelloRequest())
        if isinstance(hello.value, messages.Hello):
            time = SignedTime(
                device_id=stand.name, boot_nonce=hello.value.boot_nonce, unix_ms=self._timeline.unix_ms + 10**9
            )
            self._wire.give(stand.name, "time", orders.sign(time, key=_FALSE[Purpose.TIME]))

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
