"""Jobs of `server.devices`."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from server.core.runtime import Runtime
from server.devices import store
from server.devices.carry import FRESH
from server.devices.leafing import follow_rule_of
from server.devices.publishing import PUBLISH_JOB, publish
from server.devices.roster import refresh_tenant
from server.identity.service import ROSTER_JOB
from server.jobs.service import every, handler
from server.seals.service import RULE_JOB

TIDY_EVERY_S: Final = 3600.0
KEEP: Final = timedelta(days=30)
"""How long messages that arrived or ran out, and sessions that ended, are kept to look at."""


@handler(PUBLISH_JOB)
def publish_keys(run: Runtime, _payload: dict[str, Any]) -> None:
    publish(run)


@handler(ROSTER_JOB)
def refresh_rosters(run: Runtime, payload: dict[str, Any]) -> None:
    """People, their PINs, badges or duties changed in a tenant."""
    with run.db.write() as db:
        refresh_tenant(db, run, UUID(payload["tenant"]))


@handler(RULE_JOB)
def follow_rule(run: Runtime, payload: dict[str, Any]) -> None:
    """The rule of a seal changed."""
    with run.db.write() as db:
        follow_rule_of(db, run, tenant_id=UUID(payload["tenant"]), seal_id=UUID(payload["seal"]))


@every(TIDY_EVERY_S)
def tidy_devices(run: Runtime) -> None:
    """Forget what nobody needs any more."""
    now = run.now()
    with run.db.write() as db:
        store.forget_old(db, nonces_before=now - 2 * FRESH, rest_before=now - KEEP)
