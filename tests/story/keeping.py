"""What keeper and office do in the stories of the different ways, with real processes between them."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import numpy as np
import pypdfium2
from PIL import Image, ImageDraw

from dashboard.bench._wire import Wire
from dashboard.demo import story
from dashboard.demo.processes import Company
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import trace
from tests.fixtures import running
from tests.fixtures.running import Json, session, wait_for_step

PLACE: Final = {"x_mm": 150.0, "y_mm": 235.0}
"""Where the simulated device stamps a page laid normally."""
DPI: Final = 200


class FarCompany(Company):
    """Headquarters is at the far end of wires that can be cut."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.wires: list[Wire] = []
        self.extra: Json = {}
        """More settings of the gateway."""

    def write_gateway(self, *, gateway_id: str, secret: str, listen: str = "127.0.0.1:0") -> None:
        super().write_gateway(gateway_id=gateway_id, secret=secret, listen=listen)
        path = self.folder / "gateway" / "gateway.json"
        settings = json.loads(path.read_bytes()) | self.extra
        for name in ("server_url", "mqtt_url"):
            address, _, port = str(settings[name]).rpartition(":")
            self.wires.append(Wire(int(port)))
            settings[name] = f"{address}:{self.wires[-1].port}"
        path.write_text(json.dumps(settings))

    def stop(self) -> None:
        super().stop()
        for wire in self.wires:
            wire.stop()


@dataclass
class Counter:
    """The company, seen from the counter."""

    stage: Stage
    company: FarCompany
    admins: int = field(default=1)

    # --- the office

    def ask(self, pdf: bytes, pages: tuple[int, ...], **form: Any) -> str:
        """A request with one place on each of `pages`, approved; its id."""
        asked = {
            "seal_id": str(self.stage.players.seal_id),
            "title": "Contract",
            "reason": "Signed by both parties.",
            "places": [{"page": page, **PLACE} for page in pages],
        } | form
        files = {"document": ("document.pdf", pdf, "application/pdf")}
        clerk = self.stage.person("clerk")
        made = clerk.send("ask", "POST", "/api/v1/requests", data={"form": json.dumps(asked)}, files=files).json()
        self.stage.request_id = made["id"]
        clerk.post("ask", f"/api/v1/requests/{made['id']}/submit")
        story.approve(self.stage)
        return self.stage.request_id

    def page(self, username: str, path: str) -> str:
        """A screen of the dashboard, in English."""
        return self.stage.person(username).send("page", "GET", path, headers={"Accept-Language": "en"}).text

    def fill_in(self, username: str, path: str, **form: str) -> None:
        """A form of the dashboard, sent as a browser does."""
        answer = self.stage.person(username)._client.post(path, data=form)  # a form, not JSON
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text[-2000:]

    def timeline(self, request_id: str) -> list[Json]:
        path = f"/api/v1/requests/{request_id}/timeline"
        strokes: list[Json] = self.stage.person("auditor").get("timeline", path)["strokes"]
        return strokes

    def public_word(self, trace_code: bytes, text: str) -> None:
        """The public page says `text` about this code."""
        company, code = self.stage.company, trace.url(trace_code, host="x")
        public, ca_file = company.server.ready["public"], str(company.home / "tls" / "ca.pem")
        with httpx.Client(base_url=public, verify=running_context(ca_file), trust_env=False) as client:

            def said() -> bool:
                answer = client.get(urlsplit(code).path, headers={"Accept-Language": "en"})
                return answer.is_success and text in answer.text

            until("public page", f"the public page saying: {text}", said, timeout_s=30)

    # --- the keeper

    @property
    def _path(self) -> str:
        return f"/api/devices/{self.stage.device_id}"

    def tap(self, what: str, **body: Any) -> Json:
        found: Json = self.stage.at_gateway.post(what, f"{self._path}/{what}", body)
        return found

    def sign_in(self) -> None:
        self.tap("sign-in", username="keeper", pin=self.stage.players.keeper_pin)

    def jobs(self) -> list[Json]:
        found: list[Json] = self.stage.at_gateway.get("jobs", f"{self._path}/jobs")
        return found

    def start(self, request_id: str) -> Json:
        if self.stage.at_gateway.device("who")["operator"] is None:
            self.sign_in()
        self.tap("start", request_id=request_id)
        return session(self.stage)

    def begin(self, pdf: bytes, pages: tuple[int, ...] = (1,), **form: Any) -> str:
        """Asked, approved, and started at the device."""
        request_id = self.ask(pdf, pages, **form)
        self.start(request_id)
        return request_id

    def hand(self, path: str, **body: Any) -> Json:
        found: Json = self.stage.beside.post("hand", path, body)
        return found

    def lay(self, pdf: bytes, page: int, **how: Any) -> None:
        self.hand("/take-away")
        self.hand("/lay", pdf_base64=base64.b64encode(pdf).decode(), page=page, **how)

    def press(self) -> Json:
        """The stroke, and the device's word for it."""
        assert self.hand("/pull")["pressed"], session(self.stage)
        return self.until(lambda now: now["step"] not in ("ready", "place", "checking"), "the stroke on the screen")

    def stamp(self, pdf: bytes, page: int) -> Json:
        self.lay(pdf, page)
        wait_for_step(self.stage, "ready")
        return self.press()

    def until(self, true: Any, what: str) -> Json:
        def look() -> Json | None:
            now = session(self.stage)
            return now if true(now) else None

        return until("session", what, look, timeout_s=running.LATCH_S)

    def done(self) -> None:
        """The screen says done; the paper is taken away and the next job can be picked."""
        wait_for_step(self.stage, "done")
        self.hand("/take-away")
        self.tap("abort")

    def screen(self, text: str) -> None:
        """The keeper's page, in English, says `text`."""
        path = f"/devices/{self.stage.device_id}"
        html = self.stage.at_gateway.send("screen", "GET", path, headers={"Accept-Language": "en"}).text
        assert text in html, html

    def tray(self) -> bytes:
        """The live picture beside it; nothing while another step is on the screen."""
        found: bytes = self.stage.at_gateway.send("tray", "GET", f"/devices/{self.stage.device_id}/live").content
        return found

    # --- the line to headquarters

    @contextmanager
    def nobody_answers(self) -> Iterator[None]:
        """Both ways to headquarters are cut."""
        for wire in self.company.wires:
            wire.cut()
        try:
            yield
        finally:
            for wire in self.company.wires:
                wire.mend()


def running_context(ca_file: str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca_file)


@contextmanager
def counter(folder: Path, *, coder: bool = True, **extra: Any) -> Iterator[Counter]:
    """`extra`: more settings of the gateway."""
    company = FarCompany(folder)
    company.extra = extra
    if not coder:
        company.device.add("--no-coder")
    with running.running(folder, company=company) as stage:
        yield Counter(stage, company)


def picture(pdf: bytes, page: int, *, specks: int = 0) -> str:
    """The page as somebody printed it, with dirt as large as a full stop beside the text; base64 of a PNG."""
    image = pypdfium2.PdfDocument(pdf)[page - 1].render(scale=DPI / 72).to_pil().convert("RGB")
    draw, (width, height) = ImageDraw.Draw(image), image.size
    for number in range(specks):
        x, y, radius = int(width * 0.93), int(height * (0.91 - 0.02 * number)), round(2 * DPI / 150)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(70, 70, 70))
    out = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
