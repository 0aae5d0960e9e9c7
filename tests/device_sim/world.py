"""A pure world for the core: the hardware in memory, a server that signs, a keeper that lays and pulls."""

import hashlib

from device_sim.core.log import Identity
from device_sim.core.machine import STILL_MS, Device
from device_sim.core.ports import Parts
from firmware_protocol import events, messages, orders, pairing, tokens
from firmware_protocol.cose import SigningKey, keyring
from firmware_protocol.events import Event
from firmware_protocol.messages import Message
from firmware_protocol.operators import Entry
from firmware_protocol.orders import Permit, Policy, Receipt, Roster, ServiceKind, SignedTime
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import SealClaims, Token
from tests.device_sim.hardware import Clock, CountingRng, MemoryDisk, Shaft, Tray, Trip
from tests.device_sim.installation import (
    DEVICE_ID,
    DEVICE_KEY,
    DOCUMENT,
    HEAD,
    ISSUER,
    PERMITS,
    POLICIES,
    RECEIPTS,
    TERMS,
    TIME,
    UNIX_S,
    Key,
)


class World:
    """Everything that outlives a power cut, and the device that does not."""

    def __init__(self, *, capacity: int = 1 << 20, paired: bool = True, boot: bool = True) -> None:
        self.clock, self.rng, self.disk, self.shaft = Clock(), CountingRng(), MemoryDisk(), Shaft()
        self.tray, self.trip = Tray(), Trip()
        self.capacity = capacity
        self.inline_coder = True
        self.heard: list[Message] = []
        self._msg_id = 0
        if boot:
            self.boot()
        if paired:
            self.pair()
            self.device.head_seen(0, HEAD)

    def boot(self) -> None:
        """Power on. Raises: PowerCut, when the disk is told so."""
        self.tray.orders.clear()
        self.device = Device(
            identity=Identity(device_id=DEVICE_ID, model="test", firmware="1", inline_coder=self.inline_coder),
            parts=Parts(
                clock=self.clock,
                rng=self.rng,
                disk=self.disk,
                counter=self.shaft,
                latch=self.shaft,
                camera=self.tray,
                photos=self.tray,
                key=DEVICE_KEY,
                tripwire=self.trip,
                later_key=lambda generation: Key(b"dev%d" % generation),
            ),
            capacity=self.capacity,
        )

    # --- the line -----------------------------------------------------------------------------------------------------

    def ask(self, message: Message, *, msg_id: int | None = None) -> Message:
        """One request and its reply; photos are taken at once."""
        if msg_id is None:
            self._msg_id = msg_id = self._msg_id % 0xFFFF + 1
        return self.ask_raw(messages.encode(message, msg_id=msg_id), msg_id=msg_id)

    def ask_raw(self, data: bytes, *, msg_id: int) -> Message:
        self.heard.clear()
        self.device.receive(data)
        self.shutter()
        replies = [self._hear(out) for out in self.device.take_outgoing()]
        return next(envelope.message for envelope in replies if envelope.msg_id == msg_id)

    def _hear(self, data: bytes) -> messages.Envelope:
        envelope = messages.decode(data)
        self.heard.append(envelope.message)
        return envelope

    def shutter(self) -> None:
        """Take the photos that were ordered, and those that follow from them."""
        while self.tray.orders:
            order = self.tray.orders.pop(0)
            self.device.photographed(order.number, self.tray.shoot(order))

    def refused(self, message: Message) -> Reason:
        """Why the device says no; a no never frees the latch."""
        free = self.shaft.free
        answer = self.ask(message)
        assert isinstance(answer, messages.Refused), answer
        assert self.shaft.free <= free
        return answer.reason

    # --- the keeper ---------------------------------------------------------------------------------------------------

    def lay(self) -> None:
        self.tray.page_present = True
        self.move()
        self.wait(STILL_MS)

    def take_away(self) -> None:
        self.tray.page_present = False
        self.move()

    def move(self) -> None:
        self.tray.page_token += 1
        self.device.tray_changed()

    def pull(self) -> bool:
        pressed = self.shaft.pull()
        self.device.lever_pulled()
        self.shutter()
        return pressed

    def wait(self, ms: int) -> None:
        self.clock.ms += ms
        self.device.tick()
        self.shutter()

    # --- the server ---------------------------------------------------------------------------------------------------

    def pair(self) -> None:
        assert self.device.press_pairing_button()
        answer = self.ask(messages.PairCommitRequest(commitment=pairing.commitment(TERMS)))
        assert isinstance(answer, messages.PairDevice)
        self.ask(messages.PairTermsRequest(terms=TERMS))
        assert self.device.digits == pairing.digits(
            TERMS, device_id=DEVICE_ID, device_key=DEVICE_KEY.public_key, device_nonce=answer.nonce
        )
        assert self.device.confirm_pairing()

    def challenge(self) -> bytes:
        answer = self.ask(messages.ChallengeRequest())
        assert isinstance(answer, messages.Challenge), answer
        return answer.nonce

    def token(
        self, *, key: SigningKey = ISSUER, nonce: bytes | None = None, exi_s: int | None = 300, **changes: object
    ) -> bytes:
        """A token for this device, for whoever is signed in there; `changes` replace fields of Token or of SealClaims.

        `voucher_counter`: a voucher.
        """
        seal: dict[str, object] = {
            "slot": 0, "max_strokes": 2, "policy": 0, "epoch": 0, "window_s": 20, "document_digest": DOCUMENT,
            "head_id": HEAD, "voucher_counter": None, "operator": self.device.memory.operator,
            "first_page": None, "last_page": None,
        }  # fmt: skip
        claims: dict[str, object] = {
            "device_id": DEVICE_ID, "issued_at": UNIX_S, "not_before": UNIX_S, "expires_at": UNIX_S + 600,
            "token_id": self.rng.token_bytes(16),
        }  # fmt: skip
        seal.update({name: value for name, value in changes.items() if name in seal})
        claims.update({name: value for name, value in changes.items() if name in claims})
        assert set(changes) <= set(seal) | set(claims)
        if "voucher_counter" in changes:
            exi_s = None
        elif nonce is None:
            nonce = self.challenge()
        token = Token(
            nonce=nonce,
            exi_s=exi_s,
            seal=SealClaims(**seal),  # type: ignore[arg-type]
            **claims,  # type: ignore[arg-type]
        )
        return tokens.issue(token, key=key)

    def grant(self, **changes: object) -> bytes:
        """A token that is accepted; its id."""
        answer = self.ask(messages.TokenRequest(token=self.token(**changes)))  # type: ignore[arg-type]
        assert isinstance(answer, messages.Granted), answer
        return answer.token_id

    def scan(self) -> messages.Captured:
        """The next sheet, laid and photographed."""
        self.lay()
        return self.capture()

    def capture(self) -> messages.Captured:
        answer = self.ask(messages.CaptureRequest())
        assert isinstance(answer, messages.Captured), answer
        return answer

    def permit(self, seen: messages.Captured, *, key: SigningKey = PERMITS, page: int = 1, **changes: object) -> bytes:
        """The permit that would open; `changes` replace fields of it."""
        token_id = self.device.memory.open_token()
        claims: dict[str, object] = {
            "device_id": DEVICE_ID,
            "token_id": token_id.token_id if token_id else bytes(16),
            "stroke": seen.stroke,
            "page": page,
            "page_digest": orders.page_digest(DOCUMENT, page),
            "photo_digest": seen.photo_digest,
            "stroke_nonce": seen.stroke_nonce,
            "cover_digest": None,
        }
        assert set(changes) <= set(claims)
        return orders.sign(Permit(**(claims | changes)), key=key)  # type: ignore[arg-type]

    def unlock(self, *, page: int = 1) -> None:
        answer = self.ask(messages.PermitRequest(permit=self.permit(self.capture(), page=page)))
        assert isinstance(answer, messages.Unlocked), answer

    def stamp(self, *, page: int = 1) -> None:
        """One whole stroke on a page that lies there, under the open grant."""
        self.unlock(page=page)
        assert self.pull()

    def receipt(self, *, up_to: int | None = None, photos: tuple[bytes, ...] = (), key: SigningKey = RECEIPTS) -> bytes:
        seq = self.device.memory.seq if up_to is None else up_to
        chain_hash = hashlib.sha256(self.event_bytes(seq)).digest()
        return orders.sign(
            Receipt(device_id=DEVICE_ID, generation=1, up_to_seq=seq, chain_hash=chain_hash, photo_digests=photos),
            key=key,
        )

    def receipt_again(self, *, photos: tuple[bytes, ...]) -> bytes:
        """One that names photos and covers no further event; the events themselves are gone from the device."""
        memory = self.device.memory
        return orders.sign(
            Receipt(
                device_id=DEVICE_ID,
                generation=1,
                up_to_seq=memory.seq,
                chain_hash=memory.chain_hash,
                photo_digests=photos,
            ),
            key=RECEIPTS,
        )

    def policy(self, *, key: SigningKey = POLICIES, epoch: int = 1, suspended: bool = False, **more: object) -> bytes:
        order = Policy(device_id=DEVICE_ID, epoch=epoch, suspended=suspended, **more)  # type: ignore[arg-type]
        return orders.sign(order, key=key)

    def serve(self, kind: ServiceKind, *, epoch: int, **more: object) -> None:
        """A service that two persons ordered."""
        persons = more.pop("authorised_by", (b"ann.", b"bob."))
        order = self.policy(epoch=epoch, service=kind, authorised_by=persons, **more)
        assert self.ask(messages.PolicyRequest(policy=order)) == messages.Accepted()

    def set_time(self) -> None:
        """Signed time over this boot's nonce."""
        self.ask(messages.TimeRequest(time=self.signed_time(nonce=self.hello().boot_nonce)))

    def roster(
        self, *people: Entry, number: int = 1, part: int = 0, parts: int = 1, key: SigningKey = POLICIES, **more: object
    ) -> bytes:
        facts: dict[str, object] = {"device_id": DEVICE_ID, "number": number, "part": part, "parts": parts}
        packed = tuple(entry.pack() for entry in people)
        return orders.sign(Roster(**(facts | {"entries": packed} | more)), key=key)  # type: ignore[arg-type]

    def signed_time(self, *, nonce: bytes, unix_ms: int = UNIX_S * 1000, key: SigningKey = TIME) -> bytes:
        return orders.sign(SignedTime(device_id=DEVICE_ID, boot_nonce=nonce, unix_ms=unix_ms), key=key)

    def hello(self) -> messages.Hello:
        answer = self.ask(messages.HelloRequest())
        assert isinstance(answer, messages.Hello)
        return answer

    # --- what the ledger sees -----------------------------------------------------------------------------------------

    def event_bytes(self, seq: int) -> bytes:
        answer = self.ask(messages.ReadEventRequest(seq=seq))
        assert isinstance(answer, messages.SignedEvent), answer
        return answer.event

    def story(self) -> list[Event]:
        """All events, verified: signature, chain, numbers without a gap, a counter that never falls."""
        previous, told = events.FIRST_PREVIOUS, []
        for seq in range(1, self.device.memory.seq + 1):
            data = self.event_bytes(seq)
            event = events.verify(data, keys=keyring(DEVICE_KEY.public_key))
            assert (event.header.seq, event.header.previous) == (seq, previous)
            assert not told or told[-1].header.counter <= event.header.counter
            previous = events.chain_hash(data)
            told.append(event)
        return told

    def bodies(self) -> list[events.Body]:
        return [event.body for event in self.story()]

    def last(self) -> events.Body:
        return self.bodies()[-1]
