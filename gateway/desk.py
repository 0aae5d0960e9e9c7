"""The keeper's session in hand: every fact goes through the rules here, and what they want done is begun."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

import structlog

from gateway.connection import Connection, Office
from gateway.errors import DeviceRefused, GatewayError, NoRoom, OutOfOrder
from gateway.notebook import Leftover, Note
from gateway.rules import facts
from gateway.rules import session as rules
from gateway.rules.session import Do, Session, Step, Sticker

PICTURES_KEPT: Final = 20
"""Photos of this session, and pictures of what differs, that the page may show; about 200 KB each."""

Work = Callable[[], Coroutine[Any, Any, None]]
log = structlog.get_logger("gateway.desk")


class Desk:
    """`does` says who carries out what the rules want. `turn` is held by whoever makes the device photograph."""

    def __init__(self, device: Connection, office: Office) -> None:
        self.session = Session(step=Step.OFFLINE)
        self.operator: dict[str, Any] | None = None
        self.does: dict[Do, Work] = {}
        self.turn = asyncio.Lock()
        self.extra_seq = 0  # number of the event that told of the last unapproved imprint
        self.hops: dict[str, dict[str, float]] = {}
        self.device = device
        self.office = office
        self._pictures: OrderedDict[str, bytes] = OrderedDict()

    def step(self, fact: facts.Fact) -> None:
        before = self.session
        self.session, todo = rules.advance(before, fact)
        for do in todo:
            if do in self.does:
                self.device.spawn(self.does[do]())
        if _worth_keeping(before) != _worth_keeping(self.session):
            self._keep(before)
        self.office.changed()

    def _keep(self, before: Session) -> None:
        try:
            self.office.notebook.keep_session(self.device.device_id, self.session)
            if before.alarm != self.session.alarm:
                self.office.notebook.keep_alarm(self.device.device_id, self.session.alarm)
        except NoRoom as error:
            log.warning("session_not_kept", device=self.device.device_id, error=str(error))

    def recall(self) -> None:
        """After a restart of the gateway: the job that was open, and an alarm that nobody explained."""
        kept = self.office.notebook.session(self.device.device_id)
        if kept is not None and not self.session.busy:
            self.session = kept
        alarm = self.office.notebook.alarm(self.device.device_id)
        if alarm and not self.session.alarm:
            self.step(facts.ExtraStrokes(strokes=alarm))

    def wrong(self, error: GatewayError) -> None:
        code = error.name.lower() if isinstance(error, DeviceRefused) else error.code
        self.step(facts.WentWrong(code=code, text=str(error)))

    def look_at_tray(self) -> None:
        status = self.device.status
        if status is not None and self.office.auto:
            self.step(facts.TrayChanged(present=status.page_present, still=bool(status.page_still)))

    def note(self, kind: str, *, about: str, words: str, token_id: str = "", stroke: int = 0, seq: int = 0) -> None:
        """A keeper's words, kept here, shown with the device's state, and owed to headquarters until it has them.

        `token_id`: of the job it is about, the open one if not given.
        """
        who = str((self.operator or {}).get("name", ""))
        at = self.office.clock.now_ms()
        bad = self.session.redo[0] if kind == "kept_faint" and self.session.redo else None
        token_id, stroke = (bad.token_id, bad.stroke) if bad else (token_id or self.session.token_id, stroke)
        self._owe(kind, words, at_ms=at, token_id=token_id, stroke=stroke, seq=seq)
        self.office.notebook.write(
            Note(device_id=self.device.device_id, at_ms=at, kind=kind, about=about, who=who, words=words[:500])
        )
        self.office.changed()

    def _owe(self, kind: str, words: str, *, at_ms: int, token_id: str, stroke: int, seq: int = 0) -> None:
        said = {"kind": kind, "text": words[:500], "at_ms": at_ms}
        optional = {
            "token_id": token_id,
            "stroke": stroke,
            "seq": seq,
            "operator_id": str((self.operator or {}).get("operator_id", "")),
        }
        said |= {name: value for name, value in optional.items() if value}
        content = json.dumps([self.device.device_id, said], sort_keys=True).encode()
        note_id = str(UUID(bytes=hashlib.sha256(content).digest()[:16]))
        self.office.notebook.owe(note_id, self.device.device_id, said | {"note_id": note_id})

    def leave(self, kind: str, *, token_id: str, stroke: int, title: str) -> None:
        """Something of a job that somebody still has to do."""
        self._owe("left_over", kind, at_ms=self.office.clock.now_ms(), token_id=token_id, stroke=stroke)
        self.office.notebook.leave(
            Leftover(
                device_id=self.device.device_id,
                token_id=token_id,
                stroke=stroke,
                kind=kind,
                title=title,
                at_ms=self.office.clock.now_ms(),
            )
        )

    def leave_label(self, sticker: Sticker) -> None:
        """Stamped, and its label is missing."""
        self.leave("label_missing", token_id=sticker.token_id, stroke=sticker.stroke, title=self.session.title)

    def settle(self, name: str) -> None:
        """A leftover was dealt with. `name`: TOKEN-STROKE-KIND, as the page gives it back. Raises: OutOfOrder."""
        for left in self.office.notebook.leftovers(self.device.device_id):
            if name == f"{left.token_id}-{left.stroke}-{left.kind}":
                self.office.notebook.settle(left.token_id, left.stroke, left.kind)
                self.note("settled", about=left.title, words=left.kind, token_id=left.token_id, stroke=left.stroke)
                return
        raise OutOfOrder("This is not in the list any more. Nothing was changed. Look at the list as it is now.")

    def show(self, name: str, picture: bytes) -> None:
        """Keep a photo for the page under `name`: page, or TOKEN-STROKE."""
        self._pictures[name] = picture
        self._pictures.move_to_end(name)
        while len(self._pictures) > PICTURES_KEPT:
            self._pictures.popitem(last=False)
        self.office.changed()

    def picture(self, name: str) -> bytes | None:
        return self._pictures.get(name)

    def timing(self, name: str, begun: float) -> Callable[[str], None]:
        """Notes, for each hop of a flow, how many milliseconds after `begun` (loop time) it was over."""
        hops: dict[str, float] = {}
        self.hops[name] = hops
        now = asyncio.get_running_loop().time

        def note(hop: str) -> None:
            hops[hop] = round((now() - begun) * 1000, 2)

        return note


def _worth_keeping(session: Session) -> tuple[object, ...]:
    """What a restarted gateway could not find out again; changes a few times a stroke."""
    kept_step = session.step if session.step in (Step.LABEL, Step.REDO, Step.DONE, Step.PICK) else None
    return (
        session.plan,
        session.token_id,
        session.strokes_left,
        session.imprints,
        session.redo,
        session.owed,
        session.stickers,
        session.alarm,
        session.photographed,
        kept_step,
    )
