"""The keeper's page: one step per screen, the same facts as /api/state. Plain forms; page.js only spares the reload."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from gateway.clock import SystemClock
from gateway.device import DeviceAgent
from gateway.errors import GatewayError
from gateway.pairing import pair as pair_device
from gateway.session_page import strip, translation, view
from gateway.session_page.actions import ACTIONS, act
from gateway.session_page.origin import own_page, own_picture
from gateway.session_page.screen import STEPPER, Screen
from gateway.session_page.translation import N_

if TYPE_CHECKING:
    from gateway.process import Gateway

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {headquarters}; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""`headquarters`: the one other origin, for requests that the keeper's phone carries."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LOOKS: Final = ("large", "left", "silent")
"""What a keeper may set for this phone: large text, buttons for the left hand, no sound or vibration but an alarm's."""
LOOK_COOKIE: Final = "look"
SAID_FOR_MS: Final = 30_000
YEAR_S: Final = 365 * 24 * 3600


def page_router(gateway: "Gateway") -> APIRouter:
    """`GET /`, `GET /devices/{id}`, its photos and live picture, `POST /devices/{id}/{action}`, `/assets/...`."""
    pages = _Pages(gateway)
    router = APIRouter(include_in_schema=False, dependencies=[Depends(own_page)])
    router.add_api_route("/", pages.home, methods=["GET"])
    router.add_api_route("/language/{name}", pages.language, methods=["GET"])
    router.add_api_route("/assets/{name}", pages.asset, methods=["GET"])
    router.add_api_route("/devices/{device_id}", pages.show, methods=["GET"])
    router.add_api_route("/devices/{device_id}/look/{name}", pages.look, methods=["GET"])
    router.add_api_route("/devices/{device_id}/pictures/{name}", pages.picture, methods=["GET"])
    router.add_api_route("/devices/{device_id}/live", pages.live, methods=["GET"], dependencies=[Depends(own_picture)])
    router.add_api_route("/devices/{device_id}/{action}", pages.act, methods=["POST"])
    return router


_SAID: Final = {
    "scan": N_("Photographed. The photo waits in the New request form at headquarters."),
    "new-passkey": N_(
        "Your passkey waits for you: confirm number %(number)s at headquarters under My passkeys. Then it signs you in."
    ),
    "pair": N_("Pairing runs for 180 s. Compare the six digits at headquarters and confirm on both."),
}
"""What to say after these went well."""


class _Pages:
    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._clock = SystemClock()
        server = urlsplit(gateway.settings.server_url)
        self._headquarters = f"{server.scheme}://{server.netloc}"
        self._headers = HEADERS | {"Content-Security-Policy": POLICY.format(headquarters=self._headquarters)}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: dict[
            str, tuple[str, int]
        ] = {}  # what the last tap at a device ran into, and until when to say so
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
            response.set_cookie(translation.COOKIE, name, max_age=YEAR_S, httponly=True, samesite="strict")
        return response

    async def look(self, device_id: str, name: str, request: Request) -> Response:
        """Switch one of LOOKS on or off."""
        chosen = set(_looks(request)) ^ ({name} & set(LOOKS))
        response = RedirectResponse(f"/devices/{device_id}", status_code=303)
        value = ".".join(sorted(chosen))
        response.set_cookie(LOOK_COOKIE, value, max_age=YEAR_S, httponly=True, samesite="strict")
        return response

    async def picture(self, device_id: str, name: str) -> Response:
        """A photo of this session."""
        agent = self._gateway.device(device_id)
        photo = agent.desk.picture(name) if agent is not None else None
        if photo is None:
            return Response(status_code=404)
        return Response(photo, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def live(self, device_id: str) -> Response:
        """The tray as it lies now, kept nowhere; nothing while another step is on the screen."""
        agent = self._gateway.device(device_id)
        picture = await agent.looking.look() if agent is not None else None
        if picture is None:
            return Response(status_code=204)
        headers = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
        return Response(picture, media_type="image/jpeg", headers=headers)

    async def asset(self, name: str, request: Request) -> Response:
        return await self._files.get_response(name, request.scope)

    async def show(self, device_id: str, request: Request) -> Response:
        state = self._gateway.state()
        device = next((found for found in state["devices"] if found["device_id"] == device_id), None)
        if device is None:
            return self._page(request, "home.html", devices=state["devices"], status=404)
        _ = self._words(request)
        now_ms = self._clock.now_ms()
        trouble, until_ms = self._trouble.get(device_id, ("", 0))
        if now_ms > until_ms:
            trouble = ""
        jobs: list[dict[str, Any]] = []
        agent = self._gateway.device(device_id)
        picking = device["session"]["step"] == "pick" and not device["session"]["stopped"]
        if agent is not None and device["operator"] is not None and picking:
            try:
                jobs = await agent.stamping.jobs()
            except GatewayError as error:
                trouble = trouble or str(error)
        return self._page(
            request,
            "session.html",
            device=device,
            stepper=[_(step) for step in STEPPER],
            screen=self._with_photos(agent, view.screen(device, jobs, _, now_ms=now_ms, trouble=trouble)),
            strip=strip.strip(device, state, _, now_ms=now_ms),
            banner=strip.banner(state, _),
            looks=_looks(request),
            carry="" if state["uplink"] else self._headquarters,
        )

    async def act(self, device_id: str, action: str, request: Request) -> Response:
        """A form of the screen; whatever goes wrong is said on the next screen."""
        agent = self._gateway.device(device_id)
        if agent is None or action not in ACTIONS:
            return self._page(request, "home.html", devices=self._gateway.state()["devices"], status=404)
        form = {name: str(value) for name, value in (await request.form()).items()}
        _ = self._words(request)
        told: dict[str, str] = {}
        try:
            if action == "pair":
                self._spawn(agent)
            else:
                told = await act(agent, action, form)
        except GatewayError as error:
            self._say(device_id, str(error))
        else:
            self._say(device_id, _(_SAID[action]) % told if action in _SAID else "")
        return RedirectResponse(f"/devices/{device_id}", status_code=303)

    def _say(self, device_id: str, text: str) -> None:
        """On this device's screen until the next tap, or until it was read."""
        self._trouble[device_id] = (text, self._clock.now_ms() + SAID_FOR_MS)

    def _spawn(self, agent: DeviceAgent) -> None:
        task = asyncio.get_running_loop().create_task(self._pair(agent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pair(self, agent: DeviceAgent) -> None:
        try:
            await pair_device(agent, self._gateway.head_office)
        except GatewayError as error:
            self._say(agent.device_id, str(error))
        self._gateway.changes.tell()

    def _with_photos(self, agent: DeviceAgent | None, screen: Screen) -> Screen:
        """Without the photos that are not there (any more)."""

        def there(name: str) -> bool:
            return agent is not None and agent.desk.picture(name) is not None

        differences = tuple(
            seen if there(seen.approved) and there(seen.photo) else replace(seen, approved="", photo="")
            for seen in screen.differences
        )
        return replace(screen, pictures=tuple(p for p in screen.pictures if there(p.name)), differences=differences)

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
        return HTMLResponse(text, status_code=status, headers=self._headers)


def _looks(request: Request) -> tuple[str, ...]:
    return tuple(name for name in LOOKS if name in request.cookies.get(LOOK_COOKIE, "").split("."))
