"""The server's orders at the device's own core: paired for real, its signed events in the ledger, both sides agree."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from firmware_protocol import events, messages, operators, orders
from firmware_protocol.orders import Terms
from firmware_protocol.purposes import Purpose
from server.core.scope import Role
from server.devices import outbox
from server.devices import service as devices
from server.devices.publishing import enrolled_keys
from server.devices.schemas import (
    DeviceRead,
    DeviceState,
    HelloDevice,
    HelloIn,
    PairingDeviceIn,
    ServiceIn,
    ServiceWork,
)
from server.events import service as event_service
from server.identity import service as identity
from server.ledger import service as ledger
from server.ledger.schemas import LeafKind
from server.verification.trust import DeviceStatus
from tests.device_sim.installation import DEVICE_ID
from tests.device_sim.world import World
from tests.server.office import Office
from tests.server.world import HEAD, PIN, Company


@dataclass
class Bench:
    """A device core beside the server; a gateway that carries faithfully, and two administrators."""

    office: Office
    world: World
    second: UUID

    @property
    def company(self) -> Company:
        return self.office.company

    def said(self) -> messages.Hello:
        answer = self.world.ask(messages.HelloRequest())
        assert isinstance(answer, messages.Hello), answer
        return answer

    def pair(self) -> None:
        run, gateway = self.office.run, self.office.gateway.gateway
        with run.db.write() as db:
            opened = devices.start_pairing(db, run, gateway, device_id=DEVICE_ID)
        assert self.world.device.press_pairing_button()
        answer = self.world.ask(messages.PairCommitRequest(commitment=opened.commitment))
        assert isinstance(answer, messages.PairDevice), answer
        said = PairingDeviceIn(
            device_id=DEVICE_ID,
            public_key=answer.public_key.hex(),
            nonce=answer.nonce.hex(),
            generation=self.said().generation,
        )
        with run.db.write() as db:
            terms = devices.device_answer(db, run, gateway, pairing_id=opened.pairing_id, said=said).terms
        self.world.ask(messages.PairTermsRequest(terms=Terms(**terms.model_dump())))
        with run.db.write() as db:
            (waiting,) = devices.open_pairings(db, run, self.company.everywhere)
            assert waiting.digits == self.world.device.digits
            devices.confirm_pairing(db, run, self.company.scope(self.company.admin), pairing_id=opened.pairing_id)
        assert self.world.device.confirm_pairing()
        self.carry()

    def hello(self) -> None:
        now = self.said()
        said = HelloDevice(
            device_id=DEVICE_ID,
            public_key=now.public_key.hex(),
            generation=now.generation,
            model="sim",
            firmware="1",
            heads=[head.hex() for head in now.heads],
            last_seq=now.last_seq,
            acked_seq=0,
            counter=0,
            boot=1,
            paired=True,
            features=now.features,
        )
        with self.office.run.db.write() as db:
            body = HelloIn(gateway_id="gw-madrid", version="1", devices=[said])
            devices.hello(db, self.office.run, self.office.gateway.gateway, body)

    def carry(self) -> None:
        """Every new event of the device into the ledger and the projections."""
        run, fresh = self.office.run, []
        for seq in range(self.said().acked_seq + 1, self.said().last_seq + 1):
            answer = self.world.ask(messages.ReadEventRequest(seq=seq))
            assert isinstance(answer, messages.SignedEvent), answer
            fresh.append(answer.event)
        with run.db.write() as db:
            for signed in fresh:
                ledger.enqueue(
                    db,
                    kind=LeafKind.EVENT,
                    leaf=signed,
                    tenant_id=self.company.tenant.id,
                    branch_path="/spain/madrid/",
                    now=run.now(),
                    source="gw-madrid",
                )
        self.office.projected.clear()
        self.office.sequencer.commit([])
        for first, last in self.office.projected:
            event_service.project(run, first=first, last=last)
        if fresh:
            self.receipt(fresh[-1])

    def receipt(self, newest: bytes) -> None:
        """What the ledger's receipt says once these events are in it."""
        header = events.peek(newest).header
        receipt = orders.Receipt(
            device_id=DEVICE_ID,
            generation=header.generation,
            up_to_seq=header.seq,
            chain_hash=events.chain_hash(newest),
            photo_digests=(),
        )
        signed = orders.sign(receipt, key=devices.issuer(self.office.run, Purpose.RECEIPT))
        assert self.world.ask(messages.ReceiptRequest(receipt=signed)) == messages.Accepted()

    def deliver(self, kind: str) -> list[messages.Message]:
        """What waits for the device goes down, and what the device says to it."""
        with self.office.run.db.read() as db:
            due = [row for row in outbox.due(db, self.office.run.now()) if row.device_id == DEVICE_ID]
        payloads = [row.payload for row in due if row.kind == kind]
        asked = {
            "policy": lambda payload: messages.PolicyRequest(policy=payload),
            "roster": lambda payload: messages.RosterRequest(roster=payload),
        }[kind]
        return [self.world.ask(asked(payload)) for payload in payloads]

    def order(self, kind: ServiceWork) -> None:
        run, company = self.office.run, self.company
        with run.db.write() as db:
            form = ServiceIn(kind=kind, reason="as planned")
            proposed = devices.propose_service(db, run, company.scope(company.admin), device_id=DEVICE_ID, form=form)
        with run.db.write() as db:
            second = company.scope(identity.person(db, company.everywhere, self.second))
            devices.confirm_service(db, run, second, service_id=proposed.id)
        assert self.deliver("policy") == [messages.Accepted()]
        self.carry()

    def seen(self) -> DeviceRead:
        with self.office.run.db.read() as db:
            return devices.device(db, self.company.everywhere, DEVICE_ID)


@pytest.fixture
def bench(office: Office, with_passwords: Company) -> Bench:
    run = office.run
    with run.db.write() as db:
        person = identity.add_person(
            db, run, office.company.everywhere, username="second", name="Second Admin", branch_path="/"
        )
        identity.set_role(
            db, run, office.company.everywhere, person_id=person.id, role=Role.ADMINISTRATOR, branch_path="/"
        )
    made = Bench(office=office, world=World(paired=False), second=person.id)
    made.world.device.head_seen(0, HEAD)
    made.pair()
    made.hello()
    return made


def test_the_device_takes_the_roster_and_knows_its_keeper(bench: Bench) -> None:
    with bench.office.run.db.write() as db:
        roster = devices.roster(db, bench.office.run, bench.office.gateway.gateway, device_id=DEVICE_ID)
    assert bench.deliver("roster") == [messages.Accepted()]
    (person,) = roster.people
    (way,) = person.methods

    def identify(pin: str) -> messages.Message:
        proof = operators.proof(pin, salt=way.salt)
        return bench.world.ask(messages.OperatorRequest(operator=person.operator, method=way.method, proof=proof))

    assert isinstance(identify("0000"), messages.Refused)
    assert identify(PIN) == messages.Accepted()
    assert bench.world.device.status.operator == bench.company.keeper.operator


def test_two_people_clear_what_the_device_latched(bench: Bench) -> None:
    bench.world.device.cover_moved(closed=False)
    bench.world.device.cover_moved(closed=True)
    bench.carry()
    assert (bench.seen().tamper, bench.world.device.state) == ("cover", messages.State.TAMPERED)
    bench.order(ServiceWork.CLEAR_TAMPER)
    assert bench.seen().tamper is None
    assert bench.world.device.state is not messages.State.TAMPERED


def test_a_released_device_comes_back_with_its_next_key(bench: Bench) -> None:
    assert (bench.seen().state, bench.seen().generation) == (DeviceState.ACTIVE, 1)
    bench.order(ServiceWork.RELEASE)
    assert bench.seen().state is DeviceState.RELEASED
    bench.pair()
    bench.hello()
    again = bench.seen()
    assert (again.state, again.generation) == (DeviceState.ACTIVE, 2)
    with bench.office.run.db.read() as db:
        keys = {(key.generation, key.status) for key in enrolled_keys(db) if key.device_id == DEVICE_ID}
    assert keys == {(1, DeviceStatus.RETIRED), (2, DeviceStatus.ACTIVE)}
