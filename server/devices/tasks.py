"""Jobs of `server.devices`."""

from typing import Any

from server.core.runtime import Runtime
from server.devices.publishing import PUBLISH_JOB, publish
from server.jobs.service import handler


@handler(PUBLISH_JOB)
def publish_keys(run: Runtime, _payload: dict[str, Any]) -> None:
    publish(run)
