"""The keeper's page: one step per screen, the same facts as /api/state. Plain forms; page.js only spares the reload."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from gateway.clock import SystemClock
from gateway.device import DeviceAgent
from gateway.errors import GatewayError
from gateway.pairing import pair as pair_device
from gateway.session_page import translation, view
from gateway.session_page.origin import own_page

if TYPE_CHECKING:
    from gateway.process import Gateway

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_ACTIONS: Final = ("sign-in", "sign-out", "start", "abort", "pair", "scan")


def page_router(gateway: "Gateway") -> APIRouter:
    """`GET /`, `GET /devices/{id}`, `POST /devices/{id}/{action}`, `/assets/...`."""
    pages = _Pages(gateway)
    router = APIRouter(include_in_schema=False, dependencies=[Depends(own_page)])
    router.add_api_route("/", pages.home, methods=["GET"])
    router.add_api_route("/language/{name}", pages.language, methods=["GET"])
    router.add_api_route("/assets/{name}", pages.asset, methods=["GET"])
    router.add_api_route("/devices/{device_id}", pages.show, methods=["GET"])
    router.add_api_route("/devices/{device_id}/{action}", pages.act, methods=["POST"])
    return router


class _Pages:
    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._clock = SystemClock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: dict[str, str] = {}  # what the last tap at a device ran into
        self._files = StaticFiles(packages=[("gateway.session_page", "static")])
        self._environment = Environment(
            loader=PackageLoader("gateway.session_page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def home(self, request: Request) -> Response:
        devices = self._gateway.state()["devices"]
        if len(devices) == 1 and devices[0]["device_id"]:
            return RedirectResponse(f"/devices/{devices[0]['device_id']}", status_code=303)
        return self._page(request, "home.html", devices=devices)

    async def language(self, name: str) -> Response:
        response = RedirectResponse("/", status_code=303)
        if name in translation.LANGUAGES:
            response.set_cookie(translation.COOKIE, name, max_age=365 * 24 * 3600, httponly=True, samesite="strict")
        return response

    async def asset(self, name: str, request: Request) -> Response:
        return await self._files.get_response(name, request.scope)

    async def show(self, device_id: str, request: Request) -> Response:
        state = self._gateway.state()
        device = next((found for found in state["devices"] if found["device_id"] == device_id), None)
        if device is None:
            return self._page(request, "home.html", devices=state["devices"], status=404)
        _ = self._words(request)
        trouble = self._trouble.pop(device_id, "")
        jobs: list[dict[str, Any]] = []
        agent = self._gateway.device(device_id)
        if agent is not None and device["operator"] is not None and device["session"]["step"] == "pick":
            try:
                jobs = await agent.stamping.jobs()
            except GatewayError as error:
                trouble = trouble or str(error)
        return self._page(
            request,
            "session.html",
            device=device,
            stepper=[_(step) for step in view.STEPPER],
            screen=view.screen(device, jobs, _, trouble=trouble),
            strip=view.strip(device, state, _, now_ms=self._clock.now_ms()),
            banner=view.banner(state, _),
        )

    async def act(self, device_id: str, action: str, request: Request) -> Response:
        """A form of the screen; whatever goes wrong is said on the next screen."""
        agent = self._gateway.device(device_id)
        if agent is None or action not in _ACTIONS:
            return self._page(request, "home.html", devices=self._gateway.state()["devices"], status=404)
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            await self._do(agent, action, form, self._words(request))
        except GatewayError as error:
            self._trouble[device_id] = str(error)
        return RedirectResponse(f"/devices/{device_id}", status_code=303)

    async def _do(self, agent: DeviceAgent, action: str, form: dict[str, str], _: translation.Translate) -> None:
        """Raises: GatewayError."""
        match action:
            case "sign-in":
                await agent.operators.sign_in(form.get("username", "").strip(), form.get("pin", ""))
            case "sign-out":
                await agent.operators.sign_out()
            case "start":
                await agent.stamping.start(form.get("request_id", ""))
            case "abort":
                await agent.stamping.abort()
            case "scan":
                await agent.stamping.scan()
                self._trouble[agent.device_id] = _(
                    "Photographed. The photo waits in the New request form at headquarters."
                )
            case "pair":
                self._spawn(agent)
                self._trouble[agent.device_id] = _(
                    "Pairing runs for 180 s. Compare the six digits at headquarters and confirm on both."
                )

    def _spawn(self, agent: DeviceAgent) -> None:
        task = asyncio.get_running_loop().create_task(self._pair(agent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pair(self, agent: DeviceAgent) -> None:
        try:
            await pair_device(agent, self._gateway.head_office)
        except GatewayError as error:
            self._trouble[agent.device_id] = str(error)
        self._gateway.changes.tell()

    def _language(self, request: Request) -> str:
        return translation.choose(
            cookie=request.cookies.get(translation.COOKIE), accept_language=request.headers.get("accept-language")
        )

    def _words(self, request: Request) -> translation.Translate:
        return translation.catalogue(self._language(request)).gettext

    def _page(self, request: Request, name: str, *, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401
        language = self._language(request)
        template = self._environment.get_template(name)
        text = template.render(
            _=self._words(request),
            language=language,
            languages=translation.LANGUAGES,
            gateway_id=self._gateway.settings.gateway_id,
            demo=self._gateway.settings.demo,
            **context,
        )
        return HTMLResponse(text, status_code=status, headers=HEADERS)
