"""Jobs of `server.public`, done by the worker role."""

from typing import Any, Final

from server.core.runtime import Runtime
from server.jobs.service import handler
from server.public import building

SNAPSHOT: Final = "public.snapshot"


@handler(SNAPSHOT)
def snapshot(run: Runtime, _payload: dict[str, Any]) -> None:
    """Something that strangers may know has changed: a code, a withdrawal, a seal's state, the trust bundle."""
    building.refresh(run)
