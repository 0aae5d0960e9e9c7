"""What goes up from one device and comes down to it, as a model of gateway/carrying.py: events, photos, orders."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from firmware_protocol import cbor, cose, messages
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Receipt
from gateway.outbox import KeptEvent
from tests.simulation.peeking import photos_in
from tests.simulation.timeline import Failed, Talk, Turn, Wait

if TYPE_CHECKING:
    from tests.simulation.agent import Agent

RECEIPT_PATIENCE_MS: Final = 10_000
DOWN_TIMEOUT_MS: Final = 5_000
RETRY_UPLOAD_MS: Final = 2_000


class Carrying:
    """One device's events and photos on their way up; receipts, policies and rosters on their way down."""

    def __init__(self, agent: "Agent") -> None:
        self._agent, self._office, self._device_id = agent, agent.office, agent.device_id
        self._drain_turn = Turn()
        self._awaited: list[tuple[str, Callable[[bytes], bool], Wait]] = []
        self._uploading = self._asked_for_wanted = self._drain_waits = False
        self._sent_ms = 0  # when everything was sent last, or a receipt came
        self._sent_up_to = (0, 0)
        self._read_up_to = 0

    # --- up -----------------------------------------------------------------------------------------------------------

    def saw(self, last_seq: int) -> None:
        """The device has events up to this one."""
        if last_seq > self._read_up_to and not self._drain_waits:
            self._drain_waits = True
            self._agent.tasks.spawn(self.drain())

    def drain(self, *, at_least: int = 0) -> Talk[None]:
        """Every event the device has and this office has not, into the outbox."""
        yield self._drain_turn.take()
        self._drain_waits = False
        fresh: list[KeptEvent] = []
        try:
            hello, status = self._agent.hello, self._agent.status
            if hello is None or status is None:
                return
            outbox = self._office.outbox
            safe, last = max(hello.acked_seq, status.acked_seq), max(at_least, status.last_seq)
            for seq in outbox.missing(self._device_id, 1, after=safe, up_to=last):
                answer = yield from self._agent.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)
                fresh.append(KeptEvent(device_id=self._device_id, generation=1, seq=seq, signed=answer.event))
            if fresh:
                self._office.outbox.keep(fresh, photos=photos_in(fresh))
                self._read_up_to = fresh[-1].seq
                self._office.kept.setdefault(self._device_id, set()).update(kept.seq for kept in fresh)
        finally:
            self._drain_turn.give()
        if fresh:
            self._send_some()
            self.wake_photos()
            for kept in fresh:
                self._agent.learn(kept)

    def _send_some(self) -> None:
        """In order; what the broker acknowledged is not safe yet, only not sent again at once."""
        if self._sent_up_to == (0, 0):
            self._sent_ms = self._office.timeline.now_ms
        for kept in self._office.outbox.after(self._device_id, self._sent_up_to, limit=64):
            if not self._office.network.up(self._device_id, "event", kept.signed, self._office.server.ledger.arrive):
                break
            self._sent_up_to = kept.place
            self._office.acknowledged(kept)
        self._office.check_outbox(self._device_id)

    def patience(self, life: int) -> None:
        """No receipt came: everything goes up once more."""

        def look() -> None:
            if life != self._agent.life or not self._agent.tasks.alive:
                return
            if self._office.timeline.now_ms - self._sent_ms >= RECEIPT_PATIENCE_MS:
                self._sent_up_to = (0, 0)
                self._send_some()
            self.wake_photos()
            self.patience(life)

        self._office.timeline.after(RECEIPT_PATIENCE_MS, look)

    def wake_photos(self) -> None:
        if not self._uploading:
            self._uploading = True
            self._agent.tasks.spawn(self._upload()).then(self._uploaded)

    def _uploaded(self) -> None:
        self._uploading = False

    def _upload(self) -> Talk[None]:
        if not self._asked_for_wanted:
            wanted = yield self._agent.call(partial(self._office.server.photos_wanted, self._device_id))
            self._office.outbox.owe(self._device_id, wanted)
            self._asked_for_wanted = True
        for _ in range(3):
            owed = self._office.outbox.photos_owed(self._device_id)
            for digest in owed:
                try:
                    picture = yield from self.fetch(digest)
                    yield self._agent.call(partial(self._office.server.upload, digest, picture))
                except Failed as failed:
                    if failed.code == "photo_gone":
                        self._office.outbox.photo_gone(digest)
                        self._agent.stand.marks.hit("photo_gone")
                    elif failed.code in ("head_office_unreachable", "device_unreachable"):
                        return
                else:
                    self._office.outbox.photo_uploaded(digest)
            if not owed:
                return
            yield self._agent.sleep(RETRY_UPLOAD_MS)

    def fetch(self, digest: bytes) -> Talk[bytes]:
        """A picture over the bulk link. Raises: Failed."""
        if digest not in self._office.photos:
            yield self._agent.sleep(120)
            if self._agent.stand.device is None:
                raise Failed("device_unreachable")
            if digest not in self._agent.stand.tray.pictures:
                raise Failed("photo_gone")
            self._office.photos[digest] = self._agent.stand.tray.pictures[digest]
        return self._office.photos[digest]

    # --- down ---------------------------------------------------------------------------------------------------------

    def down(self, kind: str, payload: bytes) -> None:
        for wanted, fits, wait in list(self._awaited):
            if wanted == kind and fits(payload):
                wait.set(payload)
        if kind in ("receipt", "policy", "roster"):
            self._agent.tasks.spawn(self._relay(kind, payload))
        else:
            self._delivered(payload)

    def _relay(self, kind: str, payload: bytes) -> Talk[None]:
        if kind != "receipt":
            policy = kind == "policy"
            request = messages.PolicyRequest(policy=payload) if policy else messages.RosterRequest(roster=payload)
            try:
                yield from self._agent.ask(request, messages.Accepted)
            except Failed as failed:
                if failed.code != "old_epoch":  # a later one is obeyed already
                    raise
            self._delivered(payload)
            return
        yield from self._agent.ask(messages.ReceiptRequest(receipt=payload), messages.Accepted)
        self.settle(from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload)))
        self._delivered(payload)

    def settle(self, receipt: Receipt) -> None:
        """The device itself accepted it: only now may this office forget."""
        self._office.outbox.settle(
            receipt.device_id, receipt.generation, receipt.up_to_seq, photos=receipt.photo_digests
        )
        for digest in receipt.photo_digests:
            self._office.photos.pop(digest, None)
        self._sent_ms = self._office.timeline.now_ms
        self._office.check_outbox(self._device_id)

    def _delivered(self, payload: bytes) -> None:
        digest = hashlib.sha256(payload).digest()
        self._office.network.up(self._device_id, "ack", digest, self._office.server.delivered)

    def await_down(self, kind: str, fits: Callable[[bytes], bool], ask: Callable[[], Wait]) -> Talk[tuple[Any, bytes]]:
        """(headquarters' answer, the signed bytes). The same question brings the same bytes again. Raises: Failed."""
        arrived = Wait()
        awaited = (kind, fits, arrived)
        self._awaited.append(awaited)
        try:
            for _ in range(2):
                answer = yield ask()
                if isinstance(answer, tuple) and not answer[1]:
                    return answer, b""
                if not arrived.done:
                    self._office.timeline.after(DOWN_TIMEOUT_MS, lambda arrived=arrived: arrived.set(None))  # type: ignore[misc]
                payload = yield arrived
                if payload is not None:
                    return answer, payload
                arrived = Wait()
                self._awaited.remove(awaited)
                awaited = (kind, fits, arrived)
                self._awaited.append(awaited)
        finally:
            self._awaited.remove(awaited)
        raise Failed("head_office_unreachable")
