"""Jobs of `server.devices`."""

from typing import Any
from uuid import UUID

from server.core.runtime import Runtime
from server.devices.publishing import PUBLISH_JOB, publish
from server.devices.roster import refresh_tenant
from server.identity.service import ROSTER_JOB
from server.jobs.service import handler


@handler(PUBLISH_JOB)
def publish_keys(run: Runtime, _payload: dict[str, Any]) -> None:
    publish(run)


@handler(ROSTER_JOB)
def refresh_rosters(run: Runtime, payload: dict[str, Any]) -> None:
    """People, their PINs, badges or duties changed in a tenant."""
    with run.db.write() as db:
        refresh_tenant(db, run, UUID(payload["tenant"]))
