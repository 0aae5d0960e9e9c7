"""/api/v1/seals."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from server.core.db import Db, DbRead
from server.core.errors import errors
from server.identity.errors import NoSuchBranch, NotSignedIn, RoleMissing
from server.identity.guard import Administrator, AnyRole, Run
from server.seals import service
from server.seals.errors import HeadTaken, NoSuchSeal, NotAPicture, SealDestroyed
from server.seals.schemas import ApprovalRule, HeadIn, HeadRead, SealIn, SealRead, StateIn

router = APIRouter(prefix="/api/v1/seals", tags=["seals"], responses=errors(NotSignedIn, RoleMissing))


@router.get("")
def list_seals(db: DbRead, scope: AnyRole) -> list[SealRead]:
    return service.usable_seals(db, scope)


@router.post("", status_code=201, responses=errors(NoSuchBranch, NotAPicture))
def register_seal(
    seal: Annotated[str, Form(description="SealIn as JSON")],
    artwork: Annotated[UploadFile, File()],
    db: Db,
    run: Run,
    scope: Administrator,
) -> SealRead:
    try:
        body = SealIn.model_validate_json(seal)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error
    return service.register_seal(
        db,
        run,
        scope,
        name=body.name,
        legal_name=body.legal_name,
        branch_path=body.branch_path,
        artwork_png=artwork.file.read(service.MAX_ARTWORK + 1),
        diameter_mm=body.diameter_mm,
        rule=body.rule,
    )


@router.get("/{seal_id}", responses=errors(NoSuchSeal))
def read_seal(seal_id: UUID, db: DbRead, scope: AnyRole) -> SealRead:
    return service.seal(db, scope, seal_id)


@router.get("/{seal_id}/specimen", responses=errors(NoSuchSeal))
def read_specimen(seal_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> Response:
    return Response(service.specimen(db, run, scope, seal_id), media_type="image/png")


@router.post("/{seal_id}/state", responses=errors(NoSuchSeal, SealDestroyed))
def set_state(seal_id: UUID, body: StateIn, db: Db, run: Run, scope: Administrator) -> SealRead:
    return service.set_state(db, run, scope, seal_id=seal_id, state=body.state, reason=body.reason)


@router.put("/{seal_id}/rule", responses=errors(NoSuchSeal))
def set_rule(seal_id: UUID, body: ApprovalRule, db: Db, run: Run, scope: Administrator) -> SealRead:
    return service.set_rule(db, run, scope, seal_id=seal_id, rule=body)


@router.post("/{seal_id}/heads", status_code=201, responses=errors(NoSuchSeal, HeadTaken))
def register_head(seal_id: UUID, body: HeadIn, db: Db, run: Run, scope: Administrator) -> HeadRead:
    return service.register_head(db, run, scope, seal_id=seal_id, head_id=bytes.fromhex(body.head_id))
