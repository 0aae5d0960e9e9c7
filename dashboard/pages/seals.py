"""Seals: what they look like, where their heads sit, who must approve, their public status."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.view.rules import rule_sentence
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Administrator, Me
from server.core.db import DbRead
from server.core.scope import Scope
from server.devices import service as devices
from server.identity import service as identity
from server.identity.guard import Run
from server.ledger import service as ledger
from server.public.snapshot import public_id
from server.seals import service as seals

router = APIRouter(include_in_schema=False, prefix="/seals")


@router.get("")
def show_seals(request: Request, db: DbRead, me: Me) -> Response:
    rows = [(seal, rule_sentence(seal.rule)) for seal in seals.seals(db, me.scope)]
    return pages_of(request).page(request, "seals.html", me=me, rows=rows)


@router.get("/{seal_id}")
def show_seal(request: Request, seal_id: UUID, db: DbRead, run: Run, me: Me) -> Response:
    seal = seals.seal(db, me.scope, seal_id)
    heads = seals.heads(db, me.scope, seal_id)
    mounted = devices.live_devices_for(db, seal.tenant_id, {head.head_id for head in heads})
    named = identity.names(db, seal.tenant_id, [person for stage in seal.rule.stages for person in stage.people])
    deputies = devices.deputies(db, run, me.scope, seal_id=seal_id)
    stand_ins = {who for row in deputies for who in (row.person_id, row.stands_for)}
    return pages_of(request).page(
        request,
        "seal.html",
        me=me,
        seal=seal,
        heads=heads,
        mounted=[device for device in mounted if me.scope.covers(device.branch_path)],
        sentence=rule_sentence(seal.rule),
        named=named,
        deputies=deputies,
        names=identity.names(db, seal.tenant_id, stand_ins),
        entries=ledger.find(db, me.scope, ref=f"seal:{seal_id}", limit=12),
        status_url=f"{run.settings.public_url}/seal/{public_id(seal_id.bytes)}",
    )


@router.post("/{seal_id}/stamping")
def set_stamping(
    *,
    seal_id: UUID,
    run: Run,
    me: Administrator,
    max_offline_strokes: Annotated[int, Form(ge=0, le=20)] = 0,
    sweep_required: Annotated[bool, Form()] = False,
    sweep_from_pages: Annotated[int, Form(ge=0, le=1000)] = 0,
) -> Response:
    """What stamping with this seal needs, for requests submitted from now on; who must approve stays as it is."""
    with run.db.write() as db:
        rule = seals.seal(db, me.scope, seal_id).rule
        changed = {
            "max_offline_strokes": max_offline_strokes,
            "sweep_required": sweep_required,
            "sweep_from_pages": sweep_from_pages,
        }
        seals.set_rule(db, run, me.scope, seal_id=seal_id, rule=rule.model_copy(update=changed))
    return RedirectResponse(f"/seals/{seal_id}", status_code=303)


@router.get("/{seal_id}/specimen.png")
def specimen(seal_id: UUID, db: DbRead, run: Run, me: Me) -> Response:
    """Also for people who may use a seal of a branch above theirs."""
    seal = next((seal for seal in seals.usable_seals(db, me.scope) if seal.id == seal_id), None)
    scope = Scope.system(me.scope.tenant_id) if seal is not None else me.scope
    png = seals.specimen(db, run, scope, seal_id)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})
