"""Jobs of `server.approvals`."""

from typing import Any, Final
from uuid import UUID

from server.approvals import sealing, service
from server.approvals.errors import NoSuchRequest, RequestChanged, WrongState
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.jobs.service import every, handler

EXPIRE_EVERY_S: Final = 60.0


@handler(sealing.SEAL_JOB)
def seal(run: Runtime, payload: dict[str, Any]) -> None:
    """A request that was voided or changed meanwhile is not sealed; everything else that fails is tried again."""
    scope = Scope.system(UUID(payload["tenant_id"]))
    try:
        sealing.seal_electronically(run, scope, request_id=UUID(payload["request_id"]))
    except (NoSuchRequest, RequestChanged, WrongState) as error:
        run.log.info("not_sealed", request=payload["request_id"], why=error.code)


@every(EXPIRE_EVERY_S)
def expire(run: Runtime) -> None:
    """Requests whose time is over lose their approval."""
    with run.db.write() as db:
        service.expire_due(db, run)
