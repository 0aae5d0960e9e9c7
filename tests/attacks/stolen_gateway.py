"""Somebody with a gateway's secret and its cable to the device: everything a gateway can do, and nothing honest."""

import contextlib
import queue
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
import paho.mqtt.client as mqtt
import serial
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.demo.callers import Booth, Json
from dashboard.demo.cast import GATEWAY
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import cose, messages, tokens
from firmware_protocol.framing import FrameDecoder, encode_frame
from firmware_protocol.messages import Message, Refused
from firmware_protocol.reasons import Reason

M = TypeVar("M")
PATIENCE_S = 10.0


class StolenGateway:
    """Synchronous: one frame out, wait for the reply. `orders`: what headquarters sent down, as (kind, bytes)."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.orders: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._ids = iter(range(1000, 60_000))
        self._port = serial.Serial(str(stage.company.folder / "device" / "control"), 115_200, timeout=0.2)
        self._frames = FrameDecoder()
        context = ssl.create_default_context(cafile=str(stage.company.home / "tls" / "ca.pem"))
        self._web = httpx.Client(
            base_url=stage.company.server.ready["web"] + "/gateway/v1",
            headers={"Authorization": f"Bearer {stage.players.gateway_secret}"},
            verify=context,
            timeout=20,
            trust_env=False,
        )
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=GATEWAY, protocol=mqtt.MQTTv5)
        self._mqtt.on_message = lambda _client, _data, said: self.orders.put((said.topic.split("/")[4], said.payload))
        ready: queue.Queue[object] = queue.Queue()
        self._mqtt.on_subscribe = lambda *facts: ready.put(facts)
        self._mqtt.on_connect = lambda client, *_: client.subscribe(f"seal/v1/{GATEWAY}/down/#", qos=1)
        host, _, port = stage.company.server.ready["mqtt"].rpartition(":")
        self._mqtt.connect(host, int(port), bind_address="127.0.0.1")
        self._mqtt.loop_start()
        ready.get(timeout=PATIENCE_S)
        self.ask(messages.HelloRequest(), messages.Hello)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
        self._web.close()
        self._port.close()

    def ask(self, request: Message, reply: type[M]) -> M:
        answer = self.say(request)
        assert isinstance(answer, reply), answer
        return answer

    def refused(self, request: Message) -> Reason:
        answer = self.say(request)
        assert isinstance(answer, Refused), answer
        return answer.reason

    def say(self, request: Message) -> Message:
        number = next(self._ids)
        self.write(encode_frame(messages.encode(request, msg_id=number)))
        found: list[Message] = []

        def replied() -> bool:
            for message in self._frames.feed(self._port.read(max(1, self._port.in_waiting))):
                envelope = messages.decode(message)
                if envelope.msg_id == number and messages.TYPE_OF[type(envelope.message)] & messages.REPLY:
                    found.append(envelope.message)
            return bool(found)

        until("cable", f"a reply to {type(request).__name__}", replied, timeout_s=PATIENCE_S)
        return found[0]

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def publish(self, topic: str, payload: bytes) -> None:
        self._mqtt.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)

    # What headquarters gives to who holds the secret

    def order(self, kind: str) -> bytes:
        """The next signed order of this kind."""
        while True:
            found, data = self.orders.get(timeout=PATIENCE_S)
            if found == kind:
                return data

    def token(self, request_id: str) -> bytes:
        """A real one, for this device and its nonce."""
        device = self.stage.device_id
        pin = {"device_id": device, "username": "keeper", "pin": self.stage.players.keeper_pin}
        operator = self.post("sessions", json=pin).json()["operator_id"]
        nonce = self.ask(messages.ChallengeRequest(), messages.Challenge).nonce
        body = {"request_id": request_id, "nonce": nonce.hex(), "operator_id": str(UUID(operator))}
        self.post(f"devices/{device}/tokens", json=body)
        while tokens.read(cose.parse1(found := self.order("token")).payload).nonce != nonce:
            pass  # headquarters sent an older one again
        return found

    def post(self, path: str, **request: Any) -> httpx.Response:
        answer = self.try_post(path, **request)
        assert answer.is_success, answer.text
        return answer

    def try_post(self, path: str, **request: Any) -> httpx.Response:
        return self._web.post(path, **request)

    def try_put(self, path: str, data: bytes) -> httpx.Response:
        """A whole photo in one piece."""
        return self._web.put(path, content=data, headers={"Upload-Offset": "0", "Upload-Length": str(len(data))})


@contextmanager
def stolen(stage: Stage) -> Iterator[StolenGateway]:
    """The keeper is signed in at the device, and went for a coffee. The honest gateway is off meanwhile, and carries on
    afterwards as if nothing had been.
    """
    until("keeper", "the keeper being signed in at the device", lambda: _sign_in(stage)["at_device"])
    stage.at_gateway.close()
    stage.company.gateway.stop()
    try:
        with contextlib.closing(StolenGateway(stage)) as thief:
            yield thief
    finally:
        stage.booth = Booth(stage.company.gateway.start()["session_url"].rstrip("/"))
        until("gateway", "the honest gateway finding the device", lambda: stage.at_gateway.device("back")["online"])


def _sign_in(stage: Stage) -> Json:
    path = f"/api/devices/{stage.device_id}/sign-in"
    answer: Json = stage.at_gateway.post("keeper", path, {"username": "keeper", "pin": stage.players.keeper_pin})
    return answer
