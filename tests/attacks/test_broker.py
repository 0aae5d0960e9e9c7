"""The broker belongs to nobody we trust: what it invents is not believed, and nothing needs it to remember."""

import os
import random
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.demo import mishaps
from dashboard.demo.cast import GATEWAY
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import events
from firmware_protocol.events import Event, EventType, Header
from server.core.scope import Scope
from server.ledger import service as ledger
from server.ledger.schemas import DeviceHead, SetAsideRead
from tests.fixtures.running import at_headquarters, books, finish, fsck, lay, started, wait_for_step


class StrangersKey:
    """A key that nobody enrolled."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


@pytest.fixture
def intruder(stage: Stage) -> Iterator[mqtt.Client]:
    """Somebody on the broker, under a name of their own."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="intruder", protocol=mqtt.MQTTv5)
    host, _, port = stage.company.server.ready["mqtt"].rpartition(":")
    client.connect(host, int(port), bind_address="127.0.0.1")
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def publish(client: mqtt.Client, topic: str, payload: bytes) -> None:
    client.publish(topic, payload, qos=1).wait_for_publish(10)


def head(stage: Stage) -> DeviceHead:
    with at_headquarters(stage) as run, run.db.read() as db:
        return ledger.device_heads(db, Scope.system(stage.players.tenant_id))[0]


def set_aside(stage: Stage) -> list[SetAsideRead]:
    with at_headquarters(stage) as run, run.db.read() as db:
        return ledger.set_aside(db, Scope.system(stage.players.tenant_id))


def test_events_with_a_bad_signature_are_set_aside_and_the_device_goes_on(stage: Stage, intruder: mqtt.Client) -> None:
    books(stage)
    before, aside = head(stage), len(set_aside(stage))
    header = Header(
        device_id=stage.device_id,
        generation=before.generation,
        seq=before.last_seq + 1,
        boot=9,
        event_type=EventType.EXTRA_STROKE,
        uptime_ms=1,
        counter=999,
        head_id=bytes(8),
        firmware="forged",
        previous=bytes(32),
    )
    forged = events.sign(Event(header=header, body=events.ExtraStroke(strokes=900)), key=StrangersKey())
    with at_headquarters(stage) as run, run.db.read() as db:
        mine = [leaf.leaf for leaf in ledger.leaves(db, first=0, last=ledger.head(db)[0] - 1) if leaf.device_id]
    spoilt = mine[-1][:-1] + bytes([mine[-1][-1] ^ 1])  # the device's own last event, one bit of its signature other
    for payload in (forged, spoilt, spoilt[:50], b"", b"\xff" * 300):
        publish(intruder, f"seal/v1/{GATEWAY}/up/evt/{stage.device_id}", payload)
    until("ledger", "the forged events being set aside", lambda: len(set_aside(stage)) >= aside + 4)
    reasons = {found.reason.value for found in set_aside(stage)}
    assert {"unknown_key", "bad_signature", "malformed"} <= reasons
    assert (head(stage).last_seq, head(stage).quarantined_at) == (before.last_seq, None)
    finish(stage, started(stage))
    fsck(stage)


def test_orders_that_the_broker_invents_change_nothing(stage: Stage, intruder: mqtt.Client, rng: random.Random) -> None:
    request = started(stage)
    for kind in ("token", "permit", "receipt", "policy", "nonsense"):
        for payload in (b"", rng.randbytes(200), b"\xd2" + rng.randbytes(120)):
            publish(intruder, f"seal/v1/{GATEWAY}/down/{kind}/{stage.device_id}", payload)
    finish(stage, request)


def test_a_broker_that_dies_in_the_middle_of_a_job_comes_back_and_nothing_is_lost(stage: Stage) -> None:
    request = started(stage)
    lay(stage)
    died = mishaps.role_pid(stage, "broker")
    mishaps.kill(stage, "broker")
    assert stage.beside.pull()["pressed"] is True  # the right to this stroke is in the device
    wait_for_step(stage, "stamped", "done")
    until("broker", "the supervisor starting it again", lambda: _other(stage, died), timeout_s=30)
    row = books(stage).row(request)
    assert (row["pressed"], row["not_confirmed"], row["granted"]) == (1, 0, 1), row
    fsck(stage)


def _other(stage: Stage, died: int) -> bool:
    try:
        return mishaps.role_pid(stage, "broker") not in (died, os.getpid())
    except mishaps.StoryFailed:
        return False
