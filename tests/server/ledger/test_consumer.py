"""The ledger's MQTT client against Mosquitto, the embedded broker, and a broker that this test plays itself."""

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from server.core.clock import FixedClock, SystemClock
from server.core.ports import free_port
from server.ledger import consumer as consumers
from server.ledger import mqtt_link, mqtt_packets
from server.ledger.consumer import ACK, EVENT, STATUS, Consumer, Delivery
from server.ledger.mqtt_link import BrokerAddress
from server.ledger.receipts import OutgoingReceipt

ENOUGH = 400
"""Looks of 50 ms until a wait is given up; the conditions come in milliseconds."""
LOOKS = 4_000
"""The same of 5 ms."""
HELLO = b"\x20\x03\x00\x00\x00"
RESUMED = b"\x20\x03\x01\x00\x00"
SUBSCRIBED = b"\x90\x06\xff\xff\x00\x01\x01\x01"


def event_packet(number: int, *, again: bool = False) -> bytes:
    return mqtt_packets.publish("seal/v1/gw-1/up/evt/CB-1", b"event %d" % number, number, again=again)


def receipt(number: int) -> OutgoingReceipt:
    return OutgoingReceipt(gateway_id="gw-1", device_id="CB-1", data=b"receipt %d" % number)


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Exactly `count`; between them the consumer is looked after as the ledger's loop does."""
    found: list[Delivery] = []
    for _ in range(ENOUGH):
        found += consumer.take(most=count - len(found), timeout_s=0.05)
        if len(found) == count:
            return found
        consumer.watch()
    raise AssertionError(f"{len(found)} of {count} deliveries came")


def until(consumer: Consumer, condition: Callable[[], bool]) -> None:
    """The consumer is looked after until it has come to that."""
    never = threading.Event()
    for _ in range(LOOKS):
        if condition():
            return
        consumer.take(most=0, timeout_s=0)
        consumer.watch()
        never.wait(0.005)
    raise AssertionError("it did not come to that")


class PlayedBroker:
    """Listens; each connection is answered with what the test gives, and what came is kept."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(20)
        self.port: int = self._listening.getsockname()[1]
        self._sock: socket.socket | None = None
        self.connections = 0  # that were greeted

    def accept(self) -> socket.socket:
        self.hang_up()
        self._sock, _ = self._listening.accept()
        self._sock.settimeout(20)
        return self._sock

    @property
    def _open(self) -> socket.socket:
        assert self._sock
        return self._sock

    def greet(self, *answers: bytes) -> bytes:
        """Take a connection and its CONNECT and SUBSCRIBE; returns both."""
        sock = self.accept()
        came = sock.recv(4096)
        self.say(answers[0])
        while b"seal/v1/+/status\x01" not in came:
            came += sock.recv(4096)
        self.say(b"".join(answers[1:]))
        self.connections += 1
        return came

    def say(self, data: bytes) -> None:
        self._open.sendall(data)

    def hear(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises: TimeoutError."""
        heard = b""
        while len(heard) < size:
            heard += self._open.recv(size - len(heard))
        return heard

    def nothing_came(self) -> bool:
        self._open.setblocking(False)
        try:
            self._open.recv(1)
        except BlockingIOError:
            return True
        finally:
            self._open.settimeout(20)
        return False

    def hang_up(self) -> None:
        if self._sock is not None:
            self._sock.close()

    def close(self) -> None:
        self.hang_up()
        self._listening.close()


@pytest.fixture
def played() -> Iterator[PlayedBroker]:
    broker = PlayedBroker()
    yield broker
    broker.close()


@pytest.fixture
def consumer(played: PlayedBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consumer]:
    monkeypatch.setattr(consumers, "RETRY_S", (0.0,))
    made = Consumer(BrokerAddress(host="127.0.0.1", port=played.port), receive_maximum=100, clock=SystemClock())
    yield made
    made.stop()


def connect(consumer: Consumer, played: PlayedBroker, *answers: bytes) -> bytes:
    """The broker is played in a thread of its own while the consumer is looked after here."""
    with ThreadPoolExecutor(1) as pool:
        greeted = pool.submit(played.greet, *(answers or (HELLO, SUBSCRIBED)))
        until(consumer, greeted.done)
        said = greeted.result()
    until(consumer, lambda: consumer._connection == played.connections)
    return said


def test_nothing_is_acknowledged_until_the_ledger_says_so_and_then_all_at_once(
    consumer: Consumer, played: PlayedBroker
) -> None:
    connect(consumer, played)
    played.say(b"".join(event_packet(number) for number in range(1, 6)))
    deliveries = take(consumer, 5)
    consumer.watch()
    assert played.nothing_came()
    consumer.acknowledge(deliveries)
    assert played.hear(20) == mqtt_packets.pubacks(range(1, 6))
    assert [one.payload for one in deliveries] == [b"event %d" % number for number in range(1, 6)]


def test_connect_keeps_the_session_and_says_how_much_may_come(consumer: Consumer, played: PlayedBroker) -> None:
    said = connect(consumer, played)
    expected = mqtt_packets.Connect(
        client_id=consumers.CLIENT_ID,
        keepalive_s=consumers.KEEPALIVE_S,
        session_expiry_s=consumers.SESSION_EXPIRY_S,
        receive_maximum=100,
    )
    assert said == expected.packet() + mqtt_packets.subscribe(0xFFFF, consumers.SUBSCRIPTIONS)


def test_what_an_earlier_connection_brought_is_not_acknowledged_on_this_one(
    consumer: Consumer, played: PlayedBroker
) -> None:
    connect(consumer, played)
    played.say(event_packet(1))
    old = take(consumer, 1)
    played.hang_up()
    connect(consumer, played, RESUMED, SUBSCRIBED)
    played.say(event_packet(1, again=True))
    again = take(consumer, 1)
    consumer.acknowledge(old)
    consumer.watch()
    assert played.nothing_came()
    consumer.acknowledge(again)
    assert played.hear(4) == mqtt_packets.pubacks([1])


@pytest.mark.parametrize(
    "bad",
    [b"\x34\x05\x00\x01a\x00\x01", b"\x62\x02\x00\x01", b"\x00\x00", HELLO, b"\xe0\x01\x8e", b"\x32\xff\xff\xff\xff"],
)
def test_broker_that_breaks_the_rules_is_left_and_dialled_again(
    consumer: Consumer, played: PlayedBroker, bad: bytes
) -> None:
    connect(consumer, played)
    played.say(event_packet(1) + bad)
    connect(consumer, played, RESUMED, SUBSCRIBED)
    played.say(event_packet(1, again=True))
    assert take(consumer, 1)[-1].payload == b"event 1"


@pytest.mark.parametrize("answer", [b"\x20\x03\x00\x87\x00", b"\xd0\x00", b"\x32\x01\x00", b"H\x02TP"])
def test_broker_that_refuses_is_asked_again(consumer: Consumer, played: PlayedBroker, answer: bytes) -> None:
    consumer.watch()
    played.accept().sendall(answer)
    connect(consumer, played)


def test_refused_subscription_is_no_connection(consumer: Consumer, played: PlayedBroker) -> None:
    connect(consumer, played, HELLO, b"\x90\x06\xff\xff\x00\x01\x87\x01")
    connect(consumer, played)
    assert consumer._connection == 2


def test_topic_nobody_asked_for_is_put_away_and_does_not_come_again(consumer: Consumer, played: PlayedBroker) -> None:
    connect(consumer, played)
    played.say(mqtt_packets.publish("seal/v1/x/up/what/y", b"?", 4) + event_packet(5))
    assert [one.packet_id for one in take(consumer, 1)] == [5]
    assert played.hear(4) == mqtt_packets.pubacks([4])


def test_kinds_are_told_apart_by_topic(consumer: Consumer, played: PlayedBroker) -> None:
    connect(consumer, played)
    topics = ("seal/v1/g/up/evt/d", "seal/v1/g/up/ack/d", "seal/v1/g/status")
    played.say(b"".join(mqtt_packets.publish(topic, b"", number) for number, topic in enumerate(topics, start=1)))
    assert [(one.kind, one.gateway_id, one.device_id) for one in take(consumer, 3)] == [
        (EVENT, "g", "d"),
        (ACK, "g", "d"),
        (STATUS, "g", ""),
    ]


def test_receipts_without_an_answer_go_again_under_their_identifier(consumer: Consumer, played: PlayedBroker) -> None:
    connect(consumer, played)
    consumer.send_receipts([receipt(1), receipt(2)])
    topic = "seal/v1/gw-1/down/receipt/CB-1"
    first, second = (mqtt_packets.publish(topic, b"receipt %d" % number, number) for number in (1, 2))
    assert played.hear(len(first + second)) == first + second
    played.say(mqtt_packets.pubacks([1]))
    until(consumer, lambda: len(consumer._in_flight) == 1)
    played.hang_up()
    connect(consumer, played, RESUMED, SUBSCRIBED)
    again = mqtt_packets.publish(topic, b"receipt 2", 2, again=True)
    assert played.hear(len(again)) == again


def test_receipts_stay_in_the_window_that_the_broker_allows(consumer: Consumer, played: PlayedBroker) -> None:
    window = b"\x20\x06\x00\x00\x03\x21\x00\x02"
    connect(consumer, played, window, SUBSCRIBED)
    consumer.send_receipts([receipt(number) for number in range(1, 6)])
    size = len(mqtt_packets.publish("seal/v1/gw-1/down/receipt/CB-1", b"receipt 1", 1))
    sent = b""
    for acknowledged in ([1, 2], [3, 4], [5]):
        sent += played.hear(size * len(acknowledged))
        consumer.watch()
        assert played.nothing_came()
        played.say(mqtt_packets.pubacks(acknowledged))
        until(consumer, lambda done=acknowledged: not any(one in consumer._in_flight for one in done))  # type: ignore[misc]
    assert [packet.payload for packet in mqtt_packets.Reader().feed(sent)] == [  # type: ignore[union-attr]
        b"receipt %d" % number for number in range(1, 6)
    ]


def test_silent_broker_is_pinged_and_then_given_up(played: PlayedBroker) -> None:
    clock = FixedClock()
    consumer = Consumer(BrokerAddress(host="127.0.0.1", port=played.port), receive_maximum=10, clock=clock)
    connect(consumer, played)
    clock.advance(consumers.KEEPALIVE_S / 2 + 1)
    consumer.watch()
    assert played.hear(2) == mqtt_packets.PING
    played.say(b"\xd0\x00")
    until(consumer, lambda: consumer._link is not None and consumer._link._asked_at is None)
    clock.advance(consumers.KEEPALIVE_S / 2 + 1)
    consumer.watch()
    assert played.hear(2) == mqtt_packets.PING
    clock.advance(consumers.KEEPALIVE_S + 1)
    consumer.watch()
    assert not consumer.connected
    consumer.stop()


def test_silent_broker_is_dialled_again_and_the_session_goes_on(played: PlayedBroker) -> None:
    clock = FixedClock()
    consumer = Consumer(BrokerAddress(host="127.0.0.1", port=played.port), receive_maximum=10, clock=clock)
    connect(consumer, played)
    clock.advance(consumers.KEEPALIVE_S / 2 + 1)
    consumer.watch()
    clock.advance(consumers.KEEPALIVE_S + 1)
    consumer.watch()
    assert not consumer.connected
    consumer.watch()
    assert consumer._dialling is None  # it is left in peace for a moment
    clock.advance(consumers.RETRY_S[0])
    connect(consumer, played, RESUMED, SUBSCRIBED)
    played.say(event_packet(1, again=True))
    (event,) = take(consumer, 1)
    assert (event.payload, event.connection) == (b"event 1", 2)
    consumer.stop()


def test_broker_that_takes_the_connection_and_says_nothing_is_given_up(
    played: PlayedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that dials waits for it; the ledger's own thread goes on, and has it dialled again."""
    monkeypatch.setattr(mqtt_link, "HANDSHAKE_S", 0.05)
    clock = FixedClock()
    consumer = Consumer(BrokerAddress(host="127.0.0.1", port=played.port), receive_maximum=10, clock=clock)
    consumer.watch()
    silent, dialling = played.accept(), consumer._dialling
    assert (consumer.take(most=1, timeout_s=0), consumer.connected) == ([], False)
    until(consumer, lambda: consumer._failures == 1)
    assert silent.recv(4096).startswith(b"\x10")  # CONNECT
    assert silent.recv(1) == b""
    assert dialling is not None
    dialling.join(20)
    assert not dialling.is_alive()
    monkeypatch.undo()
    clock.advance(consumers.RETRY_S[0])
    connect(consumer, played)
    consumer.stop()


def test_broker_that_greets_byte_by_byte_is_given_up_in_time(played: PlayedBroker) -> None:
    clock = FixedClock()
    consumer = Consumer(BrokerAddress(host="127.0.0.1", port=played.port), receive_maximum=10, clock=clock)
    consumer.watch()
    slow = played.accept()
    assert slow.recv(4096).startswith(b"\x10")
    slow.sendall(HELLO[:1])
    clock.advance(mqtt_link.HANDSHAKE_S)
    slow.sendall(HELLO[1:2])
    until(consumer, lambda: consumer._failures == 1)
    assert not consumer.connected
    clock.advance(consumers.RETRY_S[0])
    connect(consumer, played)
    consumer.stop()


def test_end_is_said_to_the_broker(consumer: Consumer, played: PlayedBroker) -> None:
    connect(consumer, played)
    consumer.stop()
    assert played.hear(2) == mqtt_packets.GOODBYE


def test_broker_that_is_away_costs_no_time() -> None:
    consumer = Consumer(BrokerAddress(host="127.0.0.1", port=free_port()), receive_maximum=10, clock=FixedClock())
    consumer.watch()
    assert consumer.take(most=1, timeout_s=0) == []
    assert not consumer.connected
    until(consumer, lambda: consumer._failures > 0)
    assert consumer._next_try == consumers.RETRY_S[0]
    consumer.stop()


@pytest.fixture(params=["mosquitto", "embedded"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    if request.param == "mosquitto":
        yield request.getfixturevalue("mosquitto").port
        return
    number = free_port()
    ours, theirs = os.pipe()
    environment = os.environ | {
        "CINNABAR_HOME": str(tmp_path),
        "CINNABAR_MQTT_PORT": str(number),
        "CINNABAR_READY_FD": str(theirs),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "server.core.role_process", "broker"], env=environment, pass_fds=[theirs]
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        assert pipe.readline() == b"ready\n"
    yield number
    process.kill()
    process.wait()


def test_real_broker_sends_again_what_was_not_acknowledged_and_takes_receipts(port: int) -> None:
    """The first client dies with everything unacknowledged; the second gets all of it, acknowledges, and is done."""
    address = BrokerAddress(host="127.0.0.1", port=port)
    first = Consumer(address, receive_maximum=100, clock=SystemClock())
    first.start(wait_s=20)
    heard: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    gateway = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="gw-1", protocol=mqtt.MQTTv5)
    gateway.on_message = lambda _client, _userdata, message: heard.put(bytes(message.payload))
    gateway.on_subscribe = lambda *_: subscribed.set()
    gateway.connect("127.0.0.1", port, bind_address="127.0.0.1")
    gateway.loop_start()
    gateway.subscribe("seal/v1/gw-1/down/receipt/+", qos=1)
    assert subscribed.wait(20)
    payloads = [b"%d" % number for number in range(60)]
    for payload in payloads:
        gateway.publish("seal/v1/gw-1/up/evt/CB-1", payload, qos=1)
    assert [one.payload for one in take(first, 60)] == payloads
    assert first._link
    first._link.close()  # without a goodbye, as a process that was killed

    second = Consumer(address, receive_maximum=100, clock=SystemClock())
    second.start(wait_s=20)
    deliveries = take(second, 60)
    assert sorted(one.payload for one in deliveries) == sorted(payloads)
    second.acknowledge(deliveries)
    second.send_receipts([receipt(1), receipt(2)])
    assert [heard.get(timeout=20), heard.get(timeout=20)] == [b"receipt 1", b"receipt 2"]
    until(second, lambda: not second._in_flight)
    second.stop()

    third = Consumer(address, receive_maximum=100, clock=SystemClock())
    third.start(wait_s=20)
    gateway.publish("seal/v1/gw-1/up/evt/CB-1", b"last", qos=1)
    assert take(third, 1)[0].payload == b"last"
    third.stop()
    gateway.disconnect()
    gateway.loop_stop()
