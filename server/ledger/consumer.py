"""The ledger's MQTT 5 client: takes what gateways send, acknowledges it only after the commit, sends receipts.

All of it happens in the ledger's own thread, which looks into the socket between two batches; only a new connection is
made in a thread of its own, so that a broker that is away delays nobody. A packet identifier belongs to one connection:
what an earlier connection brought is not acknowledged, and the broker sends it again. A receipt stays here until the
broker has it, across connections.
"""

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from server.core.clock import Clock
from server.ledger import mqtt_link, mqtt_packets
from server.ledger.mqtt_link import BrokerAddress, Link, LinkLost
from server.ledger.mqtt_packets import Connect, Publish
from server.ledger.receipts import OutgoingReceipt

CLIENT_ID: Final = "cinnabar-ledger"
"""Fixed: the broker keeps this client's session, and what arrives in it, while the ledger is away. With a certificate
it is the user name too."""
SESSION_EXPIRY_S: Final = 7 * 86_400
KEEPALIVE_S: Final = 15
EVENT, ACK, STATUS = "evt", "ack", "status"
SUBSCRIPTIONS: Final = ("seal/v1/+/up/evt/+", "seal/v1/+/up/ack/+", "seal/v1/+/status")
MOST_IN_FLIGHT: Final = 1_000
"""Receipts on their way to the broker without its answer, if it allows as many."""
MOST_RECEIPTS: Final = 20_000
"""Receipts kept for a broker that does not take them; the oldest is dropped first, for it is made again."""
_LONGEST_NAME: Final = 10_000
"""Characters of a gateway's name; a topic cannot carry one that is much longer back to it."""
RETRY_S: Final = (1.0, 2.0, 4.0, 8.0)
"""Waits between two attempts to connect; the last one repeats."""

log = structlog.get_logger("ledger.mqtt")


class Delivery(NamedTuple):
    """One message as it came; `kind` is EVENT, ACK or STATUS. Its parts are not to be trusted."""

    kind: str
    gateway_id: str
    device_id: str
    payload: bytes
    packet_id: int
    connection: int


class Consumer:
    """Connects for ever. Not thread-safe: everything is for the ledger's thread."""

    def __init__(
        self, address: BrokerAddress, *, receive_maximum: int, clock: Clock, client_id: str = CLIENT_ID
    ) -> None:
        self._address = address
        self._connect = Connect(
            client_id=client_id,
            keepalive_s=KEEPALIVE_S,
            session_expiry_s=SESSION_EXPIRY_S,
            receive_maximum=receive_maximum,
            username=address.username,
            password=address.password,
        )
        self._clock = clock
        self._most_waiting = 2 * receive_maximum
        self._inbox: deque[Delivery] = deque()
        self._link: Link | None = None
        self._connection = 0
        self._dialled: queue.SimpleQueue[Link | str] = queue.SimpleQueue()
        self._dialling: threading.Thread | None = None
        self._failures = 0
        self._next_try = 0.0
        self._stopping = False
        self._waiting: deque[OutgoingReceipt] = deque()
        self._in_flight: OrderedDict[int, OutgoingReceipt] = OrderedDict()
        self._last_id = 0

    @property
    def connected(self) -> bool:
        return self._link is not None

    def start(self, *, wait_s: float = 3.0) -> None:
        """Returns when the broker took the subscriptions, or after `wait_s`; never raises for a broker that is away."""
        self.watch()
        until = self._clock.monotonic() + wait_s
        while (left_s := until - self._clock.monotonic()) > 0 and not (self._link and self._link.subscribed):
            self._await_anything(left_s)
        if self._link is None:
            log.warning("broker_away", host=self._address.host, port=self._address.port)

    def stop(self) -> None:
        """Says goodbye; a connection that is being made is closed by the thread that makes it."""
        self._stopping = True
        if self._link is not None:
            self._link.close(goodbye=True)
            self._link = None
        self._await_link(0)

    def watch(self) -> None:
        """Between two batches: pings, and a new connection when there is none. Call it at least every few seconds."""
        if self._link is not None:
            self._pump()
        elif self._dialling is not None:
            self._await_link(0)
        elif not self._stopping and self._clock.monotonic() >= self._next_try:
            self._dialling = threading.Thread(target=self._dial, name="ledger-mqtt-dial", daemon=True)
            self._dialling.start()

    def take(self, *, most: int, timeout_s: float) -> list[Delivery]:
        """The oldest deliveries not yet taken, as soon as there is one; none after `timeout_s`."""
        if len(self._inbox) < most and self._link is not None:
            self._pump()
        if not self._inbox:
            self._await_anything(timeout_s)
        inbox = self._inbox
        return [inbox.popleft() for _ in range(min(most, len(inbox)))]

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tell the broker that these need not come again; only after what they carry is durable."""
        now = self._connection
        ids = [one.packet_id for one in deliveries if one.connection == now and one.packet_id]
        if ids:
            self._send(mqtt_packets.pubacks(ids))

    def send_receipts(self, receipts: Iterable[OutgoingReceipt]) -> None:
        """Kept until the broker has them; when there are too many, the oldest are left to be made again."""
        self._waiting.extend(receipt for receipt in receipts if len(receipt.gateway_id) <= _LONGEST_NAME)
        while len(self._waiting) > MOST_RECEIPTS:
            self._waiting.popleft()
        self._flush()

    def _dial(self) -> None:
        """The thread's whole work; whatever happens is put into `_dialled`."""
        try:
            link = mqtt_link.dial(self._address, self._connect, SUBSCRIPTIONS, self._clock)
            if self._stopping:
                link.close(goodbye=True)
            else:
                self._dialled.put(link)
        except (LinkLost, OSError) as error:
            self._dialled.put(str(error) or type(error).__name__)
        except Exception as error:  # a thread that ends without a word would be waited for for ever
            log.exception("broker_dial_failed")
            self._dialled.put(type(error).__name__)

    def _await_anything(self, timeout_s: float) -> None:
        if self._link is None:
            self._await_link(timeout_s)
        else:
            self._link.wait(timeout_s)
            self._pump()

    def _await_link(self, timeout_s: float) -> None:
        try:
            found = self._dialled.get(timeout=timeout_s) if timeout_s > 0 else self._dialled.get_nowait()
        except queue.Empty:
            return
        self._dialling = None
        if isinstance(found, str):
            wait_s = RETRY_S[min(self._failures, len(RETRY_S) - 1)]
            self._failures += 1
            self._next_try = self._clock.monotonic() + wait_s
            log.warning("broker_not_reached", reason=found, again_in_s=wait_s)
        elif self._stopping:
            found.close(goodbye=True)
        else:
            self._begin(found)

    def _begin(self, link: Link) -> None:
        """What the broker may not have is sent again; in a new session it is as good as new."""
        self._link, self._failures = link, 0
        self._connection += 1
        again = list(self._in_flight.items())
        log.info("broker_connected", session_present=link.session_present, connection=self._connection)
        self._take_over(link)
        if link.session_present and len(again) <= link.receive_maximum:
            self._send(b"".join(_packet(receipt, packet_id, again=True) for packet_id, receipt in again))
        else:
            self._in_flight.clear()
            self._waiting.extendleft(receipt for _, receipt in reversed(again))
        self._flush()

    def _pump(self) -> None:
        """Read, unless more waits here than two batches: then the broker has to wait."""
        link = self._link
        if link is None:
            return
        try:
            if len(self._inbox) <= self._most_waiting:
                link.read()
            link.keep_alive()
        except LinkLost as error:
            self._lost(str(error))
            return
        finally:
            self._take_over(link)
        self._flush()

    def _take_over(self, link: Link) -> None:
        """What the link has read."""
        if link.answered:
            for packet_id in link.answered:
                self._in_flight.pop(packet_id, None)
            link.answered.clear()
        if link.messages:
            messages, link.messages = link.messages, []
            self._inbox.extend(self._deliveries(messages))

    def _deliveries(self, messages: Sequence[Publish]) -> list[Delivery]:
        connection = self._connection
        made = []
        for topic, payload, packet_id in messages:
            parts = topic.split("/")
            if len(parts) == 6 and (parts[4] == EVENT or parts[4] == ACK):
                made.append(Delivery(parts[4], parts[2], parts[5], payload, packet_id, connection))
            elif len(parts) == 4:
                made.append(Delivery(STATUS, parts[2], "", payload, packet_id, connection))
            else:
                log.error("message_not_asked_for", topic=topic[:200])
                self._send(mqtt_packets.pubacks([packet_id] if packet_id else []))
        return made

    def _flush(self) -> None:
        """Receipts, as many as may be on their way, in one write."""
        if self._link is None:
            return
        room = min(MOST_IN_FLIGHT, self._link.receive_maximum) - len(self._in_flight)
        packets = []
        while self._waiting and room > 0:
            receipt, packet_id = self._waiting.popleft(), self._free_id()
            self._in_flight[packet_id] = receipt
            packets.append(_packet(receipt, packet_id))
            room -= 1
        if packets:
            self._send(b"".join(packets))

    def _free_id(self) -> int:
        """1..65534; fewer than that are ever in flight."""
        while True:
            self._last_id = self._last_id % 0xFFFE + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    def _send(self, data: bytes) -> None:
        if self._link is None or not data:
            return
        try:
            self._link.send(data)
        except LinkLost as error:
            self._lost(str(error))

    def _lost(self, reason: str) -> None:
        log.warning("broker_lost", reason=reason)
        if self._link is not None:
            self._link.close()
            self._link = None
        self._next_try = self._clock.monotonic() + RETRY_S[0]


def _packet(receipt: OutgoingReceipt, packet_id: int, *, again: bool = False) -> bytes:
    topic = f"seal/v1/{receipt.gateway_id}/down/receipt/{receipt.device_id}"
    return mqtt_packets.publish(topic, receipt.data, packet_id, again=again)
