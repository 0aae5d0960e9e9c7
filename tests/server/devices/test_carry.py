"""Requests that a phone carries: what arrives is what the gateway closed, once, soon, and only what a session needs."""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from firmware_protocol import cbor
from gateway.carry import Carry
from server.app import create_api
from server.core.clock import FixedClock
from server.core.scope import Scope
from server.devices import service as devices
from server.devices import tasks
from server.devices.models import CarryNonce
from server.devices.schemas import DownKind, GatewayMade
from tests.server.office import DEVICE_ID, Office
from tests.server.world import Client, Company


class Phone:
    """Closes envelopes as the gateway does and carries them; a thief may have another secret."""

    def __init__(self, office: Office, gateway: GatewayMade | None = None) -> None:
        self.office, self.gateway = office, gateway or office.gateway
        self.client = Client(create_api(office.run), headers={"origin": "http://gateway.local:8080"})
        self.key = hmac.digest(hashlib.sha256(self.gateway.secret.encode()).digest(), b"seal/1/carry", "sha256")
        self.nonces = 0

    def mac(self, values: list[Any]) -> str:
        return hmac.digest(self.key, cbor.encode(values), "sha256").hex()

    def envelope(self, path: str, *, method: str = "GET", body: bytes = b"", **changes: Any) -> dict[str, Any]:
        self.nonces += 1
        closed = {
            "gateway_id": self.gateway.gateway.gateway_id,
            "at_ms": round(self.office.run.now().timestamp() * 1000),
            "nonce": self.nonces.to_bytes(16).hex(),
            "method": method,
            "path": path,
            "content_type": "application/json",
            "body": base64.b64encode(body).decode(),
        } | changes
        return closed | {"mac": self.mac(list(closed.values()))}

    def carry(self, envelope: dict[str, Any]) -> Any:
        answer = self.client.post("/gateway/v1/carry", json=envelope)
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer

    def ask(self, path: str, **options: Any) -> dict[str, Any]:
        envelope = self.envelope(path, **options)
        answer: dict[str, Any] = self.carry(envelope).json()
        parts = [envelope["nonce"], *(answer[name] for name in ("status", "content_type", "body", "down"))]
        assert answer["mac"] == self.mac(parts)
        return answer


@pytest.fixture
def phone(office: Office) -> Phone:
    return Phone(office)


def test_a_request_travels_and_the_token_comes_back_with_the_answer(phone: Phone, company: Company) -> None:
    request = company.approved()
    jobs = phone.ask(f"devices/{DEVICE_ID}/jobs?operator_id={company.keeper.id}")
    assert (jobs["status"], jobs["down"]) == (200, [])
    assert str(request.id).encode() in base64.b64decode(jobs["body"])
    wanted = f'{{"request_id": "{request.id}", "nonce": "{"ab" * 16}", "operator_id": "{company.keeper.id}"}}'
    answer = phone.ask(f"devices/{DEVICE_ID}/tokens", method="POST", body=wanted.encode())
    assert answer["status"] == 202
    (down,) = answer["down"]
    assert (down["device_id"], down["kind"]) == (DEVICE_ID, "token")
    again = phone.ask(f"devices/{DEVICE_ID}/jobs")
    assert again["down"] == [down]  # until the gateway says that it arrived


def test_the_gateway_s_own_code_closes_and_opens_it(phone: Phone, office: Office) -> None:
    """Both ends are the shipped ones."""
    import asyncio

    class Clock:
        def now_ms(self) -> int:
            return round(office.run.now().timestamp() * 1000)

    async def there_and_back() -> Any:
        arrived: list[tuple[str, str, bytes]] = []
        carry = Carry(
            gateway_id="gw-madrid",
            secret=office.gateway.secret,
            clock=Clock(),
            random=lambda size: b"r" * size,
            on_down=lambda *order: arrived.append(order),
        )
        sent = asyncio.create_task(
            carry.send("GET", f"devices/{DEVICE_ID}/roster", content_type="application/json", body=b"")
        )
        envelope = await carry.next(reaches=True)
        assert envelope is not None
        answer = await asyncio.to_thread(lambda: phone.carry(envelope).json())
        carry.answer(envelope["nonce"], answer)
        return await sent, arrived

    with office.run.db.write() as db:
        devices.send_down(
            db,
            office.run,
            device_id=DEVICE_ID,
            kind=DownKind.PERMIT,
            payload=b"a permit",
            expires_at=office.run.now().replace(year=2027),
        )
    answered, arrived = asyncio.run(there_and_back())
    assert answered.status == 200
    assert arrived == [("permit", DEVICE_ID, b"a permit")]


def test_an_envelope_counts_once(phone: Phone) -> None:
    envelope = phone.envelope("hello", method="POST", body=b"{}")
    assert phone.carry(envelope).json()["status"] == 422  # it was asked; the inner body says too little
    assert phone.carry(envelope).json()["code"] == "carry_replayed"


def test_an_altered_envelope_is_refused(phone: Phone) -> None:
    envelope = phone.envelope(f"devices/{DEVICE_ID}/jobs")
    other: dict[str, Any] = {
        "at_ms": envelope["at_ms"] + 1,
        "nonce": "ff" * 16,
        "method": "POST",
        "path": f"devices/{DEVICE_ID}/roster",
        "content_type": "text/plain",
        "body": "e30=",
        "gateway_id": "gw-lisbon",
        "mac": "00" * 32,
    }
    assert set(other) == set(envelope)
    for field, value in other.items():
        answer = phone.carry(envelope | {field: value})
        assert (answer.status_code, answer.json()["code"]) == (401, "carry_refused"), field
    assert phone.carry(envelope).status_code == 200


def test_garbage_is_refused(phone: Phone) -> None:
    for data in (b"", b"{", b"[]", b'{"gateway_id": 3}', b"\xff" * 40, b"x" * 2_100_001):
        answer = phone.client.post("/gateway/v1/carry", content=data)
        assert (answer.status_code, answer.json()["code"]) == (401, "carry_refused"), data[:40]


def test_an_old_envelope_is_refused(phone: Phone, clock: FixedClock) -> None:
    envelope = phone.envelope(f"devices/{DEVICE_ID}/jobs")
    clock.advance(301)
    answer = phone.carry(envelope)
    assert (answer.status_code, answer.json()["code"]) == (409, "carry_stale")
    early = phone.envelope(f"devices/{DEVICE_ID}/jobs", at_ms=round(clock.now().timestamp() * 1000) + 301_000)
    assert phone.carry(early).status_code == 409


def test_what_was_asked_for_now_comes_with_the_answer_however_much_is_unconfirmed(
    phone: Phone, office: Office, clock: FixedClock
) -> None:
    """Without a network nothing is ever confirmed: the fourth document of such a day once got no permit."""
    kinds = [DownKind.POLICY, *[DownKind.RECEIPT] * 210, *[DownKind.PERMIT] * 30, *[DownKind.RECEIPT] * 5]
    with office.run.db.write() as db:
        for number, kind in enumerate(kinds):
            clock.advance(timedelta(milliseconds=1))
            devices.send_down(
                db,
                office.run,
                device_id=DEVICE_ID,
                kind=kind,
                payload=number.to_bytes(2),
                expires_at=office.run.now().replace(year=2027),
            )
    down = phone.ask(f"devices/{DEVICE_ID}/jobs")["down"]
    permits = [number.to_bytes(2).hex() for number in range(221, 241)]
    assert [order["payload"] for order in down] == permits, "the newest twenty, in the order in which they were made"


def test_a_foreign_gateway_reaches_only_its_own_devices(phone: Phone, office: Office, company: Company) -> None:
    lisbon = Scope.system(company.tenant.id)
    with office.run.db.write() as db:
        other = devices.enrol_gateway(
            db, office.run, lisbon, gateway_id="gw-lisbon", name="Lisbon", branch_path="/portugal/"
        )
        devices.send_down(
            db,
            office.run,
            device_id=DEVICE_ID,
            kind=DownKind.TOKEN,
            payload=b"for Madrid",
            expires_at=office.run.now().replace(year=2027),
        )
    thief = Phone(office, other)
    answer = thief.ask(f"devices/{DEVICE_ID}/jobs")
    assert (answer["status"], answer["down"]) == (404, [])
    forged = thief.envelope(f"devices/{DEVICE_ID}/jobs", gateway_id="gw-madrid")
    assert thief.carry(forged).status_code == 401
    with office.run.db.write() as db:
        devices.forget_gateway(db, office.run, lisbon, gateway_id="gw-lisbon", reason="stolen")
    assert thief.carry(thief.envelope(f"devices/{DEVICE_ID}/jobs")).status_code == 401


FORBIDDEN = (
    "sessions",
    "pairings",
    "certificate",
    "carry",
    f"blobs/{'0' * 64}",
    f"devices/{DEVICE_ID}/scans",
    f"devices/{DEVICE_ID}/labels",
    f"devices/{DEVICE_ID}/jobs/../../../../api/v1/people",
    f"devices/{DEVICE_ID}/jobs%2f..",
    f"devices/{DEVICE_ID}/jobs\n",
    "../../api/v1/people",
    "/hello",
    "",
)


def test_other_requests_do_not_travel(phone: Phone) -> None:
    for path in FORBIDDEN:
        answer = phone.carry(phone.envelope(path, method="POST"))
        assert (answer.status_code, answer.json()["code"]) == (403, "carry_forbidden"), path


def test_no_header_makes_a_gateway(phone: Phone) -> None:
    for headers in ({"carried_for": "gw-madrid"}, {"carried-for": "gw-madrid"}, {"x-state": "carried_for=gw-madrid"}):
        assert phone.client.get(f"/gateway/v1/devices/{DEVICE_ID}/jobs", headers=headers).status_code == 401


def test_a_browser_may_ask_first_for_this_path_alone(phone: Phone) -> None:
    asked = {"origin": "http://gateway.local:8080", "access-control-request-method": "POST"}
    allowed = phone.client.request("OPTIONS", "/gateway/v1/carry", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-methods"]) == (204, "POST")
    assert "access-control-allow-credentials" not in allowed.headers
    assert phone.client.get("/gateway/v1/carry").status_code == 204
    other = phone.client.request("OPTIONS", "/gateway/v1/hello", headers=asked)
    assert "access-control-allow-origin" not in other.headers


def test_nonces_are_forgotten_when_they_are_stale_anyway(phone: Phone, clock: FixedClock) -> None:
    phone.ask(f"devices/{DEVICE_ID}/jobs")
    clock.advance(3600)
    tasks.tidy_devices(phone.office.run)
    with phone.office.run.db.read() as db:
        assert db.exec(select(CarryNonce)).all() == []
