"""/api/v1: sign in and out, branches, people, roles."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from server.core.db import Db, DbRead
from server.core.errors import errors
from server.identity import service
from server.identity.csrf import same_origin
from server.identity.errors import (
    BadgeTaken,
    BadgeUnreadable,
    NameTaken,
    NoSuchBadge,
    NoSuchBranch,
    NoSuchPasskey,
    NoSuchPerson,
    NotSignedIn,
    NotYourself,
    RoleMissing,
    TooManyPasskeys,
    TooManyTries,
    WrongLogin,
)
from server.identity.guard import Administrator, AnyRole, CurrentSession, Limits, Run, drop_cookie, set_cookie
from server.identity.schemas import (
    ActIn,
    BadgeIn,
    BadgeRead,
    BranchIn,
    BranchRead,
    LoginIn,
    PasskeyRead,
    PersonIn,
    PersonRead,
    PinIn,
    ReasonIn,
    RoleIn,
    SignedIn,
)

router = APIRouter(prefix="/api/v1", tags=["identity"], responses=errors(NotSignedIn, RoleMissing))

FromOwnPage = Annotated[None, Depends(same_origin)]


@router.post("/session", status_code=201, responses=errors(WrongLogin, TooManyTries))
def sign_in(
    body: LoginIn, request: Request, response: Response, run: Run, limits: Limits, _own: FromOwnPage
) -> PersonRead:
    place = request.client.host if request.client else "unknown"
    with run.db.read() as db:
        person = service.check_password(
            db, username=body.username, password=body.password.get_secret_value(), limits=limits, place=place
        )
    with run.db.write() as db:
        set_cookie(response, service.open_session(db, run, person_id=person.id))
    return person


@router.get("/session")
def who_am_i(session: CurrentSession) -> SignedIn:
    return session


@router.post("/session/branch", responses=errors(NoSuchBranch))
def work_in_branch(body: ActIn, db: Db, session: CurrentSession, _own: FromOwnPage) -> BranchIn:
    service.act_in(db, session_id=session.session_id, branch_path=body.branch_path)
    return BranchIn(path=body.branch_path, name=body.branch_path)


@router.delete("/session", status_code=204)
def sign_out(response: Response, db: Db, run: Run, session: CurrentSession, _own: FromOwnPage) -> None:
    service.end_session(db, run, session_id=session.session_id)
    drop_cookie(response)


@router.get("/branches")
def list_branches(db: DbRead, scope: Administrator) -> list[BranchRead]:
    return service.branches(db, scope)


@router.post("/branches", status_code=201, responses=errors(NoSuchBranch, NameTaken))
def add_branch(body: BranchIn, db: Db, run: Run, scope: Administrator) -> BranchRead:
    return service.add_branch(db, run, scope, path=body.path, name=body.name)


@router.get("/people")
def list_people(db: DbRead, scope: Administrator) -> list[PersonRead]:
    return service.people(db, scope)


@router.post("/people", status_code=201, responses=errors(NoSuchBranch, NameTaken))
def add_person(body: PersonIn, db: Db, run: Run, scope: Administrator) -> PersonRead:
    return service.add_person(
        db,
        run,
        scope,
        username=body.username,
        name=body.name,
        branch_path=body.branch_path,
        language=body.language,
        password=body.password.get_secret_value() if body.password else None,
        pin=body.pin.get_secret_value() if body.pin else None,
    )


@router.post("/people/{person_id}/roles", responses=errors(NoSuchPerson, NoSuchBranch))
def set_role(person_id: UUID, body: RoleIn, db: Db, run: Run, scope: Administrator) -> PersonRead:
    return service.set_role(
        db, run, scope, person_id=person_id, role=body.role, branch_path=body.branch_path, held=body.held
    )


@router.put("/people/{person_id}/pin", status_code=204, responses=errors(NoSuchPerson))
def set_pin(person_id: UUID, body: PinIn, db: Db, run: Run, scope: Administrator) -> None:
    service.set_pin(db, run, scope, person_id=person_id, pin=body.pin.get_secret_value())


@router.get("/people/{person_id}/badges")
def list_badges(person_id: UUID, db: DbRead, scope: Administrator) -> list[BadgeRead]:
    service.person(db, scope, person_id)
    return service.badges(db, scope, person_id)


@router.post("/people/{person_id}/badges", status_code=201, responses=errors(NoSuchPerson, BadgeTaken, BadgeUnreadable))
def register_badge(person_id: UUID, body: BadgeIn, db: Db, run: Run, scope: Administrator) -> BadgeRead:
    return service.register_badge(
        db, run, scope, person_id=person_id, badge=body.badge.get_secret_value(), name=body.name
    )


@router.post("/badges/{badge_id}/revoke", responses=errors(NoSuchBadge))
def revoke_badge(badge_id: UUID, body: ReasonIn, db: Db, run: Run, scope: Administrator) -> BadgeRead:
    return service.revoke_badge(db, run, scope, badge_id=badge_id, reason=body.reason)


@router.get("/people/{person_id}/passkeys", responses=errors(NoSuchPerson))
def list_passkeys(person_id: UUID, db: DbRead, run: Run, scope: Administrator) -> list[PasskeyRead]:
    return service.passkeys(db, run, scope, person_id)


@router.get("/passkeys")
def my_passkeys(db: DbRead, run: Run, session: CurrentSession) -> list[PasskeyRead]:
    return service.passkeys(db, run, session.scope, session.person.id)


@router.post("/passkeys/{passkey_id}/confirm", responses=errors(NoSuchPasskey, TooManyPasskeys))
def confirm_passkey(passkey_id: UUID, db: Db, run: Run, scope: AnyRole) -> PasskeyRead:
    """One's own, or as an administrator that of somebody in the branch."""
    return service.confirm_passkey(db, run, scope, passkey_id=passkey_id)


@router.post("/passkeys/{passkey_id}/revoke", responses=errors(NoSuchPasskey))
def revoke_passkey(passkey_id: UUID, body: ReasonIn, db: Db, run: Run, scope: AnyRole) -> PasskeyRead:
    return service.revoke_passkey(db, run, scope, passkey_id=passkey_id, reason=body.reason)


@router.post("/people/{person_id}/remove", responses=errors(NoSuchPerson, NotYourself))
def remove_person(person_id: UUID, body: ReasonIn, db: Db, run: Run, scope: Administrator) -> PersonRead:
    return service.remove_person(db, run, scope, person_id=person_id, reason=body.reason)


@router.delete("/people/{person_id}/sessions", responses=errors(NoSuchPerson))
def sign_person_out(person_id: UUID, db: Db, run: Run, scope: Administrator) -> dict[str, int]:
    person = service.person(db, scope, person_id)
    return {"ended": service.end_all_sessions(db, run, person_id=person.id)}
