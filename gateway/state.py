"""What /api/state says of one device: the page, the demo and the tests read it."""

from dataclasses import asdict
from typing import Any

from gateway.device import DeviceAgent
from gateway.rules.session import Session


def device_state(agent: DeviceAgent) -> dict[str, Any]:
    return {
        "device_id": agent.device_id,
        "enrolment": agent.connection.enrolment,
        "operator": agent.desk.operator,
        **agent.facts(),
        "hops": agent.desk.hops,
        "live": agent.looking.place,
        "printer": agent.sticking.printer_name,
        "session": session_state(agent.desk.session),
    }


def session_state(session: Session) -> dict[str, Any]:
    """The session's own fields, and those of its plan beside them."""
    return asdict(session) | {
        "step": session.step.value,
        "busy": session.busy,
        "request_id": session.request_id if session.busy else None,
        "title": session.title,
        "spares_suffice": session.spares_suffice,
        "differences": list(session.differences),
    }
