"""POST /gateway/v1/carry: the inner request runs through this very app, as the gateway that closed the envelope."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Scope

from server.core.errors import errors
from server.devices import carry
from server.devices.carry import Answer, Opened
from server.devices.errors import CARRY_HEADERS, CarryForbidden, CarryRefused, CarryReplayed, CarryStale
from server.devices.guard import CARRIED_FOR
from server.devices.schemas import CarriedOut
from server.identity.guard import Run

router = APIRouter(prefix="/gateway/v1/carry", tags=["gateway"])
PREFIX: Final = "/gateway/v1/"
_PREFLIGHT: Final = CARRY_HEADERS | {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "600",
}


@router.options("", include_in_schema=False)
def may_i() -> Response:
    """CORS, for this path alone: the page comes from the gateway, the phone reaches us over mobile data."""
    return Response(status_code=204, headers=_PREFLIGHT)


@router.get("", status_code=204)
def reachable() -> Response:
    """A phone asks whether it gets through at all."""
    return Response(status_code=204, headers=CARRY_HEADERS)


@router.post("", responses=errors(CarryRefused, CarryStale, CarryForbidden, CarryReplayed))
async def carry_request(request: Request, response: Response, run: Run) -> CarriedOut:
    """Async to run the inner request; everything that waits for a disk runs in a thread."""
    opened = await run_in_threadpool(carry.open_envelope, run, await request.body())
    answer = await _inner(request.app, request.scope, opened)
    response.headers.update(CARRY_HEADERS)
    return await run_in_threadpool(carry.close_answer, run, opened, answer)


_running: set[asyncio.Task[None]] = set()
"""Inner requests whose background work goes on after their answer; a task without a reference may vanish."""


async def _inner(app: ASGIApp, outer: Scope, opened: Opened) -> Answer:
    """The whole answer of the inner request, without waiting for its background work."""
    said: list[Message] = []
    complete = asyncio.Event()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await complete.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": opened.body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            complete.set()

    async def work() -> None:
        try:
            await app(_scope(outer, opened), receive, send)
        finally:
            complete.set()

    task = asyncio.create_task(work())
    _running.add(task)
    task.add_done_callback(_running.discard)
    await complete.wait()
    return _answer(said)


def _answer(said: list[Message]) -> Answer:
    start = next((message for message in said if message["type"] == "http.response.start"), None)
    if start is None:
        return Answer(status=500, content_type="text/plain", body=b"")
    headers = {bytes(name).lower(): bytes(value) for name, value in start.get("headers", [])}
    body = b"".join(message.get("body", b"") for message in said if message["type"] == "http.response.body")
    return Answer(status=start["status"], content_type=headers.get(b"content-type", b"").decode("latin-1"), body=body)


def _scope(outer: Scope, opened: Opened) -> Scope:
    path = PREFIX + opened.path
    language = [(name, value) for name, value in outer["headers"] if name == b"accept-language"]
    return {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "method": opened.method,
        "scheme": outer.get("scheme", "https"),
        "path": path,
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": opened.query.encode("ascii"),
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", opened.content_type.encode("latin-1", "replace")),
            (b"content-length", str(len(opened.body)).encode()),
            *language,
        ],
        "client": outer.get("client"),
        "server": outer.get("server"),
        "state": {CARRIED_FOR: opened.gateway},
    }
