"""Devices with their live state, and pairing a new one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.view.fleet import fleet_row
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Administrator, Me
from server.core.db import DbRead
from server.core.scope import Role
from server.devices import service as devices
from server.devices.live import LiveDevices
from server.identity.guard import Run
from server.ledger import service as ledger


def _live_of(request: Request) -> LiveDevices:
    live: LiveDevices = request.app.state.live
    return live


Live = Annotated[LiveDevices, Depends(_live_of)]
router = APIRouter(include_in_schema=False, prefix="/devices")


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
def show_device(request: Request, *, device_id: str, db: DbRead, run: Run, me: Me, live: Live) -> Response:
    device = devices.device(db, me.scope, device_id)
    heads = [head for head in ledger.device_heads(db, me.scope) if head.device_id == device_id]
    gateway = live.gateway(device.gateway_id)
    return pages_of(request).page(
        request,
        "device.html",
        me=me,
        row=fleet_row(device, live.device(device_id), run.now()),
        device=device,
        chain=heads[-1] if heads else None,
        gaps=[gap for gap in ledger.open_gaps(db, me.scope) if gap.device_id == device_id],
        entries=ledger.find(db, me.scope, device_id=device_id, limit=12),
        session_url=gateway.session_url if gateway is not None and gateway.state == "ready" else "",
    )
