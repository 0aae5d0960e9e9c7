"""Any other label printer through CUPS: a PDF of the label's own size, handed to `lp`, followed until it is out."""

import asyncio
import re
from typing import Final

from gateway.labels.errors import PrinterNotReady, PrinterUnreachable, PrintUncertain
from gateway.labels.label import Label
from gateway.labels.layout import (
    BAR_DOTS,
    CANCELLED,
    DOTS_PER_MODULE,
    DPI,
    HEIGHT_DOTS,
    LINE_DOTS,
    MARK_FROM_DOTS,
    MARK_HEIGHT_DOTS,
    MARK_TOP_DOTS,
    WIDTH_DOTS,
    Layout,
    lay_out,
)

ANSWER_S: Final = 10.0
POLL_S: Final = 0.5
POLLS: Final = 60
_POINTS: Final = 72 / DPI
"""Points of a dot."""
_MARK_SIZE: Final = 56
"""Dots; the word is then 6.54 em long in Helvetica, 366 dots."""
_MARK_AT: Final = (MARK_FROM_DOTS + BAR_DOTS + 11, MARK_TOP_DOTS + (MARK_HEIGHT_DOTS - 6.54 * _MARK_SIZE) / 2)
_REQUEST: Final = re.compile(r"request id is (\S+)")
_FAILED: Final = re.compile(r"Alerts:.*(abort|cancel|error)", re.IGNORECASE)
"""Why a job ended, in the long listing; a good end is job-completed-successfully."""


def draw_pdf(layout: Layout) -> bytes:
    """One page of the label's size: black squares and two lines of Helvetica (ISO 32000-1, no compression)."""
    width, height = WIDTH_DOTS * _POINTS, HEIGHT_DOTS * _POINTS
    x0, y0 = layout.code_at
    drawn = [f"{_POINTS:.4f} 0 0 -{_POINTS:.4f} 0 {height:.3f} cm"]  # from here on: dots, y down
    for row, modules in enumerate(layout.modules):
        for start, run in _runs(modules):
            left, top = x0 + start * DOTS_PER_MODULE, y0 + row * DOTS_PER_MODULE
            drawn.append(f"{left} {top} {run * DOTS_PER_MODULE} {DOTS_PER_MODULE} re")
    drawn += [f"{left} {top} {wide} {high} re" for left, top, wide, high in layout.bars]
    drawn.append("f")
    size = LINE_DOTS * 0.72
    for number, line in enumerate(layout.lines):
        indent = (layout.text_dots - len(line) * size * 0.56) / 2  # a mean letter of Helvetica is 0.56 em wide
        base = layout.text_from + (number + 0.8) * LINE_DOTS
        drawn.append(f"BT /F1 {size:.1f} Tf 1 0 0 -1 {indent:.1f} {base:.1f} Tm ({line}) Tj ET")
    if layout.cancelled:  # from top to bottom: its letters' feet point left
        drawn.append(f"BT /F1 {_MARK_SIZE} Tf 0 1 1 0 {_MARK_AT[0]} {_MARK_AT[1]:.1f} Tm ({CANCELLED}) Tj ET")
    content = "\n".join(drawn).encode("ascii")
    page = f"/Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] /Contents 4 0 R"
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< {page} /Resources << /Font << /F1 5 0 R >> >> >>".encode("ascii"),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )


def _runs(modules: bytes) -> list[tuple[int, int]]:
    """(start, length) of each run of dark modules."""
    dark = "".join("1" if module else "0" for module in modules)
    return [(found.start(), len(found.group())) for found in re.finditer("1+", dark)]


def _pdf(*objects: bytes) -> bytes:
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        len(out),
    )


class CupsPrinter:
    """label.LabelPrinter. The commands are looked up in `search_path`, by default as the shell does."""

    def __init__(self, *, queue: str, search_path: str | None = None, poll_s: float = POLL_S) -> None:
        self._queue = queue
        self._path = search_path or "/usr/local/bin:/usr/bin:/bin"
        self._poll_s = poll_s

    @property
    def name(self) -> str:
        return f"lp {self._queue}"

    async def check(self) -> None:
        code, said = await self._run("lpstat", "-p", self._queue)
        if code != 0:
            raise PrinterUnreachable(self.name, why=said.strip()[:120] or "CUPS knows no such printer")
        if _stopped(said):
            raise PrinterNotReady(self.name, problem="it is stopped: " + " ".join(said.split())[:120])

    async def print(self, label: Label, *, print_number: int) -> None:
        pdf = draw_pdf(lay_out(label, print_number=print_number))
        await self.check()
        media = f"media=Custom.{WIDTH_DOTS / DPI:.3f}x{HEIGHT_DOTS / DPI:.3f}in"
        try:
            code, said = await self._run("lp", "-d", self._queue, "-o", media, "-o", "print-scaling=none", given=pdf)
            if code != 0:
                raise PrinterNotReady(self.name, problem=f"CUPS refused the label: {said.strip()[:120]}")
            request = _REQUEST.search(said)
            if request is None:
                raise PrintUncertain(self.name, why="CUPS took the label without a number")
            await self._until_out(request[1])
        except PrinterUnreachable as error:
            raise PrintUncertain(self.name, why="CUPS stopped answering while it printed") from error

    async def _until_out(self, request: str) -> None:
        for _ in range(POLLS):
            _, waiting = await self._run("lpstat", "-W", "not-completed", "-o", self._queue)
            if not _about(request, waiting):
                _, ended = await self._run("lpstat", "-l", "-W", "completed", "-o", self._queue)
                if _FAILED.search(_about(request, ended)):
                    raise PrintUncertain(self.name, why="CUPS gave the label up")
                return
            _, said = await self._run("lpstat", "-p", self._queue)
            if _stopped(said):
                break
            await asyncio.sleep(self._poll_s)
        await self._run("cancel", request)
        raise PrintUncertain(self.name, why="it does not finish the label; the job was cancelled")

    async def _run(self, command: str, *arguments: str, given: bytes = b"") -> tuple[int, str]:
        """Exit code and what it said, in English. Raises: PrinterUnreachable."""
        environment = {"PATH": self._path, "LC_ALL": "C"}
        try:
            process = await asyncio.create_subprocess_exec(
                "/usr/bin/env",
                command,
                *arguments,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise PrinterUnreachable(self.name, why=f"{command} cannot be started") from error
        try:
            async with asyncio.timeout(ANSWER_S):
                said, _ = await process.communicate(given)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise PrinterUnreachable(self.name, why=f"{command} hangs") from error
        return process.returncode or 0, said.decode("utf-8", "replace")


def _stopped(said: str) -> bool:
    return " disabled " in said.partition("\n")[0]


def _about(request: str, listing: str) -> str:
    """The lines of a listing about one job: the one that begins with its name, and the indented ones below."""
    found: list[str] = []
    for line in listing.splitlines():
        if line[:1].isspace():
            found += [line] if found else []
        elif found:
            break
        elif line.split(maxsplit=1)[:1] == [request]:
            found.append(line)
    return "\n".join(found)
