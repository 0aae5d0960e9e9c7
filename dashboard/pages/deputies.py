"""On-duty deputies: a form for a device or a seal, and their early end."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import viewer
from server.core.errors import ServerError
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import service as devices
from server.devices.schemas import DeputyIn
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import SignedIn
from server.seals import service as seals

router = APIRouter(include_in_schema=False, prefix="/deputies")
Keeper = Annotated[SignedIn, Depends(viewer(Role.KEEPER, Role.ADMINISTRATOR))]


@router.get("/new")
def show_form(
    request: Request, run: Run, me: Keeper, device_id: str | None = None, seal_id: UUID | None = None
) -> Response:
    return _form(request, run, me, device_id=device_id, seal_id=seal_id)


@router.post("")
def name_deputy(
    request: Request,
    *,
    run: Run,
    me: Keeper,
    person_id: Annotated[UUID, Form()],
    first_day: Annotated[date, Form()],
    last_day: Annotated[date, Form()],
    stands_for: Annotated[str, Form(max_length=36)] = "",
    device_id: Annotated[str, Form(max_length=12)] = "",
    seal_id: Annotated[str, Form(max_length=36)] = "",
) -> Response:
    """From the first day's first moment (or now) to the last day's last, in UTC."""
    begins = datetime.combine(first_day, time(), tzinfo=UTC)
    form = DeputyIn(
        person_id=person_id,
        stands_for=UUID(stands_for) if stands_for else None,
        device_id=device_id or None,
        seal_id=UUID(seal_id) if seal_id else None,
        starts_at=run.now() if first_day == run.now().date() else begins,
        ends_at=datetime.combine(last_day, time(), tzinfo=UTC) + timedelta(days=1),
    )
    try:
        with run.db.write() as db:
            devices.name_deputy(db, run, me.scope, form)
    except ServerError as error:
        return _form(request, run, me, device_id=form.device_id, seal_id=form.seal_id, error=error)
    return RedirectResponse(_back(form.device_id, form.seal_id), status_code=303)


@router.post("/{deputy_id}/end")
def end_deputy(deputy_id: UUID, run: Run, me: Keeper) -> Response:
    with run.db.write() as db:
        ended = devices.end_deputy(db, run, me.scope, deputy_id=deputy_id)
    return RedirectResponse(_back(ended.device_id, ended.seal_id), status_code=303)


def _back(device_id: str | None, seal_id: UUID | None) -> str:
    return f"/seals/{seal_id}" if seal_id is not None else f"/devices/{device_id}"


def _form(
    request: Request,
    run: Runtime,
    me: SignedIn,
    *,
    device_id: str | None,
    seal_id: UUID | None,
    error: ServerError | None = None,
) -> Response:
    with run.db.read() as db:
        if seal_id is not None:
            seal = seals.seal(db, me.scope, seal_id)
            name, branch_path = seal.name, seal.branch_path
        else:
            device = devices.device(db, me.scope, device_id or "")
            name, branch_path = device.name, device.branch_path
        people = identity.people(db, Scope.system(me.scope.tenant_id))
        keepers = identity.holders(db, me.scope.tenant_id, Role.KEEPER, branch_path)
    today = run.now().date()
    return pages_of(request).page(
        request,
        "new_deputy.html",
        me=me,
        error=error,
        back=_back(device_id, seal_id),
        place_name=name,
        device_id=device_id or "",
        seal_id=seal_id or "",
        people=[person for person in people if person.active and person.id != me.person.id],
        keepers=keepers,
        first_day=today.isoformat(),
        last_day=(today + timedelta(days=7)).isoformat(),
    )
