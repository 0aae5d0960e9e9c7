"""What a keeper may stamp at a device now."""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.schemas import RequestRead, Stamping
from server.core.runtime import Runtime
from server.devices import service as devices
from server.devices.schemas import DeviceRead, GatewayRead, HeadAt
from server.seals import service as seals
from server.tokens import uses
from server.tokens.modes import VOUCHER, way
from server.tokens.schemas import JobPage, JobRead
from server.tokens.uses import Left


def jobs(
    db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, operator_id: UUID | None = None
) -> list[JobRead]:
    """What can be stamped at this device now, oldest approval first. Raises: NoSuchDevice."""
    device = devices.device_of_gateway(db, gateway, device_id)
    seal_ids = {seals.seal_of_head(db, device.tenant_id, head.head_id).id for head in _known_heads(db, device)}
    mine = {None, operator_id} | (devices.stands_in_for(db, run, device, operator_id) if operator_id else set())
    found = []
    for request in approvals.requests_for_seals(db, run, device.tenant_id, seal_ids):
        elsewhere = request.device_id not in {None, device_id}
        if elsewhere or (request.not_before is not None and request.not_before > run.now()):
            continue
        remaining = uses.left(db, run, request)
        if remaining.strokes > 0 or remaining.open_token is not None or remaining.silent_token is not None:
            sizes = approvals.document(db, device.tenant_id, request.document_digest).sizes_mm
            found.append(_job(device, request, remaining, sizes=sizes, mine=request.keeper_id in mine))
    return found


def _known_heads(db: Session, device: DeviceRead) -> list[HeadAt]:
    return [head for head in device.heads if head.sampled and seals.head_known(db, device.tenant_id, head.head_id)]


Sizes: TypeAlias = Sequence[tuple[float, float]]


def _job(device: DeviceRead, request: RequestRead, remaining: Left, *, sizes: Sizes, mine: bool) -> JobRead:
    """`sizes`: width and height of each page of the document, mm."""
    whole = approvals.plan(request)
    by_index = {stroke.index: stroke for stroke in whole}
    next_way = way(request, whole, todo=remaining.plan, most=remaining.strokes, leafed=device.sweep_required)
    planned = [by_index[index] for index in next_way.plan]
    offline = request.stamping is Stamping.VOUCHER
    return JobRead(
        request_id=request.id,
        title=request.title,
        short=request.short,
        seal_name=request.seal_name,
        strokes_left=remaining.strokes,
        strokes_total=request.strokes,
        pages=tuple(
            JobPage(
                stroke=number,
                page=stroke.page,
                copy_number=stroke.copy,
                mm=sizes[stroke.page - 1] if 0 < stroke.page <= len(sizes) else None,
            )
            for number, stroke in enumerate(planned, start=1)
        ),
        expires_ms=round(request.expires_at.timestamp() * 1000),
        mine=mine,
        mode=VOUCHER if offline else next_way.mode,
        page_check=request.page_check.value,
        sweep=next_way.sweep,
        bound=request.bound,
        pages_total=request.pages,
        spares_left=remaining.spares,
    )
