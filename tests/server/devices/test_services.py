"""Services by two people: who may, what goes down, what the device's own events do, and the sample imprint."""

import hashlib
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlmodel import select

from device_sim.scene.head import HeadArtwork
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import cose, events, orders
from firmware_protocol.events import Done, HeadChanged, Intent, PageSeen, Service, ServiceStage, Tamper
from firmware_protocol.orders import Policy, ServiceKind
from server.app import create_api
from server.core.clock import FixedClock
from server.core.scope import Role
from server.devices import outbox
from server.devices import service as devices
from server.devices.errors import (
    DeviceNotActive,
    EmptySlot,
    HeadNotRegistered,
    NotReleased,
    SamePerson,
    SampleMissing,
    ServiceOver,
    ServiceUnderWay,
)
from server.devices.publishing import enrolled_keys
from server.devices.schemas import DeviceState, PairingDeviceIn, ServiceIn, ServiceRead, ServiceState, ServiceWork
from server.events import samples
from server.events import service as event_service
from server.identity import service as identity
from server.identity.schemas import PersonRead
from server.jobs.models import Job
from server.seals import service as seals
from server.verification.trust import DeviceStatus
from tests.server.office import DEVICE_ID, Key, Office
from tests.server.world import HEAD, PASSWORD, Client, Company, artwork

NEW_HEAD = bytes.fromhex("1112131415161718")


@pytest.fixture
def second(company: Company) -> PersonRead:
    """Another administrator."""
    run = company.run
    with run.db.write() as db:
        person = identity.add_person(
            db, run, company.everywhere, username="second", name="Second Admin", branch_path="/", password=PASSWORD
        )
        seals.register_head(db, run, company.everywhere, seal_id=company.seal.id, head_id=NEW_HEAD)
        return identity.set_role(
            db, run, company.everywhere, person_id=person.id, role=Role.ADMINISTRATOR, branch_path="/"
        )


class Care:
    """Two administrators and the device between them."""

    def __init__(self, office: Office, second: PersonRead) -> None:
        self.office, self.company, self.run = office, office.company, office.run
        self.first, self.second = self.company.scope(self.company.admin), self.company.scope(second)

    def propose(self, kind: ServiceWork, **place: Any) -> ServiceRead:
        form = ServiceIn(kind=kind, reason="as planned", **place)
        with self.run.db.write() as db:
            return devices.propose_service(db, self.run, self.first, device_id=DEVICE_ID, form=form)

    def confirm(self, order: ServiceRead) -> ServiceRead:
        with self.run.db.write() as db:
            return devices.confirm_service(db, self.run, self.second, service_id=order.id)

    def ordered(self, kind: ServiceWork, **place: Any) -> ServiceRead:
        return self.confirm(self.propose(kind, **place))

    def newest(self) -> ServiceRead:
        with self.run.db.read() as db:
            return devices.services(db, self.run, self.first, device_id=DEVICE_ID)[0]

    def policies(self) -> list[Policy]:
        """What is on its way down now, as the device reads it."""
        key = devices.issuer_keys(self.run)[4]
        with self.run.db.read() as db:
            due = [message.payload for message in outbox.due(db, self.run.now()) if message.kind == "policy"]
        return [orders.verify(Policy, payload, keys=cose.keyring(key)) for payload in due]

    def device_says(self, *bodies: events.Body) -> None:
        for body in bodies:
            self.office.pen.write(body)
        self.office.projected.clear()
        self.office.deliver()
        for first, last in self.office.projected:
            event_service.project(self.run, first=first, last=last)

    def alarms(self) -> list[str]:
        with self.run.db.read() as db:
            return [alarm.kind for alarm in event_service.alarms(db, self.company.everywhere)]

    def hello(self, *heads: bytes) -> None:
        """The gateway reports which heads the device reads now."""
        from tests.server.office import hello_of

        body = hello_of(self.office.pen)
        body.devices[0].heads = [head.hex() for head in heads]
        with self.run.db.write() as db:
            devices.hello(db, self.run, self.office.gateway.gateway, body)

    def stage(self, order: ServiceRead, stage: ServiceStage) -> Service:
        kind = {ServiceWork.CHANGE_HEAD: ServiceKind.CHANGE_HEAD, ServiceWork.REFILL_INK: ServiceKind.REFILL_INK}
        assert order.order_digest is not None
        return Service(order_digest=order.order_digest, kind=kind[order.kind], stage=stage, slot=order.slot)

    def sample(self, order: ServiceRead, picture: bytes, *, seed: int = 3) -> None:
        """The device photographs a clean sheet, stamps it and photographs it again; the worker looks."""
        scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
        scene.lay_page(np.full((3508, 2480, 3), 255, np.uint8))
        before = scene.photograph()
        scene.press(HeadArtwork.from_png(picture, 38.0))
        after = scene.photograph()
        assert order.order_digest is not None
        sample_id = order.order_digest[:16]
        pictures: list[dict[str, Any]] = [
            {
                "token_id": sample_id,
                "stroke": 1,
                "preview_digest": hashlib.sha256(photo.preview_jpeg).digest(),
                "photo_digest": hashlib.sha256(photo.full_jpeg).digest(),
            }
            for photo in (before, after)
        ]
        seen, done = pictures
        self.office.pen.write(PageSeen(**seen, stroke_nonce=b"n" * 16))
        self.office.pen.write(Intent(token_id=sample_id, stroke=1))
        self.office.pen.counter += 1
        self.device_says(Done(**done, trace_code=b"c" * 100), self.stage(order, ServiceStage.ENDED))
        gateway = Client(create_api(self.run), headers=self.office.headers)
        for photo in (before.full_jpeg, after.full_jpeg):
            path = f"/gateway/v1/blobs/{hashlib.sha256(photo).hexdigest()}"
            headers = {"upload-offset": "0", "upload-length": str(len(photo))}
            assert gateway.request("PUT", path, content=photo, headers=headers).status_code == 204
        with self.run.db.read() as db:
            (promised,) = {
                job.payload["order"]: job.payload
                for job in db.exec(select(Job).where(Job.kind == samples.INSPECT_SAMPLE)).all()
                if job.payload["order"] == str(order.id)
            }.values()
        samples.look(self.run, promised)


@pytest.fixture
def care(office: Office, second: PersonRead) -> Care:
    return Care(office, second)


def test_one_person_alone_orders_nothing(care: Care) -> None:
    order = care.propose(ServiceWork.CLEAR_TAMPER)
    assert care.policies() == []
    with pytest.raises(SamePerson), care.run.db.write() as db:
        devices.confirm_service(db, care.run, care.first, service_id=order.id)
    assert care.newest().state is ServiceState.PROPOSED
    with pytest.raises(ServiceUnderWay):
        care.propose(ServiceWork.RELEASE)


def test_the_second_person_signs_an_order_that_names_both(care: Care) -> None:
    epoch = care.office.device().epoch
    order = care.ordered(ServiceWork.CHANGE_HEAD, slot=1, head_id=NEW_HEAD.hex())
    (policy,) = care.policies()
    assert (policy.epoch, policy.service, policy.slot, policy.head_id) == (
        epoch + 1,
        ServiceKind.CHANGE_HEAD,
        1,
        NEW_HEAD,
    )
    second_id = care.second.person_id
    with care.run.db.read() as db:
        both = [
            identity.person(db, care.company.everywhere, who).operator
            for who in (care.company.admin.id, second_id or UUID(int=0))
        ]
    assert list(policy.authorised_by or ()) == both
    with pytest.raises(ServiceOver):
        care.confirm(order)


def test_a_proposal_and_an_order_lose_their_force_after_a_day(care: Care, clock: FixedClock) -> None:
    order = care.propose(ServiceWork.CLEAR_TAMPER)
    clock.advance(24 * 3600 + 1)
    with pytest.raises(ServiceOver):
        care.confirm(order)
    care.ordered(ServiceWork.CLEAR_TAMPER)
    clock.advance(24 * 3600 + 1)
    assert care.policies() == []
    assert care.newest().state is ServiceState.TIMED_OUT


def test_a_withdrawn_order_is_overtaken(care: Care) -> None:
    order = care.ordered(ServiceWork.RELEASE)
    with care.run.db.write() as db:
        devices.withdraw_service(db, care.run, care.first, service_id=order.id)
    (policy,) = care.policies()  # the older one is not sent any more
    assert (policy.service, policy.epoch) == (None, care.office.device().epoch)


def test_what_cannot_be_proposed(care: Care) -> None:
    with pytest.raises(HeadNotRegistered):
        care.propose(ServiceWork.CHANGE_HEAD, slot=0, head_id="ff" * 8)
    with pytest.raises(EmptySlot):
        care.propose(ServiceWork.REFILL_INK, slot=5)
    with pytest.raises(ValueError, match="slot and head_id"):
        care.propose(ServiceWork.CHANGE_HEAD, slot=0)


def test_tamper_stays_until_two_people_cleared_it_and_the_device_obeyed(care: Care) -> None:
    care.device_says(Tamper(sensor="cover"))
    assert care.office.device().tamper == "cover"
    order = care.ordered(ServiceWork.CLEAR_TAMPER)
    assert care.office.device().tamper == "cover"
    assert order.order_digest is not None
    care.device_says(events.PolicySet(epoch=1, suspended=False, policy_digest=order.order_digest))
    assert (care.office.device().tamper, care.newest().state) == (None, ServiceState.DONE)
    event_service.rebuild(care.run)
    assert (care.office.device().tamper, care.newest().state) == (None, ServiceState.DONE)


def test_a_head_that_changed_without_an_order_is_an_alarm_and_stays_unused(care: Care) -> None:
    care.device_says(HeadChanged(slot=1, old_head=HEAD, new_head=NEW_HEAD))
    care.hello(bytes(8), NEW_HEAD)
    assert care.alarms() == ["head_changed"]
    device = care.office.device()
    assert (device.tamper, [head.sampled for head in device.heads]) == ("head", [False])
    order = care.ordered(ServiceWork.CLEAR_TAMPER)
    assert order.order_digest is not None
    care.device_says(events.PolicySet(epoch=1, suspended=False, policy_digest=order.order_digest))
    assert [head.sampled for head in care.office.device().heads] == [False]
    with pytest.raises(SampleMissing):
        care.office.token(care.company.approved())


def change_head(care: Care) -> ServiceRead:
    """Ordered, begun, the new head in its slot."""
    order = care.ordered(ServiceWork.CHANGE_HEAD, slot=1, head_id=NEW_HEAD.hex())
    care.device_says(
        care.stage(order, ServiceStage.BEGUN),
        HeadChanged(slot=1, old_head=HEAD, new_head=None),
        HeadChanged(slot=1, old_head=None, new_head=NEW_HEAD),
    )
    care.hello(bytes(8), NEW_HEAD)
    return order


def test_a_new_head_is_used_once_its_sample_agrees_with_the_specimen(care: Care) -> None:
    order = change_head(care)
    assert care.alarms() == []
    request = care.company.approved()
    with pytest.raises(SampleMissing):
        care.office.token(request)
    care.sample(order, artwork())
    assert (care.newest().state, care.newest().sample_reason) == (ServiceState.DONE, "ok")
    assert [head.sampled for head in care.office.device().heads] == [True]
    event_service.rebuild(care.run)
    care.hello(bytes(8), NEW_HEAD)
    assert [head.sampled for head in care.office.device().heads] == [True]
    assert care.office.token(request).strokes == 2
    assert care.alarms() == []


def test_a_head_of_another_seal_is_refused_and_the_way_out_is_a_new_service(care: Care) -> None:
    order = change_head(care)
    other = (seal_pictures() / "seal-en.png").read_bytes()
    care.sample(order, other)
    assert care.newest().state is ServiceState.REFUSED
    assert care.alarms() == ["sample_refused"]
    with pytest.raises(SampleMissing):
        care.office.token(care.company.approved())
    assert care.propose(ServiceWork.CHANGE_HEAD, slot=1, head_id=NEW_HEAD.hex()).state is ServiceState.PROPOSED


def seal_pictures() -> Any:
    from pathlib import Path

    return Path(__file__).parents[3] / "dashboard" / "demo" / "assets"


def pair_again(care: Care, key: Key) -> None:
    said = PairingDeviceIn(device_id=DEVICE_ID, public_key=key.public_key.hex(), nonce=bytes(16).hex(), generation=2)
    gateway = care.office.gateway.gateway
    with care.run.db.write() as db:
        opened = devices.start_pairing(db, care.run, gateway, device_id=DEVICE_ID)
        devices.device_answer(db, care.run, gateway, pairing_id=opened.pairing_id, said=said)
        devices.confirm_pairing(db, care.run, care.first, pairing_id=opened.pairing_id)


def test_a_paired_device_is_paired_again_only_after_its_release(care: Care) -> None:
    with pytest.raises(NotReleased):
        pair_again(care, Key(b"\x09" * 32))
    order = care.ordered(ServiceWork.RELEASE)
    assert order.order_digest is not None
    care.device_says(events.Reset(order_digest=order.order_digest))
    assert care.office.device().state is DeviceState.RELEASED
    with pytest.raises(DeviceNotActive):
        care.propose(ServiceWork.CLEAR_TAMPER)
    pair_again(care, Key(b"\x09" * 32))
    device = care.office.device()
    assert (device.generation, device.state, device.heads) == (2, DeviceState.CONFIRMED, ())
    with care.run.db.read() as db:
        keys = {(key.generation, key.status) for key in enrolled_keys(db)}
        assert devices.device_key(db, DEVICE_ID, 1) is not None
    assert keys == {(1, DeviceStatus.RETIRED)}  # what it signed before can still be checked


def test_the_password_is_asked_for_at_the_second_step(care: Care, with_passwords: Company) -> None:
    order = care.propose(ServiceWork.CLEAR_TAMPER)
    with care.run.db.write() as db:
        opened = identity.open_session(db, care.run, person_id=care.second.person_id or UUID(int=0))
    client = Client(create_api(care.run))
    client.cookies = {"__Host-cinnabar": opened.token}
    path = f"/api/v1/services/{order.id}/confirm"
    assert client.post(path, json={"password": "wrong"}).status_code == 403
    assert care.policies() == []
    assert client.post(path, json={"password": PASSWORD}).json()["state"] == "ordered"
