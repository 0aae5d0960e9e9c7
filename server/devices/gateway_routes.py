"""/gateway/v1: hello, keeper sessions, time, pairing."""

from uuid import UUID

from fastapi import APIRouter

from server.core.db import Db, DbRead
from server.core.errors import errors
from server.devices import service
from server.devices.errors import (
    BadCertificateRequest,
    BadEvent,
    KeyIdTaken,
    NoSuchDevice,
    NoSuchPairing,
    NotSignedInAtDevice,
    PairingOver,
    UnknownGateway,
    WrongGateway,
    WrongPasskey,
)
from server.devices.guard import CurrentGateway
from server.devices.schemas import (
    BootNonceIn,
    CertificateIn,
    CertificateOut,
    HelloIn,
    HelloOut,
    IdentifyIn,
    KeeperRead,
    PairingDeviceIn,
    PairingEventIn,
    PairingIn,
    PairingOpened,
    PairingStatus,
    PairingTerms,
    PasskeyIn,
    PasskeyWaits,
    RosterOut,
    SignedTimeOut,
)
from server.identity.errors import PasskeyTaken, PasskeyUnreadable, TooManyPasskeys, TooManyTries, WrongPin
from server.identity.guard import Limits, Run

router = APIRouter(prefix="/gateway/v1", tags=["gateway"], responses=errors(UnknownGateway))


@router.post("/hello", responses=errors(WrongGateway))
def hello(body: HelloIn, db: Db, run: Run, gateway: CurrentGateway) -> HelloOut:
    return service.hello(db, run, gateway, body)


@router.post(
    "/sessions", status_code=201, responses=errors(WrongPin, WrongPasskey, BadEvent, TooManyTries, NoSuchDevice)
)
def sign_in_at_device(body: IdentifyIn, run: Run, gateway: CurrentGateway, limits: Limits) -> KeeperRead:
    if body.event is not None:
        with run.db.write() as db:
            device = service.device_of_gateway(db, gateway, body.device_id)
            person = service.check_passkey_here(db, run, device_read=device, event=bytes.fromhex(body.event))
            return service.sign_in_keeper(db, run, device_read=device, person=person)
    with run.db.read() as db:
        device = service.device_of_gateway(db, gateway, body.device_id)
        if body.badge is not None:
            badge = body.badge.get_secret_value()
            person = service.check_badge_here(db, run, device_read=device, badge=badge, limits=limits)
        else:
            pin = body.pin.get_secret_value() if body.pin is not None else ""
            person = service.check_keeper_here(
                db, run, device_read=device, username=body.username or "", pin=pin, limits=limits
            )
    with run.db.write() as db:
        return service.sign_in_keeper(db, run, device_read=device, person=person)


@router.post("/certificate", status_code=201, responses=errors(BadCertificateRequest))
def certify(body: CertificateIn, db: Db, run: Run, gateway: CurrentGateway) -> CertificateOut:
    return service.issue_certificate(db, run, gateway, request=body.request.encode())


@router.get("/devices/{device_id}/roster", responses=errors(NoSuchDevice))
def roster(device_id: str, db: Db, run: Run, gateway: CurrentGateway) -> RosterOut:
    """Who may operate the device, and the signed parts that say so to the device itself."""
    return service.roster(db, run, gateway, device_id=device_id)


@router.post(
    "/devices/{device_id}/passkeys",
    status_code=201,
    responses=errors(NoSuchDevice, NotSignedInAtDevice, PasskeyUnreadable, PasskeyTaken, TooManyPasskeys),
)
def register_passkey(device_id: str, body: PasskeyIn, db: Db, run: Run, gateway: CurrentGateway) -> PasskeyWaits:
    """It opens nothing until its owner confirms it at headquarters."""
    device = service.device_of_gateway(db, gateway, device_id)
    made = service.register_passkey_here(db, run, gateway, device_read=device, form=body)
    return PasskeyWaits(number=made.number)


@router.post("/devices/{device_id}/time", responses=errors(NoSuchDevice))
def signed_time(device_id: str, body: BootNonceIn, db: DbRead, run: Run, gateway: CurrentGateway) -> SignedTimeOut:
    service.device_of_gateway(db, gateway, device_id)
    return SignedTimeOut(time=service.signed_time(run, device_id=device_id, boot_nonce=bytes.fromhex(body.boot_nonce)))


@router.post("/pairings", status_code=201)
def start_pairing(body: PairingIn, db: Db, run: Run, gateway: CurrentGateway) -> PairingOpened:
    return service.start_pairing(db, run, gateway, device_id=body.device_id)


@router.post("/pairings/{pairing_id}/device", responses=errors(NoSuchPairing, PairingOver, KeyIdTaken))
def device_answer(pairing_id: UUID, body: PairingDeviceIn, db: Db, run: Run, gateway: CurrentGateway) -> PairingTerms:
    return service.device_answer(db, run, gateway, pairing_id=pairing_id, said=body)


@router.get("/pairings/{pairing_id}", responses=errors(NoSuchPairing))
def pairing_status(pairing_id: UUID, db: DbRead, run: Run, gateway: CurrentGateway) -> PairingStatus:
    return PairingStatus(state=service.pairing_status(db, run, gateway, pairing_id=pairing_id))


@router.post("/pairings/{pairing_id}/event", responses=errors(NoSuchPairing, BadEvent))
def pairing_event(pairing_id: UUID, body: PairingEventIn, db: Db, run: Run, gateway: CurrentGateway) -> PairingStatus:
    state = service.pairing_event(db, run, gateway, pairing_id=pairing_id, event=bytes.fromhex(body.event))
    return PairingStatus(state=state)
