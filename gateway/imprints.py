"""After each press: what headquarters sees on the imprint's photo, and a bad one cancelled for a spare."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import structlog

from firmware_protocol import events, messages
from firmware_protocol.messages import Feature
from gateway.bulk import BulkLink
from gateway.carrying import Carrying
from gateway.desk import Desk
from gateway.errors import GatewayError, HeadOfficeRefused, HeadOfficeUnreachable
from gateway.labels.label import LabelOutcome
from gateway.rules import facts
from gateway.rules.session import Do
from gateway.rules.state import BAD_GRADES

POLL_S: Final = 0.5
PATIENCE: Final = 120
"""Polls for one imprint; after that the person who reviews it finds out."""
AT_ONCE: Final = 4
"""Imprints asked about in one turn, however many wait: a headquarters that is behind is not asked the more for it."""
TELL_AGAIN_S: Final = 2.0

log = structlog.get_logger("gateway.imprints")


@dataclass(slots=True)
class _Unjudged:
    token_id: str
    stroke: int
    title: str
    polls_left: int


class Imprints:
    def __init__(
        self,
        desk: Desk,
        bulk: BulkLink,
        carrying: Carrying,
        *,
        poll_s: float = POLL_S,
        patience: int = PATIENCE,
        tell_again_s: float = TELL_AGAIN_S,
    ) -> None:
        self._desk = desk
        self._bulk = bulk
        self._carrying = carrying
        self._poll_s = poll_s
        self._patience = patience
        self._tell_again_s = tell_again_s
        self._unjudged: deque[_Unjudged] = deque()
        self._watching = False
        desk.does[Do.SPOIL] = self.spoil

    def learn(self, body: events.Body) -> None:
        if isinstance(body, events.Done) and body.token_id.hex() == self._desk.session.token_id:
            self._desk.device.spawn(self._show(body))
            self._unjudged.append(
                _Unjudged(body.token_id.hex(), body.stroke, self._desk.session.title, polls_left=self._patience)
            )
            if not self._watching:
                self._watching = True
                self._desk.device.spawn(self._watch())

    async def _show(self, done: events.Done) -> None:
        try:
            self._desk.show(f"{done.token_id.hex()}-{done.stroke}", await self._bulk.fetch(done.preview_digest))
        except GatewayError as error:
            log.info("no_picture", error=str(error))

    async def _watch(self) -> None:
        """One for all imprints; ends when none waits."""
        try:
            while self._unjudged:
                await asyncio.sleep(self._poll_s)
                for _ in range(min(AT_ONCE, len(self._unjudged))):
                    waiting = self._unjudged.popleft()
                    if await self._is_open(waiting):
                        self._unjudged.append(waiting)
        finally:
            self._watching = False

    async def _is_open(self, waiting: _Unjudged) -> bool:
        """Whether this imprint has to be asked about once more."""
        waiting.polls_left -= 1
        try:
            answer = await self._desk.office.head_office.imprint(
                self._desk.device.device_id, waiting.token_id, waiting.stroke
            )
        except HeadOfficeUnreachable:
            return waiting.polls_left > 0
        except HeadOfficeRefused as error:
            log.info("imprint_not_judged", code=error.code)
            return False
        if answer["state"] == "pending":
            return waiting.polls_left > 0
        self._judged(waiting.token_id, waiting.stroke, waiting.title, answer)
        return False

    def _judged(self, token_id: str, stroke: int, title: str, answer: dict[str, Any]) -> None:
        grade = str(answer["grade"])
        if answer["state"] == "look_here" and grade == "clear" and not self._label_follows(answer):
            grade = "unclear"
        here = any((i.token_id, i.stroke) == (token_id, stroke) for i in self._desk.session.imprints)
        if here:
            text = str(answer.get("text") or "")
            self._desk.step(facts.ImprintJudged(token_id=token_id, stroke=stroke, grade=grade, text=text))
        elif grade in BAD_GRADES:  # its job is over: it stays in the list
            self._desk.leave("look_at_imprint", token_id=token_id, stroke=stroke, title=title)

    def _label_follows(self, answer: dict[str, Any]) -> bool:
        """The photo lacks nothing but the code, and the device has no coder: its label is stuck on later."""
        return answer["reason"] == "no_code" and self._by_label

    @property
    def _by_label(self) -> bool:
        hello = self._desk.device.hello
        return hello is not None and not hello.features & Feature.INLINE_CODER

    def choose(self, *, spoil: bool) -> None:
        """The keeper decides about the first bad imprint."""
        waiting = self._desk.session.redo
        if waiting and not spoil:
            page = f"{self._desk.session.title}, {waiting[0].page}"
            self._desk.note("kept_faint", about=page, words=waiting[0].grade)
        self._desk.step(facts.RedoChosen(spoil=spoil, by_label=self._by_label))
        self._desk.look_at_tray()

    async def spoil(self) -> None:
        """The device prints CANCELLED on the sheet, unless a label says it, and photographs it; headquarters frees the
        place.
        """
        if not self._desk.session.redo:
            return
        bad = self._desk.session.redo[0]
        async with self._desk.turn:
            try:
                request = messages.SpoilRequest(token_id=bytes.fromhex(bad.token_id), stroke=bad.stroke)
                spoiled = await self._desk.device.ask(request, messages.Spoiled, slow=True)
                event, preview = await asyncio.gather(
                    self._carrying.event(spoiled.seq), self._bulk.fetch(spoiled.preview_digest, urgent=True)
                )
                self._desk.show("page", preview)
                answer = await self._tell(event, preview)
            except GatewayError as error:
                self._desk.wrong(error)
                return
        if answer["accepted"]:
            for gone in (bad, *self._desk.session.on_sheet_of(bad)):
                self._waste_labels(gone.token_id, gone.stroke)
        self._desk.step(facts.SheetSpoiled(accepted=bool(answer["accepted"]), text=str(answer.get("text") or "")))
        self._desk.look_at_tray()

    def _waste_labels(self, token_id: str, stroke: int) -> None:
        """Whatever label that stroke had lies on a cancelled sheet now."""
        book = self._desk.office.labels
        for record in book.of_stroke(bytes.fromhex(token_id), stroke):
            if record.outcome is not LabelOutcome.FAILED:
                book.decide(record.label_id, LabelOutcome.SPOILED)

    async def _tell(self, event: bytes, preview: bytes) -> dict[str, Any]:
        """The sheet is cancelled on paper: headquarters has to hear of it, however long that takes."""
        while True:
            try:
                return await self._desk.office.head_office.spoiled(
                    self._desk.device.device_id, event=event, preview=preview
                )
            except HeadOfficeUnreachable as error:
                self._desk.wrong(error)
                await asyncio.sleep(self._tell_again_s)
