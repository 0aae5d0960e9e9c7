"""The way down over a real broker: after the commit, again until it arrived; and what gateways say of themselves."""

import contextlib
import hashlib
import json
import queue
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest

from server.core.clock import FixedClock
from server.devices import outbox
from server.devices.downlink import Downlink
from server.devices.live import LiveDevices
from server.devices.schemas import DownKind
from tests.fixtures.mosquitto import Mosquitto
from tests.server.office import Office

TOPIC = "seal/v1/gw-madrid/down/token/MAD-0001"


class Box:
    """The gateway's end: a plain MQTT client."""

    def __init__(self, broker: Mosquitto) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = lambda _c, _d, message: self.heard.put((message.topic, message.payload))
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect(broker.host, broker.port, bind_address=broker.host)
        self._client.subscribe("seal/v1/gw-madrid/down/#", qos=1)
        self._client.loop_start()
        assert ready.wait(5)

    def say(self, topic: str, words: object, *, raw: bytes | None = None) -> None:
        payload = json.dumps(words).encode() if raw is None else raw
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def live(clock: FixedClock) -> LiveDevices:
    return LiveDevices(clock)


@pytest.fixture
def changed() -> queue.Queue[str]:
    return queue.Queue()


@pytest.fixture
def down(office: Office, mosquitto: Mosquitto, changed: queue.Queue[str], clock: FixedClock) -> Iterator[Downlink]:
    live = LiveDevices(clock, on_change=changed.put)
    downlink = Downlink(office.run, live, host=mosquitto.host, port=mosquitto.port)
    downlink.live = live  # type: ignore[attr-defined] # for the tests below
    downlink.start()
    assert downlink.wait_connected(10)
    yield downlink
    downlink.stop()


@pytest.fixture
def box(mosquitto: Mosquitto, down: Downlink) -> Iterator[Box]:
    box = Box(mosquitto)
    yield box
    box.close()


def send(office: Office, payload: bytes) -> None:
    with office.run.db.write() as db:
        outbox.send_down(
            db,
            office.run,
            device_id="MAD-0001",
            kind=DownKind.TOKEN,
            payload=payload,
            expires_at=office.run.now().replace(year=2027),
        )


def heard_again(box: Box, clock: FixedClock) -> tuple[str, bytes]:
    """The next message, however late the sender noted when it sent the last."""
    for _try in range(10):
        clock.advance(11)
        with contextlib.suppress(queue.Empty):
            return box.heard.get(timeout=2)
    raise AssertionError("nothing was sent again")


def test_a_message_goes_down_after_the_commit_and_again_until_it_arrived(
    office: Office, box: Box, clock: FixedClock, changed: queue.Queue[str]
) -> None:
    send(office, b"token bytes")
    assert box.heard.get(timeout=10) == (TOPIC, b"token bytes")
    assert heard_again(box, clock) == (TOPIC, b"token bytes")
    digest = hashlib.sha256(b"token bytes").hexdigest()
    box.say("seal/v1/gw-other/up/ack/MAD-0001", {"kind": "token", "sha256": digest})
    box.say("seal/v1/gw-madrid/up/ack/MAD-0001", {"kind": "token", "sha256": digest})
    box.say("seal/v1/gw-madrid/up/state/MAD-0001", {"state": 1, "online": True, "at_ms": 1})
    assert changed.get(timeout=10) == "MAD-0001"  # said after the ack, heard after it
    clock.advance(11)
    with office.run.db.read() as db:
        assert outbox.due(db, office.run.now()) == []


def fail_after_queueing(office: Office) -> None:
    with office.run.db.write() as db:
        outbox.send_down(
            db,
            office.run,
            device_id="MAD-0001",
            kind=DownKind.TOKEN,
            payload=b"never",
            expires_at=office.run.now().replace(year=2027),
        )
        raise RuntimeError("power cut")


def test_nothing_goes_down_when_the_transaction_fails(office: Office, box: Box) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        fail_after_queueing(office)
    send(office, b"second")
    assert box.heard.get(timeout=10) == (TOPIC, b"second")


@pytest.mark.parametrize("garbage", [b"{", b"[]", b"\xff\xfe", b'{"sha256": 5}', b"x" * 10_000])
def test_garbage_from_a_gateway_does_not_end_the_client(
    office: Office, box: Box, changed: queue.Queue[str], garbage: bytes
) -> None:
    for level in ("state", "ack"):
        box.say(f"seal/v1/gw-madrid/up/{level}/MAD-0001", None, raw=garbage)
    box.say("seal/v1/gw-madrid/status", None, raw=garbage)
    box.say("seal/v1/gw-madrid/up/state/MAD-0002", {"state": 0, "online": True, "at_ms": 1})
    heard = changed.get(timeout=10)
    while heard != "MAD-0002":  # some garbage is well-formed words, taken as a state
        heard = changed.get(timeout=10)


def test_live_state_grows_stale(live: LiveDevices, clock: FixedClock) -> None:
    live.hear_gateway("gw", {"state": "ready", "birth": 2, "session_url": "http://127.0.0.1:1/"})
    live.hear_device("gw", "D", {"state": 3, "online": True, "at_ms": 1})
    heard = clock.now()
    fresh = live.device("D")
    assert fresh is not None
    assert (fresh.status, fresh.stale_since) == ({"state": 3}, None)
    clock.advance(11)
    old = live.device("D")
    assert old is not None
    assert old.stale_since == heard


def test_a_late_will_of_an_earlier_birth_is_ignored(live: LiveDevices, clock: FixedClock) -> None:
    live.hear_gateway("gw", {"state": "ready", "birth": 2, "session_url": "u"})
    live.hear_device("gw", "D", {"state": 0, "online": True})
    live.hear_gateway("gw", {"state": "lost", "birth": 1})
    still = live.device("D")
    assert still is not None
    assert still.online
    live.hear_gateway("gw", {"state": "lost", "birth": 2})
    lost = live.device("D")
    assert lost is not None
    assert (lost.online, lost.stale_since) == (False, clock.now())
    gateway = live.gateway("gw")
    assert gateway is not None
    assert gateway.session_url == "u"
