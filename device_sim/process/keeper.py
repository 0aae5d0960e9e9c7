"""The simulated human beside the device: a small JSON API on loopback. A real device has a person instead."""

import base64
import binascii
import io
import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from device_sim.process import screen
from device_sim.process.faults import Fault, UnknownFault
from device_sim.process.runner import ZERO_C_K, Runner
from device_sim.scene.errors import NoSheet, SceneError
from device_sim.scene.paper import pdf_page_size_mm, render_pdf_page
from device_sim.scene.settings import SHEET_DPI

MAX_BODY: Final = 64_000_000
"""A base64 PDF of some 45 MB."""
HAND_DPI: Final = 200
"""Resolution of /sheet.png."""
A4_MM: Final = (210.0, 297.0)

Answer = dict[str, Any]
Action = Callable[[Answer], Answer]


class Keeper:
    """What the keeper can do. Raises: SceneError, UnknownFault, ValueError, KeyError for what cannot be done."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._rendering = threading.Lock()

    def lay(self, body: Answer) -> Answer:
        """A page; with `again` the sheet that was taken away last."""
        if body.get("again") is True:
            self._runner.change_tray(lambda scene: scene.lay_again())
            return {}
        page, size_mm = self._page(body)
        curl_mm, staple = float(body.get("curl_mm", 0)), body.get("staple") is True
        self._runner.change_tray(lambda scene: scene.lay_page(page, page_mm=size_mm, curl_mm=curl_mm, staple=staple))
        return {}

    def fan(self, body: Answer) -> Answer:
        """Several pages of one PDF, their edges side by side below the stamp."""
        pdf, numbers = _bytes(body["pdf_base64"]), [int(page) for page in body["pages"]]
        with self._rendering:
            pages = [render_pdf_page(pdf, number - 1, dpi=SHEET_DPI) for number in numbers]
            size_mm = pdf_page_size_mm(pdf, numbers[0] - 1) if numbers else A4_MM
        self._runner.change_tray(lambda scene: scene.lay_fan(pages, page_mm=size_mm))
        return {}

    def take_away(self, _body: Answer) -> Answer:
        self._runner.change_tray(lambda scene: scene.take_away())
        return {}

    def stick_label(self, body: Answer) -> Answer:
        """The label is stuck on the sheet under the camera; nothing was moved. `number`: "imprint NUMBER".

        `cancelled`: it is the label that cancels a spoiled sheet.
        """
        line = f"imprint {body['number']}"
        with self._runner.tray.scene() as scene:
            cancelled = bool(body.get("cancelled"))
            return {
                "stuck": scene.stick_label(body["url"], short_code=body["short_code"], line=line, cancelled=cancelled)
            }

    def move(self, body: Answer) -> Answer:
        dx, dy, turn = (float(body.get(name, 0)) for name in ("dx_mm", "dy_mm", "rotation_deg"))
        self._runner.change_tray(lambda scene: scene.move_page(dx_mm=dx, dy_mm=dy, rotation_deg=turn))
        return {}

    def pull(self, _body: Answer) -> Answer:
        pressed = self._runner.pull()
        return {"pressed": pressed, "counter": self._runner.mechanics.read()}

    def pairing_button(self, _body: Answer) -> Answer:
        with self._runner.core() as device:
            return {"open": device.press_pairing_button()}

    def confirm_pairing(self, _body: Answer) -> Answer:
        with self._runner.core() as device:
            return {"paired": device.confirm_pairing()}

    def cover(self, body: Answer) -> Answer:
        self._runner.inject(Fault.COVER_OPEN if _flag(body["open"]) else Fault.COVER_CLOSED)
        return {}

    def pry(self, _body: Answer) -> Answer:
        self._runner.inject(Fault.PRY)
        return {}

    def tilt(self, _body: Answer) -> Answer:
        self._runner.inject(Fault.TILT)
        return {}

    def battery(self, body: Answer) -> Answer:
        percent = int(body["percent"])
        if not 0 <= percent <= 100:
            raise ValueError("per cent are 0 to 100")
        with self._runner.core() as device:
            device.battery(percent)
        return {}

    def temperature(self, body: Answer) -> Answer:
        kelvin = round(float(body["celsius"])) + ZERO_C_K
        if kelvin < 0:
            raise ValueError("nothing is as cold as that")
        with self._runner.core() as device:
            device.temperature(kelvin)
        return {}

    def ink(self, body: Answer) -> Answer:
        """Fill the pad, or empty it."""
        self._runner.fill_ink(float(body["level"]))
        return {}

    def fault(self, body: Answer) -> Answer:
        point = f":{body['at']}" if "at" in body else ""
        self._runner.inject(str(body["name"]) + point)
        return {"faults": self._runner.faults.names}

    def head(self, body: Answer) -> Answer:
        self._runner.mount_head(
            int(body.get("slot", 0)),
            head_id=bytes.fromhex(body["head_id"]),
            png=_bytes(body["png_base64"]),
            diameter_mm=float(body["diameter_mm"]),
        )
        return {}

    def digits(self) -> Answer:
        with self._runner.core() as device:
            return {"digits": device.digits}

    def display(self) -> Answer:
        """What stands on the device's small screen."""
        with self._runner.core() as device:
            shown = device.display
        return {
            "title": shown.title,
            "short": shown.short,
            "strokes_left": shown.strokes_left,
            "lines": screen.lines(shown),
        }

    def state(self) -> Answer:
        return self._runner.state()

    def sheet_png(self) -> bytes | None:
        """The paper, flat: the one on the tray, else the one taken away last."""
        with self._runner.tray.scene() as scene:
            try:
                image = scene.sheet_image()
            except NoSheet:
                return None
        factor = HAND_DPI / SHEET_DPI
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        out = io.BytesIO()
        Image.fromarray(np.asarray(small, np.uint8)).save(out, "PNG", dpi=(HAND_DPI, HAND_DPI), compress_level=1)
        return out.getvalue()

    def view_jpg(self) -> bytes:
        with self._runner.tray.scene() as scene:
            return scene.photograph().full_jpeg

    def _page(self, body: Answer) -> tuple[NDArray[np.uint8] | None, tuple[float, float]]:
        """The printed page (RGB) and its size in mm; None is blank paper."""
        if "pdf_base64" in body:
            pdf, index = _bytes(body["pdf_base64"]), int(body.get("page", 1)) - 1
            with self._rendering:
                return render_pdf_page(pdf, index, dpi=SHEET_DPI), pdf_page_size_mm(pdf, index)
        if "image_base64" in body:
            with Image.open(io.BytesIO(_bytes(body["image_base64"]))) as picture:
                page = np.asarray(picture.convert("RGB"))
            return page, A4_MM if page.shape[0] >= page.shape[1] else A4_MM[::-1]
        if body.get("blank") is True:
            return None, A4_MM
        raise ValueError("lay needs pdf_base64, image_base64 or blank")


class KeeperServer(ThreadingHTTPServer):
    """Port 0 picks a free one."""

    daemon_threads = True

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.actions: dict[str, Action] = {
            "/fan": keeper.fan,
            "/stick-label": keeper.stick_label,
            "/cover": keeper.cover,
            "/pry": keeper.pry,
            "/tilt": keeper.tilt,
            "/battery": keeper.battery,
            "/temperature": keeper.temperature,
            "/ink": keeper.ink,
            "/lay": keeper.lay,
            "/take-away": keeper.take_away,
            "/move": keeper.move,
            "/pull": keeper.pull,
            "/pairing-button": keeper.pairing_button,
            "/confirm-pairing": keeper.confirm_pairing,
            "/fault": keeper.fault,
            "/head": keeper.head,
        }
        self.facts: dict[str, Callable[[], Answer]] = {
            "/digits": keeper.digits,
            "/state": keeper.state,
            "/display": keeper.display,
        }
        self.pictures: dict[str, tuple[str, Callable[[], bytes | None]]] = {
            "/sheet.png": ("image/png", keeper.sheet_png),
            "/view.jpg": ("image/jpeg", keeper.view_jpg),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Request(BaseHTTPRequestHandler):
    server: KeeperServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path in self.server.facts:
            self._json(HTTPStatus.OK, self.server.facts[self.path]())
        elif self.path in self.server.pictures:
            kind, picture = self.server.pictures[self.path]
            data = picture()
            if data is None:
                self._json(HTTPStatus.NOT_FOUND, {"error": "there is no sheet"})
            else:
                self._send(HTTPStatus.OK, kind, data)
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"at most {MAX_BODY} bytes"})
            return
        raw = self.rfile.read(length)
        action = self.server.actions.get(self.path)
        if action is None:
            self._json(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})
            return
        try:
            body = json.loads(raw or b"{}")
            if not isinstance(body, dict):
                raise TypeError("the body must be a JSON object")  # noqa: TRY301 - answered like any other bad body
            self._json(HTTPStatus.OK, action(body))
        except (SceneError, UnknownFault, UnidentifiedImageError, ValueError, KeyError, TypeError) as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": f"{type(error).__name__}: {error}"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Quiet: standard output has the ready line only."""

    def _json(self, status: HTTPStatus, answer: Answer) -> None:
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
