"""How an imprint came out, as the keeper's page asks for it."""

from sqlmodel import Session

from server.core.i18n import N_, _
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.events.schemas import ImprintOut
from server.inspection import service as inspection
from server.tokens import service as tokens
from server.tokens.errors import NoSuchToken

PENDING = N_("The photos are still on their way or being compared.")


def imprint_of_gateway(
    db: Session, gateway: GatewayRead, *, device_id: str, token_id: bytes, stroke: int
) -> ImprintOut:
    """The last look at the after-photo of a stroke. Raises: NoSuchDevice, NoSuchToken."""
    device = devices.device_of_gateway(db, gateway, device_id)
    token = tokens.token(db, Scope.system(gateway.tenant_id), token_id)
    if token is None or token.device_id != device.device_id:
        raise NoSuchToken
    looks = [look for look in inspection.findings_of_token(db, token_id, kind="imprint") if look.stroke == stroke]
    if not looks:
        return ImprintOut(state="pending", reason="", text=_(PENDING), grade="")
    last = looks[-1]
    return ImprintOut(
        state=last.answer,
        reason=last.reason,
        text=f"{last.text.happened} {last.text.safe} {last.text.next}",
        grade=str(last.report["imprint"]["grade"]),
    )
