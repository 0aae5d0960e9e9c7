"""Leafing through: every page of the document passes under the camera before the first imprint, in any order."""

import hashlib
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.events import PageSeen
from server.core.runtime import Runtime
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.inspection import service as inspection
from server.inspection.results import PageCheck
from server.inspection.schemas import FindingRead
from server.inspection.service import StrokeAt
from server.inspection.vision.finding import Answer
from server.jobs import service as jobs
from server.jobs.sandbox import WorkerCrashed, WorkerTimeout
from server.tokens import store
from server.tokens.models import StampToken
from server.tokens.schemas import SweptOut
from server.tokens.seeing import Seen, seen_in_sweep

KIND: Final = "sweep"
OLD_PHOTO: Final = "events.old_photo"
"""The job that raises the alarm: alarms are a matter of an upper slice."""
_UNPLACED: Final = frozenset({"no_page", "blank_page", "undecodable", "old_photo"})
"""Reasons for which no other page of the document is tried."""


def take_page(run: Runtime, gateway: GatewayRead, *, device_id: str, event: bytes, preview: bytes) -> SweptOut:
    """Say which page this is and whether it agrees. Opens its own sessions. The same photo again, the same answer.

    Raises: NoSuchDevice, DeviceNotActive, BadEvent, NoSuchToken, TokenOver, WrongStroke, NotReady, WorkerTimeout,
    WorkerCrashed.
    """
    with run.db.read() as db:
        device = devices.device_of_gateway(db, gateway, device_id)
        seen = seen_in_sweep(db, run, device, event=event, preview=preview)
        digest = hashlib.sha256(preview).digest()
        finding = inspection.known_page_finding(db, seen.at, digest, kinds=(KIND,))
        wanted = missing(db, seen.token)
    looked = None if finding is not None else _look(run, seen, wanted)
    with run.db.write() as db:
        if looked is not None:
            at, check = looked
            finding = inspection.keep_page_finding(
                db, run, at, check, preview=preview, event=event, kind=KIND, more={"running": seen.body.page or 0}
            )
            if finding.reason == "old_photo":
                about = {"finding": str(finding.id), "tenant": str(at.tenant_id)}
                jobs.enqueue(db, OLD_PHOTO, about, now=run.now())
        left = missing(db, seen.token)
    return _out(seen.token, finding, left)


def warm_next(run: Runtime, gateway: GatewayRead, *, answer: SweptOut, event: bytes) -> None:
    """Prepare the page that probably comes next, while the keeper turns the leaf."""
    with run.db.read() as db:
        body = events.peek(event).body  # its signature was verified for the answer
        token = store.token(db, body.token_id) if isinstance(body, PageSeen) else None
        if token is None or token.tenant_id != gateway.tenant_id or not answer.missing:
            return
        after = [page for page in answer.missing if page > answer.page] or list(answer.missing)
    try:
        inspection.warm_page(run, token.tenant_id, token.document_digest, after[0])
    except (WorkerTimeout, WorkerCrashed) as error:
        run.log.info("page_not_warmed", page=after[0], why=type(error).__name__)


def of(token: StampToken) -> int:
    """Pages to be seen."""
    return (token.last_page or 0) - (token.first_page or 0) + 1


def missing(db: Session, token: StampToken) -> tuple[int, ...]:
    """Pages not seen yet, in order."""
    agreed = {
        look.page for look in inspection.findings_of_token(db, token.token_id, kind=KIND) if look.answer == "match"
    }
    return tuple(page for page in range(token.first_page or 1, (token.last_page or 0) + 1) if page not in agreed)


def _look(run: Runtime, seen: Seen, wanted: tuple[int, ...]) -> tuple[StrokeAt, PageCheck]:
    """The page in order first; if it is another one, the likeliest of the document."""
    first = wanted[0] if wanted and seen.at.page not in wanted else seen.at.page
    at = replace(seen.at, page=first)
    check = inspection.dated(inspection.look_at_page(run, at, seen.preview, bound=seen.request.bound), shown=seen.shown)
    if check.finding.answer is Answer.MATCH or check.finding.reason in _UNPLACED or check.strip is None:
        return at, check
    likely = inspection.which_pages(run, seen.at, seen.preview, pages=seen.request.pages)
    if not likely:
        return replace(at, page=0), check
    if likely[0] == first:
        return at, check
    other = replace(at, page=likely[0])
    return other, inspection.dated(
        inspection.look_at_page(run, other, seen.preview, bound=seen.request.bound), shown=seen.shown
    )


def _out(token: StampToken, finding: FindingRead | None, left: tuple[int, ...]) -> SweptOut:
    if finding is None:
        raise ValueError("a page that was looked at has a finding")
    return SweptOut(
        page=finding.page,
        answer=finding.answer,
        reason=finding.reason,
        text=f"{finding.text.happened} {finding.text.safe} {finding.text.next}",
        seen=of(token) - len(left),
        of=of(token),
        missing=left,
    )
