"""A page that a device signed for (PAGE_SEEN): whose token, which stroke or leaf, what its light strip must show."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event, PageSeen
from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.request import PlannedStroke
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import BadEvent, DeviceNotActive
from server.devices.schemas import DeviceRead, DeviceState
from server.inspection.service import StrokeAt
from server.inspection.vision.finding import Box
from server.seals import service as seals
from server.tokens import store
from server.tokens.errors import NoSuchToken, NotReady, TokenOver, WrongStroke
from server.tokens.models import StampToken

PAGE_PX_PER_MM: Final = 200 / 25.4
CODE_REACH_MM: Final = 35.0
"""How far beyond an imprint the coder may have printed its code: 26 mm, its margin and the space between."""
MAX_PREVIEW: Final = 1_000_000
"""Bytes; docs/protocol.md announces at most 200 KB for a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`shown`: what the light strip must show on this photo, nonce and mechanical counter (docs/protocol.md)."""

    body: PageSeen
    event: bytes
    preview: bytes
    token: StampToken
    request: RequestRead
    at: StrokeAt
    copy: int
    marks: tuple[Box, ...]
    shown: bytes


def seen_for_stroke(db: Session, run: Runtime, device: DeviceRead, *, event: bytes, preview: bytes) -> Seen:
    """A before-photo. Raises: BadEvent, DeviceNotActive, NoSuchToken, TokenOver, WrongStroke, NotReady."""
    seen = _seen(db, run, device, event=event, preview=preview)
    token, number = seen.token, seen.body.stroke
    if not 1 <= number <= min(token.strokes, len(token.plan)):
        raise WrongStroke
    plan = approvals.plan(seen.request)
    stroke = plan[token.plan[number - 1]]
    seal = seals.seal(db, Scope.system(token.tenant_id), token.seal_id)
    return replace(
        seen,
        at=replace(seen.at, page=stroke.page),
        copy=stroke.copy,
        marks=known_marks(plan, stroke, radius_mm=seal.diameter_mm / 2),
    )


def seen_in_sweep(db: Session, run: Runtime, device: DeviceRead, *, event: bytes, preview: bytes) -> Seen:
    """A leafed page: stroke 0, `at.page` is the next in order. Raises: what `seen_for_stroke` raises."""
    seen = _seen(db, run, device, event=event, preview=preview)
    token = seen.token
    if seen.body.stroke != 0 or not token.sweep:
        raise WrongStroke
    first, last = token.first_page or 1, token.last_page or seen.request.pages
    return replace(seen, at=replace(seen.at, page=min(last, first + max(1, seen.body.page or 1) - 1)))


def signed_event(db: Session, device: DeviceRead, event: bytes) -> Event:
    """Raises: BadEvent, unless this device signed it with its current key."""
    try:
        said = events.verify(event, keys=devices.keys_of(db, device.device_id))
    except ProtocolError as error:
        raise BadEvent(why=error.code) from error
    header = said.header
    if (header.device_id, header.generation) != (device.device_id, device.generation):
        raise BadEvent(why="wrong_device")
    return said


def strip_data(nonce: bytes, counter: int) -> bytes:
    """What the light strip shows: docs/protocol.md, "The light strip"."""
    return nonce + counter.to_bytes(4, "big")


def known_marks(plan: tuple[PlannedStroke, ...], stroke: PlannedStroke, *, radius_mm: float) -> tuple[Box, ...]:
    """Where earlier strokes on this very sheet left imprint and code: pixels of the page at 200 dpi."""
    reach = radius_mm + CODE_REACH_MM
    earlier = [
        before
        for before in plan
        if before.copy == stroke.copy and before.page == stroke.page and before.index < stroke.index
    ]
    return tuple(
        (
            (before.x_mm - reach) * PAGE_PX_PER_MM,
            (before.y_mm - reach) * PAGE_PX_PER_MM,
            (before.x_mm + reach) * PAGE_PX_PER_MM,
            (before.y_mm + reach) * PAGE_PX_PER_MM,
        )
        for before in earlier
    )


def _seen(db: Session, run: Runtime, device: DeviceRead, *, event: bytes, preview: bytes) -> Seen:
    said = signed_event(db, device, event)
    body = said.body
    if not isinstance(body, PageSeen):
        raise BadEvent(why="wrong_event")
    if hashlib.sha256(preview).digest() != body.preview_digest or len(preview) > MAX_PREVIEW:
        raise BadEvent(why="wrong_photo")
    if device.state is not DeviceState.ACTIVE:
        raise DeviceNotActive(state=device.state.value)
    token = store.token(db, body.token_id)
    if token is None or token.device_id != device.device_id:
        raise NoSuchToken
    if token.closed_at is not None or run.now() >= token.lease_until:
        raise TokenOver
    request = approvals.request(db, run, Scope.system(token.tenant_id), token.request_id)
    if request.state is not State.IN_USE or request.digest != token.request_digest:
        raise NotReady(state=request.state.value)
    at = StrokeAt(
        tenant_id=token.tenant_id,
        branch_path=token.branch_path,
        request_id=token.request_id,
        seal_id=token.seal_id,
        device_id=token.device_id,
        token_id=token.token_id,
        stroke=body.stroke,
        page=0,
        document_digest=token.document_digest,
    )
    return Seen(
        body=body,
        event=event,
        preview=preview,
        token=token,
        request=request,
        at=at,
        copy=0,
        marks=(),
        shown=strip_data(body.stroke_nonce, said.header.counter),
    )
