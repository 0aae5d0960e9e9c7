"""ZPL II over TCP (port 9100): the code is drawn by the printer itself, and it is asked before and after.

Host status (~HS) is three lines between STX and ETX. Some firmware answers it with silence while labels or ribbon are
out or the head is open; silence is therefore never taken for "ready" or "done".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.labels.errors import PrinterNotReady, PrinterUnreachable, PrintUncertain
from gateway.labels.label import Label
from gateway.labels.layout import (
    BAR_DOTS,
    CANCELLED,
    DOTS_PER_MODULE,
    HEIGHT_DOTS,
    LINE_DOTS,
    MARK_FROM_DOTS,
    MARK_HEIGHT_DOTS,
    MARK_TOP_DOTS,
    WIDTH_DOTS,
    Layout,
    lay_out,
)

ANSWER_S: Final = 3.0
"""Longest wait for a connection or a status."""
POLL_S: Final = 0.2
POLLS: Final = 50
"""A label that is not out after so many looks never will be."""
MAX_STATUS: Final = 512
CANCEL_ALL: Final = b"~JA"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """What ~HS says, as far as a label depends on it."""

    paper_out: bool
    paused: bool
    formats_waiting: int
    partial_format: bool
    too_hot: bool
    head_open: bool
    ribbon_out: bool
    labels_left: int

    @property
    def problem(self) -> str | None:
        for wrong, text in (
            (self.head_open, "its head is open"),
            (self.paper_out, "it is out of labels"),
            (self.ribbon_out, "it is out of ribbon"),
            (self.too_hot, "it is too hot"),
            (self.paused, "it is paused"),
        ):
            if wrong:
                return text
        return None

    @property
    def busy(self) -> bool:
        return bool(self.formats_waiting or self.labels_left or self.partial_format)


def parse_status(data: bytes) -> HostStatus:
    """Three lines of ~HS. Raises: ValueError, for anything else."""
    lines = [part.partition(b"\x03")[0] for part in data.split(b"\x02")[1:]]
    if len(lines) != 3:
        raise ValueError("host status has three lines")
    first, second = (line.decode("ascii").split(",") for line in lines[:2])
    if len(first) != 12 or len(second) != 11:
        raise ValueError("host status has 12 and 11 fields")
    return HostStatus(
        paper_out=first[1] == "1",
        paused=first[2] == "1",
        formats_waiting=int(first[4]),
        partial_format=first[7] == "1",
        too_hot=first[11] == "1",
        head_open=second[2] == "1",
        ribbon_out=second[3] == "1",
        labels_left=int(second[8]),
    )


def compose(layout: Layout, *, url: str) -> bytes:
    """One label in ZPL II. `url` and texts were checked by `lay_out`: none holds a ZPL control character."""
    x, y = layout.code_at
    fields = [f"^FO{x},{y}^BQN,2,{DOTS_PER_MODULE}^FDMM,A{url}^FS"]
    for number, line in enumerate(layout.lines):
        top = layout.text_from + number * LINE_DOTS
        fields.append(f"^FO0,{top}^A0N,{LINE_DOTS - 6},{LINE_DOTS - 8}^FB{layout.text_dots},1,0,C,0^FD{line}^FS")
    fields += [f"^FO{left},{top}^GB{wide},{high},{wide}^FS" for left, top, wide, high in layout.bars]
    if layout.cancelled:  # turned a quarter clockwise: ^FB runs down the label
        beside = MARK_FROM_DOTS + BAR_DOTS + 4
        fields.append(f"^FO{beside},{MARK_TOP_DOTS}^A0R,56,54^FB{MARK_HEIGHT_DOTS},1,0,C,0^FD{CANCELLED}^FS")
    return f"^XA^CI28^LH0,0^PW{WIDTH_DOTS}^LL{HEIGHT_DOTS}{''.join(fields)}^PQ1^XZ\r\n".encode("ascii")


class ZebraPrinter:
    """label.LabelPrinter."""

    def __init__(self, *, host: str, port: int, answer_s: float = ANSWER_S, poll_s: float = POLL_S) -> None:
        self._host, self._port = host, port
        self._answer_s, self._poll_s = answer_s, poll_s

    @property
    def name(self) -> str:
        return f"{self._host}:{self._port}"

    async def check(self) -> None:
        async with self._connected() as line:
            await self._ready(line)

    async def print(self, label: Label, *, print_number: int) -> None:
        drawn = compose(lay_out(label, print_number=print_number), url=label.url)
        async with self._connected() as line:
            await self._ready(line)
            try:
                await line.send(drawn)
                await self._until_out(line)
            except (OSError, TimeoutError, ValueError, EOFError) as error:
                raise PrintUncertain(self.name, why="the connection broke off while it printed") from error

    async def _ready(self, line: "_Line") -> None:
        try:
            status = await line.status()
        except (OSError, TimeoutError, ValueError, EOFError) as error:
            raise PrinterUnreachable(self.name, why="no status; some printers are silent until put right") from error
        problem = status.problem or ("it still holds a label from before" if status.busy else None)
        if problem is not None:
            raise PrinterNotReady(self.name, problem=problem)

    async def _until_out(self, line: "_Line") -> None:
        """Until nothing is left in it. What stops in the middle is thrown away, so that it never comes out later."""
        for _ in range(POLLS):
            status = await line.status()
            if status.problem is not None and status.busy:
                await line.send(CANCEL_ALL)
                raise PrintUncertain(self.name, why=f"{status.problem}, in the middle of the label")
            if not status.busy:
                return
            await asyncio.sleep(self._poll_s)
        await line.send(CANCEL_ALL)
        raise PrintUncertain(self.name, why="it does not finish the label")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["_Line"]:
        try:
            async with asyncio.timeout(self._answer_s):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise PrinterUnreachable(self.name, why="no connection") from error
        try:
            yield _Line(reader, writer, answer_s=self._answer_s)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class _Line:
    """One connection. Raises: OSError, TimeoutError, EOFError; ValueError for a status that is none."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer_s: float) -> None:
        self._reader, self._writer, self._answer_s = reader, writer, answer_s

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(self._answer_s):
            self._writer.write(data)
            await self._writer.drain()

    async def status(self) -> HostStatus:
        await self.send(b"~HS")
        answer = b""
        async with asyncio.timeout(self._answer_s):
            while answer.count(b"\x03") < 3:
                answer += await self._reader.readuntil(b"\x03")
                if len(answer) > MAX_STATUS:
                    raise ValueError("that is no host status")
        return parse_status(answer)
