"""Jobs of `server.public`, done by the worker role."""

from datetime import timedelta
from typing import Any, Final

from server.core.runtime import Runtime
from server.jobs import service as jobs
from server.jobs.service import handler
from server.ledger import service as ledger
from server.public import building

SNAPSHOT: Final = "public.snapshot"
AGAIN: Final = timedelta(seconds=1)


@handler(SNAPSHOT)
def snapshot(run: Runtime, _payload: dict[str, Any]) -> None:
    """Something that strangers may know has changed: a code, a withdrawal, a seal's state, the trust bundle."""
    building.refresh(run)
    with run.db.write() as db:
        if ledger.queued(db):  # what changed is not in the log yet
            jobs.enqueue(db, SNAPSHOT, {}, now=run.now(), delay=AGAIN)
