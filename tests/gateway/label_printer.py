"""A label printer on a loopback socket: reads ZPL II, draws what it prints, answers ~HS, breaks on demand."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

DOTS_PER_MM = 300 / 25.4
BAR = re.compile(r"\^FO(\d+),(\d+)\^GB(\d+),(\d+),\d+\^FS")
FIELD = re.compile(r"\^FO(\d+),(\d+)(.*?)\^FD(.*?)\^FS")


@dataclass
class PrintedLabel:
    """One label: a picture at 300 dpi (255 is white), and its lines of text."""

    picture: NDArray[np.uint8]
    texts: list[str]
    code_mm: float


@dataclass
class FakePrinter:
    """State that a test sets, and what came out."""

    paper_out: bool = False
    ribbon_out: bool = False
    head_open: bool = False
    paused: bool = False
    silent_when_wrong: bool = False
    """As some firmware: no answer to ~HS while something is wrong."""
    runs_out_in_the_middle: bool = False
    hangs_up_in_the_middle: bool = False
    looks_before_done: int = 1
    """Answers that still say "one format waiting" after a format came."""
    printed: list[PrintedLabel] = field(default_factory=list)
    cancelled: int = 0
    port: int = 0
    got_label: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: str | None = None
    _looks: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = b""
        try:
            while data := await reader.read(65_536):
                received += data
                while (end := _command_end(received)) is not None:
                    command, received = received[:end].decode("ascii").strip(), received[end:]
                    if self.hangs_up_in_the_middle and command.startswith("^XA"):
                        return
                    writer.write(self._obey(command))
                    await writer.drain()
        finally:
            writer.close()

    def _obey(self, command: str) -> bytes:
        if command == "~HS":
            return self._status()
        if command == "~JA":
            self.cancelled += 1
            self._waiting = None
            return b""
        self._waiting = command
        self.got_label.set()
        self._looks = self.looks_before_done
        self.paper_out |= self.runs_out_in_the_middle
        return b""

    def _status(self) -> bytes:
        wrong = self.paper_out or self.ribbon_out or self.head_open
        if self._waiting is not None and not wrong:
            self._looks -= 1
            if self._looks < 0:
                self.printed.append(draw(self._waiting))
                self._waiting = None
        if wrong and self.silent_when_wrong:
            return b""
        waiting = int(self._waiting is not None)
        first = f"030,{self.paper_out:d},{self.paused:d},0425,{waiting:03d},0,0,0,000,0,0,0"
        second = f"000,0,{self.head_open:d},{self.ribbon_out:d},1,2,6,0,{waiting:08d},1,000"
        return "".join(f"\x02{line}\x03\r\n" for line in (first, second, "1234,0")).encode()


def draw(zpl: str) -> PrintedLabel:
    """What a format puts on paper. QR fields are drawn from their ^FD data, as the printer's firmware does."""
    width, height = (int(re.search(rf"\^{name}(\d+)", zpl)[1]) for name in ("PW", "LL"))  # type: ignore[index]
    picture = np.full((height, width), 255, np.uint8)
    texts, side = [], 0
    for x, y, how, data in FIELD.findall(BAR.sub("", zpl)):
        code = re.search(r"\^BQN,2,(\d+)", how)
        if code is None:
            texts.append(data)
            if "^A0R" in how:
                _draw_down(picture, data, x=int(x), y=int(y), how=how)
            continue
        level, mode, kind, content = data[0], data[1], data[3], data[4:]
        assert (mode, data[2], kind) == ("M", ",", "A"), data
        symbol = segno.make_qr(content, error=level, mode="alphanumeric", boost_error=False)
        dots = np.kron(np.array([list(row) for row in symbol.matrix]), np.ones((int(code[1]),) * 2)) > 0
        side = dots.shape[0]
        picture[int(y) : int(y) + side, int(x) : int(x) + side][dots] = 0
    for x, y, wide, high in BAR.findall(zpl):
        picture[int(y) : int(y) + int(high), int(x) : int(x) + int(wide)] = 0
    assert side, "a label without a code"
    return PrintedLabel(picture=picture, texts=texts, code_mm=side / DOTS_PER_MM)


def _draw_down(picture: NDArray[np.uint8], text: str, *, x: int, y: int, how: str) -> None:
    """Letters turned a quarter clockwise, centred in the ^FB block that runs down from (x, y)."""
    tall, _wide, long = (int(n) for n in re.search(r"\^A0R,(\d+),(\d+)\^FB(\d+)", how).groups())  # type: ignore[union-attr]
    line = np.full((tall, long), 255, np.uint8)
    scale = 0.7 * tall / 22
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 5)
    assert width <= long, "the word is longer than its field"
    cv2.putText(line, text, ((long - width) // 2, round(0.85 * tall)), cv2.FONT_HERSHEY_SIMPLEX, scale, 0, 5)
    picture[y : y + long, x : x + tall] = np.rot90(line, -1)


def _command_end(received: bytes) -> int | None:
    """Where the first command ends: ~XX, or a whole ^XA ... ^XZ."""
    text = received.lstrip()
    skipped = len(received) - len(text)
    if text.startswith(b"~") and len(text) >= 3:
        return skipped + 3
    if text.startswith(b"^XA") and b"^XZ" in text:
        return skipped + text.index(b"^XZ") + 3
    return None


@asynccontextmanager
async def label_printer(**state: object) -> AsyncIterator[FakePrinter]:
    printer = FakePrinter(**state)  # type: ignore[arg-type]
    server = await asyncio.start_server(printer.serve, "127.0.0.1", 0)
    printer.port = server.sockets[0].getsockname()[1]
    try:
        yield printer
    finally:
        server.close()
        await server.wait_closed()
