"""The same story over a real Mosquitto, with an access list that holds each gateway to its own topics."""

from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.demo import story
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from tests.fixtures import running
from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.running import books, finish, fsck, started

RULES = """\
topic readwrite seal/v1/#
pattern write seal/v1/%u/up/#
pattern write seal/v1/%u/status
pattern read seal/v1/%u/down/#
"""
"""The server is the anonymous one, on loopback; a gateway is its user name."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("mosquitto")
    rules = folder / "rules.acl"
    rules.write_text(RULES)
    rules.chmod(0o600)
    broker = Mosquitto(folder, settings=f"acl_file {rules}\n")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINNABAR_MQTT_URL", f"mqtt://127.0.0.1:{broker.port}")
        with running.running(tmp_path_factory.mktemp("company")) as stage:
            yield stage


pytestmark = pytest.mark.usefixtures("logs")


def test_the_same_story_comes_out_the_same(company: Stage, broker: Mosquitto) -> None:
    assert company.company.server.ready["mqtt"] == f"127.0.0.1:{broker.port}"
    assert "broker" not in company.company.server.ready["pids"]
    story.play(company, story.STAMPING)
    row = books(company).row(company.request_id)
    assert (row["pressed"], row["granted"], row["state"]) == (1, 1, "done"), row
    fsck(company)


def test_a_broker_killed_in_the_middle_of_a_job_loses_nothing(company: Stage, broker: Mosquitto) -> None:
    request = started(company)
    broker.kill()  # it kept its queues in memory: all of them are gone
    until("broker", "the gateway noticing", lambda: not company.at_gateway.get("broker", "/api/state")["uplink"])
    broker.start()
    finish(company, request)
    fsck(company)


def test_a_gateway_hears_no_other_gateways_orders(company: Stage, broker: Mosquitto) -> None:
    heard: list[str] = []
    granted: list[object] = []
    spy = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gw-other", protocol=mqtt.MQTTv5)
    spy.username_pw_set("gw-other")
    spy.on_message = lambda _client, _data, message: heard.append(message.topic)
    spy.on_subscribe = lambda *facts: granted.append(facts)
    spy.on_connect = lambda client, *_: client.subscribe("seal/v1/#", qos=1)
    spy.connect("127.0.0.1", broker.port, bind_address="127.0.0.1")
    spy.loop_start()
    try:
        until("spy", "its subscription", lambda: bool(granted))
        finish(company, started(company))
    finally:
        spy.disconnect()
        spy.loop_stop()
    assert heard == []
