"""A device without a coder: one label for each sheet with imprints, printed after the strokes, stuck on, photographed.

The label has the code of the last imprint on the sheet and stands for all of them: people stick one label, and who
scans it learns of each imprint there. A sheet that is spoiled there gets a label, too: the code of its stroke, and
CANCELLED.
"""

from typing import Final

import structlog

from firmware_protocol import events, messages, trace
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import Feature
from gateway.desk import Desk
from gateway.errors import GatewayError, OutOfOrder
from gateway.labels.book import LabelBook
from gateway.labels.errors import AlreadyPrinted, LabelError
from gateway.labels.label import Label, LabelOutcome, LabelPrinter
from gateway.labels.printing import print_label
from gateway.rules import facts
from gateway.rules.session import Do, Sticker

NO_PRINTER: Final = "No label printer is set up at this gateway. The sheet is stamped; its label is missing."

log = structlog.get_logger("gateway.sticking")


def code_words(code: bytes, *, host: str) -> tuple[str, str]:
    """The address and the short form of a trace code; both empty for one that is none."""
    try:
        return trace.url(code, host=host), trace.short_code(code)
    except ProtocolError as error:
        log.warning("odd_code", error=str(error))
        return "", ""


class Sticking:
    def __init__(self, desk: Desk, book: LabelBook, printer: LabelPrinter | None) -> None:
        self._desk = desk
        self._book = book
        self._printer = printer
        desk.does |= {
            Do.PRINT: self.print,
            Do.LABEL: self.photograph,
            Do.PRINT_CANCELLED: self.print_cancelled,
        }

    @property
    def printer_name(self) -> str:
        """Which printer takes the labels, "" without one."""
        return self._printer.name if self._printer is not None else ""

    def learn(self, body: events.Body) -> None:
        """The last stroke on a sheet is done: it needs a label. Call before the session hears of the stroke."""
        session, hello = self._desk.session, self._desk.device.hello
        if not isinstance(body, events.Done) or body.token_id.hex() != session.token_id or session.plan is None:
            return
        if hello is None or hello.features & Feature.INLINE_CODER:
            return
        sheet = session.plan.sheet(body.stroke)
        if sheet in session.plan.pages[body.stroke : session.strokes_total]:
            return
        earlier = sum((one.page, one.copy) == sheet and not one.cancelled for one in session.imprints)
        url, short = code_words(body.trace_code, host=self._desk.office.trace_host)
        if not url:
            return
        page, copy = sheet
        sticker = Sticker(
            token_id=session.token_id,
            stroke=body.stroke,
            copy=copy,
            page=page,
            imprints=earlier + 1,
            url=url,
            short=short,
        )
        self._desk.step(facts.LabelsOwed(stickers=(sticker,)))

    def _next(self) -> Sticker:
        """Raises: OutOfOrder."""
        waiting = (sticker for sticker in self._desk.session.stickers if sticker.state in ("print", "stick"))
        found = next(waiting, None)
        if found is None:
            raise OutOfOrder("No label is needed here. Nothing was printed. Go on with the job.")
        return found

    async def print(self, *, again: bool = False) -> None:
        """The next label; a second one for the same imprint says so on itself."""
        try:
            sticker = self._next()
            if self._printer is None:
                raise OutOfOrder(NO_PRINTER)
            await print_label(self._printer, self._label(sticker), book=self._book, again=again)
        except AlreadyPrinted:
            pass  # it lies in the printer's tray
        except GatewayError as error:
            self._desk.wrong(error)
            return
        self._desk.step(facts.LabelPrinted(token_id=sticker.token_id, stroke=sticker.stroke))
        self._desk.look_at_tray()

    async def print_cancelled(self) -> None:
        """A label for the sheet that is being spoiled; a second one says so on itself."""
        session = self._desk.session
        if not session.redo or not session.marker:
            return
        bad = session.redo[0]
        label = Label(
            device_id=self._desk.device.device_id,
            token_id=bytes.fromhex(bad.token_id),
            stroke=bad.stroke,
            url=bad.url,
            short_code=bad.short,
            number=bad.stroke,
            of=max(session.strokes_total, bad.stroke),
            cancelled=True,
        )
        try:
            if self._printer is None:
                raise OutOfOrder(NO_PRINTER)
            await print_label(self._printer, label, book=self._book, again=True)
        except GatewayError as error:
            self._desk.wrong(error)
            return
        self._desk.step(facts.CancelLabelPrinted())

    def _label(self, sticker: Sticker) -> Label:
        return Label(
            device_id=self._desk.device.device_id,
            token_id=bytes.fromhex(sticker.token_id),
            stroke=sticker.stroke,
            url=sticker.url,
            short_code=sticker.short,
            number=sticker.stroke,
            of=max(self._desk.session.strokes_total, sticker.stroke),
            imprints=sticker.imprints,
        )

    async def photograph(self) -> None:
        """The sheet with its label lies still."""
        try:
            sticker = self._next()
            request = messages.LabelRequest(token_id=bytes.fromhex(sticker.token_id), stroke=sticker.stroke)
            async with self._desk.turn:
                await self._desk.device.ask(request, messages.Labelled, slow=True)
        except GatewayError as error:
            self._desk.wrong(error)
            return
        self._decide(sticker, LabelOutcome.STUCK)
        self._desk.step(facts.LabelEnded(token_id=sticker.token_id, stroke=sticker.stroke, confirmed=True))
        self._desk.look_at_tray()

    def leave(self) -> None:
        """The keeper goes on without it: stamped, label missing. Raises: OutOfOrder."""
        sticker = self._next()
        self._desk.leave_label(sticker)
        self._desk.step(facts.LabelEnded(token_id=sticker.token_id, stroke=sticker.stroke, confirmed=False))

    def _decide(self, sticker: Sticker, outcome: LabelOutcome) -> None:
        records = self._book.of_stroke(bytes.fromhex(sticker.token_id), sticker.stroke)
        try:
            for record in records[-1:]:
                self._book.decide(record.label_id, outcome)
            for record in records[:-1]:
                if record.outcome is not LabelOutcome.FAILED:
                    self._book.decide(record.label_id, LabelOutcome.SPOILED)  # printed again: the earlier one is waste
        except LabelError as error:
            log.warning("label_not_decided", error=str(error))
