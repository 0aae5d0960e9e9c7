"""Jobs of `server.eseals`."""

from typing import Any

from server.core.runtime import Runtime
from server.eseals import service
from server.jobs.service import handler


@handler(service.PUBLISH_JOB)
def publish(run: Runtime, _payload: dict[str, Any]) -> None:
    service.publish_withdrawals(run)
