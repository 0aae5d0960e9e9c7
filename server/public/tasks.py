"""Jobs of `server.public`, done by the worker role."""

from datetime import timedelta
from typing import Any, Final

from server.core.runtime import Runtime
from server.jobs import service as jobs
from server.jobs.service import handler
from server.ledger import service as ledger
from server.ledger.errors import LogNotStarted
from server.public import building
from server.public.building import NotProjected

SNAPSHOT: Final = "public.snapshot"
AGAIN: Final = timedelta(seconds=1)
QUIET_TRIES: Final = 30
"""About half a minute; then the job fails aloud and is tried as any other."""


@handler(SNAPSHOT)
def snapshot(run: Runtime, payload: dict[str, Any]) -> None:
    """Something that strangers may know has changed: a code, a withdrawal, a seal's state, the trust bundle.

    A log that has just begun, or a stroke that `events` is still taking in, is waited for without a word.
    Raises: LogNotStarted, NotProjected, after QUIET_TRIES.
    """
    tries = int(payload.get("tries", 0))
    try:
        building.refresh(run)
    except (LogNotStarted, NotProjected):
        if tries >= QUIET_TRIES:
            raise
        with run.db.write() as db:
            jobs.enqueue(db, SNAPSHOT, {"tries": tries + 1}, now=run.now(), delay=AGAIN)
        return
    with run.db.write() as db:
        if ledger.queued(db):  # what changed is not in the log yet
            jobs.enqueue(db, SNAPSHOT, {}, now=run.now(), delay=AGAIN)
