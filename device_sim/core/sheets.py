"""Sheets after their stroke: a label stuck on by hand, or a bad imprint that is cancelled on the paper itself."""

import hashlib
from dataclasses import dataclass

from device_sim.core.checks import No
from device_sim.core.log import EventLog
from device_sim.core.photographing import Shutter
from device_sim.core.ports import NoShot, Parts, Shot
from device_sim.core.stamping import Stamping
from firmware_protocol import events, messages
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason

_RESTING = (State.LOCKED, State.GRANTED, State.PAGE_SEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    number: int
    token_id: bytes
    stroke: int
    page_token: int
    label_code: bytes | None  # None: the sheet is being spoiled


class Sheets:
    """Only while no stroke is under way; what was photographed before the next stroke counts no longer."""

    def __init__(
        self, *, parts: Parts, log: EventLog, stamping: Stamping, shutter: Shutter, inline_coder: bool
    ) -> None:
        self._parts = parts
        self._log = log
        self._stamping = stamping
        self._shutter = shutter
        self._inline_coder = inline_coder
        self._sheet: _Sheet | None = None

    def label(self, token_id: bytes, stroke: int) -> int | No:
        """Photograph the sheet with the label of that stroke; answers the photo's number."""
        code = self._log.memory.code_of(token_id, stroke)
        if code is None:
            return No(reason=Reason.WRONG_STROKE, detail="no such stroke is known here")
        return self._start(token_id, stroke, label_code=code)

    def spoil(self, token_id: bytes, stroke: int) -> int | No:
        """Print CANCELLED on the sheet and photograph it; answers the photo's number."""
        memory, work = self._log.memory, self._log.memory.work
        if token_id not in memory.spent:
            return No(reason=Reason.NO_GRANT, detail="that job was never at this device")
        is_open = work is not None and work.token_id == token_id
        if stroke == 0 or (is_open and stroke > memory.strokes_used):
            return No(reason=Reason.WRONG_STROKE, detail="that stroke was not made")
        return self._start(token_id, stroke, label_code=None)

    def photographed(self, number: int, outcome: Shot | NoShot) -> messages.Labelled | messages.Spoiled | No | None:
        """LABEL or SPOILED is durable. None: this was not a photo of such a sheet."""
        sheet = self._sheet
        if sheet is None or sheet.number != number:
            return None
        self._sheet = None
        if isinstance(outcome, NoShot):
            self._log.write(events.Sensor(sensor="camera", value=0))
            return No(reason=outcome.reason, detail="no photo")
        no = self._shutter.moved(outcome, page_token=sheet.page_token)
        if self._stamping.state not in _RESTING:
            no = No(reason=Reason.OUT_OF_ORDER, detail="something else began meanwhile")
        if sheet.label_code is None and self._inline_coder and not outcome.code_printed:
            self._log.write(events.Sensor(sensor="coder", value=0))
            no = No(reason=Reason.NOT_SUPPORTED, detail="the coder printed nothing")
        if no is not None:
            self._shutter.forget(outcome)
            return no
        return self._written(sheet, outcome)

    def _start(self, token_id: bytes, stroke: int, *, label_code: bytes | None) -> int | No:
        if self._stamping.state not in _RESTING:
            return No(reason=Reason.OUT_OF_ORDER, detail=f"not while {self._stamping.state.name}")
        no = self._shutter.check()
        if no is not None:
            return no
        self._stamping.drop_capture()
        nonce = hashlib.sha256(token_id + stroke.to_bytes(2, "big")).digest()
        number = self._shutter.start(nonce, cancelled=label_code is None and self._inline_coder)
        page_token = self._parts.camera.page_token
        self._sheet = _Sheet(
            number=number, token_id=token_id, stroke=stroke, page_token=page_token, label_code=label_code
        )
        return number

    def _written(self, sheet: _Sheet, shot: Shot) -> messages.Labelled | messages.Spoiled:
        preview, photo = shot.preview_digest, shot.photo_digest
        trip = self._parts.tripwire
        if sheet.label_code is None:
            trip.reach("before_spoiled")
            self._log.write(
                events.Spoiled(token_id=sheet.token_id, stroke=sheet.stroke, preview_digest=preview, photo_digest=photo)
            )
            trip.reach("after_spoiled")
            return messages.Spoiled(seq=self._log.memory.seq, preview_digest=preview, photo_digest=photo)
        trip.reach("before_label")
        self._log.write(
            events.Label(
                token_id=sheet.token_id,
                copy=sheet.stroke,
                trace_code=sheet.label_code,
                photo_digest=photo,
                preview_digest=preview,
            )
        )
        trip.reach("after_label")
        return messages.Labelled(seq=self._log.memory.seq, preview_digest=preview, photo_digest=photo)
