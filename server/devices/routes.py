"""/api/v1: gateways, devices, pairings waiting for a person."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from server.core.db import Db, DbRead
from server.core.errors import errors
from server.core.scope import Role, Scope
from server.devices import service
from server.devices.errors import (
    DeviceNotActive,
    EmptySlot,
    GatewayTaken,
    HeadNotRegistered,
    KeyIdTaken,
    NameReserved,
    NoSuchDeputy,
    NoSuchDevice,
    NoSuchGateway,
    NoSuchPairing,
    NoSuchService,
    NotADeputy,
    NotReleased,
    OnlyForOneself,
    PairingOver,
    SamePerson,
    ServiceOver,
    ServiceUnderWay,
    WrongDates,
)
from server.devices.schemas import (
    ConfirmIn,
    DeputyIn,
    DeputyRead,
    DeviceRead,
    GatewayIn,
    GatewayMade,
    GatewayRead,
    NameIn,
    OfflineIn,
    PairingRead,
    SensorRead,
    ServiceIn,
    ServiceRead,
    StateIn,
)
from server.identity import service as identity
from server.identity.errors import (
    NoSuchBranch,
    NoSuchPerson,
    NotSignedIn,
    RoleMissing,
    TooManyTries,
    WrongPassword,
)
from server.identity.guard import Administrator, AnyRole, Limits, Run, allow
from server.seals.errors import NoSuchSeal

KeeperOrAdministrator = Annotated[Scope, Depends(allow(Role.KEEPER, Role.ADMINISTRATOR))]
router = APIRouter(prefix="/api/v1", tags=["devices"], responses=errors(NotSignedIn, RoleMissing))


@router.get("/gateways")
def list_gateways(db: DbRead, scope: Administrator) -> list[GatewayRead]:
    return service.gateways(db, scope)


@router.post("/gateways", status_code=201, responses=errors(NoSuchBranch, GatewayTaken, NameReserved))
def enrol_gateway(body: GatewayIn, db: Db, run: Run, scope: Administrator) -> GatewayMade:
    return service.enrol_gateway(
        db, run, scope, gateway_id=body.gateway_id, name=body.name, branch_path=body.branch_path
    )


@router.post("/gateways/{gateway_id}/secret", responses=errors(NoSuchGateway))
def renew_secret(gateway_id: str, db: Db, run: Run, scope: Administrator) -> GatewayMade:
    return service.renew_gateway_secret(db, run, scope, gateway_id=gateway_id)


@router.get("/devices")
def list_devices(db: DbRead, scope: AnyRole) -> list[DeviceRead]:
    return service.devices(db, scope)


@router.get("/devices/{device_id}", responses=errors(NoSuchDevice))
def read_device(device_id: str, db: DbRead, scope: AnyRole) -> DeviceRead:
    return service.device(db, scope, device_id)


@router.put("/devices/{device_id}/name", responses=errors(NoSuchDevice))
def rename_device(device_id: str, body: NameIn, db: Db, scope: Administrator) -> DeviceRead:
    return service.rename(db, scope, device_id=device_id, name=body.name)


@router.post("/devices/{device_id}/state", responses=errors(NoSuchDevice, DeviceNotActive))
def set_device_state(device_id: str, body: StateIn, db: Db, run: Run, scope: Administrator) -> DeviceRead:
    return service.set_state(db, run, scope, device_id=device_id, state=body.state, reason=body.reason)


@router.post("/devices/{device_id}/offline", responses=errors(NoSuchDevice, DeviceNotActive))
def set_offline(device_id: str, body: OfflineIn, db: Db, run: Run, scope: Administrator) -> DeviceRead:
    return service.set_offline(db, run, scope, device_id=device_id, max_offline_strokes=body.max_offline_strokes)


@router.get("/devices/{device_id}/sensors", responses=errors(NoSuchDevice))
def read_sensors(device_id: str, db: DbRead, scope: AnyRole) -> list[SensorRead]:
    return service.sensors(db, service.device(db, scope, device_id).device_id)


@router.get("/devices/{device_id}/services", responses=errors(NoSuchDevice))
def list_services(device_id: str, db: DbRead, run: Run, scope: AnyRole) -> list[ServiceRead]:
    service.device(db, scope, device_id)
    return service.services(db, run, scope, device_id=device_id)


@router.post(
    "/devices/{device_id}/services",
    status_code=201,
    responses=errors(NoSuchDevice, DeviceNotActive, ServiceUnderWay, HeadNotRegistered, EmptySlot),
)
def propose_service(device_id: str, body: ServiceIn, db: Db, run: Run, scope: Administrator) -> ServiceRead:
    return service.propose_service(db, run, scope, device_id=device_id, form=body)


@router.post(
    "/services/{service_id}/confirm",
    responses=errors(NoSuchService, SamePerson, ServiceOver, DeviceNotActive, WrongPassword, TooManyTries),
)
def confirm_service(service_id: UUID, body: ConfirmIn, run: Run, scope: Administrator, limits: Limits) -> ServiceRead:
    """A second administrator, who types the password again."""
    with run.db.read() as db:
        identity.confirm_password(db, scope, password=body.password.get_secret_value(), limits=limits)
    with run.db.write() as db:
        return service.confirm_service(db, run, scope, service_id=service_id)


@router.post("/services/{service_id}/withdraw", responses=errors(NoSuchService, ServiceOver))
def withdraw_service(service_id: UUID, db: Db, run: Run, scope: Administrator) -> ServiceRead:
    return service.withdraw_service(db, run, scope, service_id=service_id)


@router.get("/deputies")
def list_deputies(db: DbRead, run: Run, scope: AnyRole) -> list[DeputyRead]:
    return service.deputies(db, run, scope)


@router.post(
    "/deputies",
    status_code=201,
    responses=errors(NoSuchDevice, NoSuchSeal, NoSuchPerson, WrongDates, NotADeputy, OnlyForOneself),
)
def name_deputy(body: DeputyIn, db: Db, run: Run, scope: KeeperOrAdministrator) -> DeputyRead:
    return service.name_deputy(db, run, scope, body)


@router.post("/deputies/{deputy_id}/end", responses=errors(NoSuchDeputy, OnlyForOneself))
def end_deputy(deputy_id: UUID, db: Db, run: Run, scope: KeeperOrAdministrator) -> DeputyRead:
    return service.end_deputy(db, run, scope, deputy_id=deputy_id)


@router.get("/pairings")
def list_pairings(db: DbRead, run: Run, scope: Administrator) -> list[PairingRead]:
    return service.open_pairings(db, run, scope)


@router.post("/pairings/{pairing_id}/confirm", responses=errors(NoSuchPairing, PairingOver, KeyIdTaken, NotReleased))
def confirm_pairing(pairing_id: UUID, db: Db, run: Run, scope: Administrator) -> DeviceRead:
    return service.confirm_pairing(db, run, scope, pairing_id=pairing_id)


@router.post("/pairings/{pairing_id}/refuse", status_code=204, responses=errors(NoSuchPairing, PairingOver))
def refuse_pairing(pairing_id: UUID, db: Db, run: Run, scope: Administrator) -> None:
    service.refuse_pairing(db, run, scope, pairing_id=pairing_id)
