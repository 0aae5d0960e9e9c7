"""The gateway's own HTTP: the keeper's page and the JSON below it. Starts a job only for a signed-in keeper."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from gateway.device import DeviceAgent
from gateway.errors import (
    DeviceRefused,
    GatewayError,
    HeadOfficeRefused,
    NoPasskey,
    NotKnownHere,
    OutOfOrder,
    PasskeyNotKnown,
)

if TYPE_CHECKING:
    from gateway.process import Gateway

STATE_HEARTBEAT_S = 5.0


class NoSuchDevice(GatewayError):
    """No device with this id is connected here."""

    code = "no_such_device"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignIn(_Body):
    username: str
    pin: str


class Badge(_Body):
    badge: str


class PagesHost(_Body):
    """`rp_id`: the host of the page, to which a passkey belongs."""

    rp_id: str


class PasskeyAnswer(_Body):
    """What navigator.credentials.get gave, in base64url."""

    credential_id: str
    authenticator_data: str
    client_data: str
    signature: str


class NewPasskey(PagesHost):
    """What navigator.credentials.create gave, in base64url."""

    authenticator_data: str


class Start(_Body):
    request_id: str


class Redo(_Body):
    """`spoil`: cancel the sheet and take a spare; otherwise the imprint stays and is reviewed."""

    spoil: bool


class Reason(_Body):
    reason: str = ""
    text: str = ""


class Explained(_Body):
    text: str


class LabelStep(_Body):
    """`step`: print (again), or leave: go on without a label."""

    step: Literal["print", "leave"]


class CarryAnswer(_Body):
    """What a phone brought: the envelope's nonce, and headquarters' answer as it is."""

    nonce: str
    answer: dict[str, Any]


def _gateway(request: Request) -> "Gateway":
    gateway: Gateway = request.app.state.gateway
    return gateway


def _agent(request: Request, device_id: str) -> DeviceAgent:
    found = _gateway(request).device(device_id)
    if found is None:
        raise NoSuchDevice(
            f"No device {device_id} is connected to this gateway. Nothing was done. Pick one on its page."
        )
    return found


Agent = Annotated[DeviceAgent, Depends(_agent)]
router = APIRouter(prefix="/api")


def create_app(gateway: "Gateway") -> FastAPI:
    from gateway.session_page.origin import own_page
    from gateway.session_page.routes import page_router

    app = FastAPI(title="Cinnabar gateway", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gateway = gateway
    app.add_exception_handler(GatewayError, _problem)
    app.include_router(router, dependencies=[Depends(own_page)])
    app.include_router(page_router(gateway))
    return app


@router.get("/state")
async def state(request: Request) -> dict[str, Any]:
    return _gateway(request).state()


@router.get("/events")
async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(_changes(_gateway(request), request), media_type="text/event-stream")


@router.post("/devices/{device_id}/sign-in")
async def sign_in(device: Agent, body: SignIn) -> dict[str, Any]:
    return await device.operators.sign_in(body.username, body.pin)


@router.post("/devices/{device_id}/badge")
async def badge(device: Agent, body: Badge) -> dict[str, Any]:
    return await device.operators.badge(body.badge)


@router.post("/devices/{device_id}/passkey/ask")
async def ask_for_passkey(device: Agent, body: PagesHost) -> dict[str, Any]:
    return await device.passkeys.ask(body.rp_id)


@router.post("/devices/{device_id}/passkey")
async def passkey(device: Agent, body: PasskeyAnswer) -> dict[str, Any]:
    return await device.passkeys.sign_in(body.model_dump())


@router.post("/devices/{device_id}/passkey/new")
async def ask_for_new_passkey(device: Agent, body: PagesHost) -> dict[str, Any]:
    return device.passkeys.new(body.rp_id)


@router.post("/devices/{device_id}/new-passkey")
async def new_passkey(device: Agent, body: NewPasskey) -> dict[str, str]:
    return {"number": await device.passkeys.register(body.model_dump())}


@router.post("/devices/{device_id}/sign-out")
async def sign_out(device: Agent, request: Request) -> dict[str, Any]:
    await device.operators.sign_out()
    return _gateway(request).state()


@router.get("/devices/{device_id}/jobs")
async def jobs(device: Agent) -> list[dict[str, Any]]:
    return await device.stamping.jobs()


@router.post("/devices/{device_id}/start")
async def start(device: Agent, body: Start, request: Request) -> dict[str, Any]:
    await device.stamping.start(body.request_id)
    return _gateway(request).state()


@router.post("/devices/{device_id}/capture")
async def capture(device: Agent, request: Request) -> dict[str, Any]:
    await device.stamping.capture()
    return _gateway(request).state()


@router.post("/devices/{device_id}/abort")
async def abort(device: Agent, request: Request) -> dict[str, Any]:
    await device.stamping.abort()
    return _gateway(request).state()


@router.post("/devices/{device_id}/reason")
async def reason(device: Agent, body: Reason, request: Request) -> dict[str, Any]:
    device.stamping.give_reason(body.reason, body.text)
    return _gateway(request).state()


@router.post("/devices/{device_id}/redo")
async def redo(device: Agent, body: Redo, request: Request) -> dict[str, Any]:
    device.imprints.choose(spoil=body.spoil)
    return _gateway(request).state()


@router.post("/devices/{device_id}/alarm")
async def alarm(device: Agent, body: Explained, request: Request) -> dict[str, Any]:
    device.stamping.explain_alarm(body.text)
    return _gateway(request).state()


@router.post("/devices/{device_id}/label")
async def label(device: Agent, body: LabelStep, request: Request) -> dict[str, Any]:
    if body.step == "print":
        await device.sticking.print(again=True)
    else:
        device.sticking.leave()
    return _gateway(request).state()


@router.get("/carry/next")
async def carry_next(request: Request, *, reaches: bool = False) -> Response:
    """The next envelope for the phone that shows the page, 204 when there is none. `reaches`: it gets through."""
    envelope = await _gateway(request).carry.next(reaches=reaches)
    return JSONResponse(envelope) if envelope else Response(status_code=204)


@router.post("/carry/answer", status_code=204)
async def carry_answer(body: CarryAnswer, request: Request) -> None:
    _gateway(request).carry.answer(body.nonce, body.answer)


@router.post("/devices/{device_id}/pair")
async def pair(device: Agent, request: Request) -> dict[str, Any]:
    from gateway.pairing import pair as pair_device

    return {"state": await pair_device(device, _gateway(request).head_office)}


@router.post("/devices/{device_id}/scan")
async def scan(device: Agent) -> dict[str, Any]:
    return await device.stamping.scan()


async def _changes(gateway: "Gateway", request: Request) -> AsyncIterator[str]:
    """Server-sent events that only say "state changed", and a heartbeat."""
    changed = gateway.changes.join()
    try:
        while not await request.is_disconnected():
            yield "event: state\ndata: {}\n\n"
            try:
                async with asyncio.timeout(STATE_HEARTBEAT_S):
                    await changed.wait()
            except TimeoutError:
                continue
            changed.clear()
    finally:
        gateway.changes.leave(changed)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    """RFC 9457."""
    status = 500
    match error:
        case HeadOfficeRefused(status=refused):
            status = refused
        case DeviceRefused() | OutOfOrder() | NoPasskey():
            status = 409
        case NoSuchDevice():
            status = 404
        case GatewayError(code="cross_site_request"):
            status = 403
        case NotKnownHere() | PasskeyNotKnown():
            status = 401
        case GatewayError():
            status = 503
    body = {"type": "about:blank", "status": status, "detail": str(error), "code": getattr(error, "code", "error")}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
