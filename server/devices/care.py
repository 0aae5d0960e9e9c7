"""What a device's own signed events say about its body: tamper, heads, services, sensors.

Each event may be taken in again, in the order of its number; the outcome is the same.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.events import Event, ServiceStage
from server.core.runtime import Runtime
from server.devices import store
from server.devices.models import Device, InkReading, SensorValue, ServiceOrder
from server.devices.publishing import PUBLISH_JOB
from server.devices.schemas import DeviceState, SensorRead, ServiceState, ServiceWork
from server.jobs import service as jobs

HEAD_CHANGED: Final = "head_changed"
NO_HEAD: Final = bytes(8)
_WITH_SAMPLE: Final = {ServiceWork.CHANGE_HEAD.value, ServiceWork.REFILL_INK.value}
_JUDGED: Final = {ServiceState.DONE.value, ServiceState.REFUSED.value}


def note_event(db: Session, run: Runtime, event: Event, *, at: datetime) -> str | None:
    """Take in an admitted event; the kind of alarm it deserves beyond its own, if any."""
    row = store.any_device(db, event.header.device_id)
    if row is None or row.generation != event.header.generation or event.header.seq < row.paired_seq:
        return None
    match event.body:
        case events.Service():
            _note_stage(db, run, row, event, event.body)
        case events.PolicySet(policy_digest=digest):
            _note_order(db, row, digest, seq=event.header.seq)
        case events.Reset(order_digest=digest):
            _note_release(db, run, row, digest)
        case events.Tamper(sensor=sensor):
            _latch(row, sensor, seq=event.header.seq)
        case events.HeadChanged():
            return _note_head(db, row, event.body, seq=event.header.seq)
        case events.Sensor(sensor=sensor, value=value):
            _note_sensor(db, run, event, sensor, value, at=at, tenant_id=row.tenant_id)
        case _:
            return None
    db.add(row)
    db.flush()
    return None


def sensors(db: Session, device_id: str) -> list[SensorRead]:
    """What each sensor said last, by name."""
    return [SensorRead.model_validate(row) for row in store.sensors(db, device_id)]


def _note_stage(db: Session, run: Runtime, row: Device, event: Event, body: events.Service) -> None:
    order = store.service_by_digest(db, row.device_id, body.order_digest)
    if order is None:
        return
    judged = order.state if order.state in _JUDGED else None
    match body.stage:
        case ServiceStage.BEGUN:
            order.state, order.begun_seq = ServiceState.BEGUN.value, event.header.seq
        case ServiceStage.TIMED_OUT:
            order.state, order.ended_seq = ServiceState.TIMED_OUT.value, event.header.seq
        case ServiceStage.ENDED:
            order.ended_seq = event.header.seq
            due = order.kind in _WITH_SAMPLE
            order.state = ServiceState.ENDED.value if due else ServiceState.DONE.value
            if order.kind == ServiceWork.CLEAR_TAMPER.value:
                _latch(row, None, seq=event.header.seq)
            if due and order.head_id is not None:
                _note_refill(db, run, event, order.head_id, tenant_id=row.tenant_id)
    order.state = judged or order.state
    db.add(order)


def _latch(row: Device, sensor: str | None, *, seq: int) -> None:
    """An event that is taken in again, or late, does not bring back what a later one changed."""
    if seq >= row.tamper_seq:
        row.tamper, row.tamper_seq = sensor, seq


def _note_order(db: Session, row: Device, digest: bytes, *, seq: int) -> None:
    """The device took an order; clearing an alarm needs nothing more than that."""
    order = store.service_by_digest(db, row.device_id, digest)
    if order is not None and order.kind == ServiceWork.CLEAR_TAMPER.value:
        order.state = ServiceState.DONE.value
        _latch(row, None, seq=seq)
        db.add(order)


def _note_release(db: Session, run: Runtime, row: Device, digest: bytes) -> None:
    order = store.service_by_digest(db, row.device_id, digest)
    if order is None or order.kind != ServiceWork.RELEASE.value:
        return
    order.state, row.state = ServiceState.DONE.value, DeviceState.RELEASED.value
    db.add(order)
    jobs.enqueue(db, PUBLISH_JOB, {}, now=run.now())


def _note_head(db: Session, row: Device, body: events.HeadChanged, *, seq: int) -> str | None:
    """Inside a service that names slot and head it is expected; else the device has latched. The head is unproved."""
    about = [order for order in store.services(db, row.device_id) if order.slot == body.slot]
    expected = any(
        order.kind == ServiceWork.CHANGE_HEAD.value
        and _covers(order, seq)
        and body.new_head in {None, NO_HEAD, order.head_id}
        for order in about
    )
    proved = any(order.sample_answer == "accepted" and (order.ended_seq or 0) > seq for order in about)
    for head in store.heads(db, row.device_id):
        if head.slot == body.slot and not proved:
            head.sampled = False
            db.add(head)
    if expected:
        return None
    _latch(row, "head", seq=seq)
    db.add(row)
    db.flush()
    return HEAD_CHANGED


def _covers(order: ServiceOrder, seq: int) -> bool:
    return order.begun_seq is not None and order.begun_seq < seq and (order.ended_seq is None or seq < order.ended_seq)


def _note_sensor(
    db: Session, run: Runtime, event: Event, sensor: str, value: int, *, at: datetime, tenant_id: UUID
) -> None:
    header = event.header
    row = store.sensor(db, header.device_id, sensor)
    if row is None:
        row = SensorValue(
            id=run.new_id(),
            created_at=at,
            tenant_id=tenant_id,
            device_id=header.device_id,
            sensor=sensor,
            value=value,
            generation=header.generation,
            seq=0,
            at=at,
        )
    if (header.generation, header.seq) >= (row.generation, row.seq):
        row.value, row.generation, row.seq, row.at = value, header.generation, header.seq, at
        db.add(row)


def _note_refill(db: Session, run: Runtime, event: Event, head_id: bytes, *, tenant_id: UUID) -> None:
    header = event.header
    if store.ink_reading(db, header.device_id, head_id, header.counter, "refill") is None:
        db.add(
            InkReading(
                id=run.new_id(),
                created_at=run.now(),
                tenant_id=tenant_id,
                device_id=header.device_id,
                head_id=head_id,
                counter=header.counter,
                source="refill",
                share=1.0,
            )
        )
