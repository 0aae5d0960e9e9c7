"""Jobs of `server.eseals`."""

from typing import Any

from server.core.runtime import Runtime
from server.eseals import service
from server.eseals.anchoring import EVERY_S, Anchoring
from server.eseals.stamp_check import verify_apart
from server.jobs.service import every, handler

_anchoring = Anchoring(check=verify_apart)


@handler(service.PUBLISH_JOB)
def publish(run: Runtime, _payload: dict[str, Any]) -> None:
    service.publish_withdrawals(run)


@every(EVERY_S)
def anchor(run: Runtime) -> None:
    """Stamp the ledger's newest published checkpoint, when it is due."""
    _anchoring.stamp_due(run)
