"""Devices with their live state, pairing a new one, and services that two administrators order."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboard.view.fleet import fleet_row, sensor_fact
from dashboard.view.notes import note_text
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Administrator, Me
from server.core.db import DbRead
from server.core.errors import BadInput, ServerError
from server.core.i18n import N_
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import service as devices
from server.devices.live import LiveDevices
from server.devices.schemas import ServiceIn, ServiceState
from server.identity import service as identity
from server.identity.guard import Limits, Run
from server.identity.schemas import SignedIn
from server.ledger import service as ledger
from server.seals import service as seals
from server.tokens import service as tokens


def _live_of(request: Request) -> LiveDevices:
    live: LiveDevices = request.app.state.live
    return live


Live = Annotated[LiveDevices, Depends(_live_of)]
router = APIRouter(include_in_schema=False, prefix="/devices")
_OPEN = {ServiceState.PROPOSED, ServiceState.ORDERED, ServiceState.BEGUN, ServiceState.ENDED}


class IncompleteService(BadInput):
    title = N_("Something is missing")
    happened = N_("A change of heads needs its slot and the head; a refill needs its slot; each needs a reason.")
    safe = N_("Nothing was proposed.")
    next_step = N_("Fill in the form again.")


@router.get("")
def show_devices(request: Request, db: DbRead, run: Run, me: Me, live: Live) -> Response:
    rows = [fleet_row(device, live.device(device.device_id), run.now()) for device in devices.devices(db, me.scope)]
    pairings = devices.open_pairings(db, run, me.scope) if me.scope.has(Role.ADMINISTRATOR) else []
    return pages_of(request).page(request, "devices.html", me=me, rows=rows, pairings=pairings)


@router.get("/add")
def show_pairing(request: Request, db: DbRead, run: Run, me: Administrator) -> Response:
    """Pairings that wait for this person, with the six digits, and the gateways a device can be connected to."""
    return pages_of(request).page(
        request,
        "pairing.html",
        me=me,
        pairings=devices.open_pairings(db, run, me.scope),
        gateways=devices.gateways(db, me.scope),
    )


@router.post("/pairings/{pairing_id}/confirm")
def confirm(pairing_id: UUID, run: Run, me: Administrator) -> Response:
    with run.db.write() as db:
        device = devices.confirm_pairing(db, run, me.scope, pairing_id=pairing_id)
    return RedirectResponse(f"/devices/{device.device_id}", status_code=303)


@router.post("/pairings/{pairing_id}/refuse")
def refuse(pairing_id: UUID, run: Run, me: Administrator) -> Response:
    with run.db.write() as db:
        devices.refuse_pairing(db, run, me.scope, pairing_id=pairing_id)
    return RedirectResponse("/devices/add", status_code=303)


@router.get("/{device_id}")
def show_device(request: Request, device_id: str, run: Run, me: Me, live: Live) -> Response:
    return _device_page(request, run, me, live, device_id)


@router.post("/{device_id}/name")
def rename(
    device_id: str, run: Run, me: Administrator, name: Annotated[str, Form(min_length=1, max_length=80)]
) -> Response:
    with run.db.write() as db:
        devices.rename(db, me.scope, device_id=device_id, name=name.strip() or device_id)
    return _back(device_id)


@router.post("/{device_id}/offline")
def set_offline(
    device_id: str, run: Run, me: Administrator, max_offline_strokes: Annotated[int, Form(ge=0, le=50)]
) -> Response:
    with run.db.write() as db:
        devices.set_offline(db, run, me.scope, device_id=device_id, max_offline_strokes=max_offline_strokes)
    return _back(device_id)


@router.post("/{device_id}/services")
def propose(
    request: Request,
    *,
    device_id: str,
    run: Run,
    me: Administrator,
    live: Live,
    kind: Annotated[str, Form(max_length=20)],
    reason: Annotated[str, Form(max_length=500)],
    slot: Annotated[str, Form(max_length=2)] = "",
    head_id: Annotated[str, Form(max_length=16)] = "",
) -> Response:
    try:
        form = _service_form(kind=kind, reason=reason, slot=slot, head_id=head_id)
        with run.db.write() as db:
            devices.propose_service(db, run, me.scope, device_id=device_id, form=form)
    except ServerError as error:
        return _device_page(request, run, me, live, device_id, error=error)
    return _back(device_id)


@router.post("/{device_id}/services/{service_id}/confirm")
def confirm_service(
    request: Request,
    *,
    device_id: str,
    service_id: UUID,
    run: Run,
    me: Administrator,
    live: Live,
    limits: Limits,
    password: Annotated[str, Form(max_length=200)],
) -> Response:
    try:
        with run.db.read() as db:
            identity.confirm_password(db, me.scope, password=password, limits=limits)
        with run.db.write() as db:
            devices.confirm_service(db, run, me.scope, service_id=service_id)
    except ServerError as error:
        return _device_page(request, run, me, live, device_id, error=error)
    return _back(device_id)


@router.post("/{device_id}/services/{service_id}/withdraw")
def withdraw_service(device_id: str, service_id: UUID, run: Run, me: Administrator) -> Response:
    with run.db.write() as db:
        devices.withdraw_service(db, run, me.scope, service_id=service_id)
    return _back(device_id)


def _service_form(*, kind: str, reason: str, slot: str, head_id: str) -> ServiceIn:
    """Raises: IncompleteService."""
    chosen = {"slot": int(slot)} if slot.isdigit() else {}
    try:
        return ServiceIn.model_validate({"kind": kind, "reason": reason, "head_id": head_id or None} | chosen)
    except ValidationError as error:
        raise IncompleteService from error


def _back(device_id: str) -> Response:
    return RedirectResponse(f"/devices/{device_id}", status_code=303)


def _device_page(
    request: Request, run: Runtime, me: SignedIn, live: LiveDevices, device_id: str, *, error: ServerError | None = None
) -> Response:
    with run.db.read() as db:
        device = devices.device(db, me.scope, device_id)
        system = Scope.system(device.tenant_id)
        gateway, chains = live.gateway(device.gateway_id), ledger.device_heads(db, me.scope)
        orders = devices.services(db, run, me.scope, device_id=device_id)
        deputies = devices.deputies(db, run, me.scope, device_id=device_id)
        who_is_named = {who for order in orders for who in (order.proposed_by, order.confirmed_by)}
        who_is_named |= {who for row in deputies for who in (row.person_id, row.stands_for)}
        context: dict[str, Any] = {
            "row": fleet_row(device, live.device(device_id), run.now()),
            "device": device,
            "chain": next((head for head in reversed(chains) if head.device_id == device_id), None),
            "gaps": [gap for gap in ledger.open_gaps(db, me.scope) if gap.device_id == device_id],
            "entries": ledger.find(db, me.scope, device_id=device_id, limit=12),
            "session_url": gateway.session_url if gateway is not None and gateway.state == "ready" else "",
            "gateway": gateway,
            "sensors": [(sensor_fact(read.sensor, read.value), read.at) for read in devices.sensors(db, device_id)],
            "ink": devices.ink(db, device),
            "operators": devices.operators(db, run, device),
            "deputies": deputies,
            "notes": tokens.notes_of_device(db, me.scope, device_id),
            "note_text": note_text,
            "leases": [lease for lease in tokens.leases(db, run, system) if lease.device_id == device_id],
            "open_order": next((order for order in orders if order.state in _OPEN), None),
            "past_orders": [order for order in orders if order.state not in _OPEN][:5],
            "names": identity.names(db, device.tenant_id, who_is_named),
            "spare_heads": _spare_heads(run, me.scope),
        }
    return pages_of(request).page(request, "device.html", me=me, error=error, **context)


def _spare_heads(run: Runtime, scope: Scope) -> list[tuple[str, str]]:
    """(head id in hex, name of its seal) of every registered head in this branch."""
    with run.db.read() as db:
        return [
            (head.head_id.hex(), seal.name)
            for seal in seals.seals(db, scope)
            for head in seals.heads(db, scope, seal.id)
        ]
