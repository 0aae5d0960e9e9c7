"""What screens and upper slices ask: the timeline of a request, photos, alarms, changes."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.schemas import RequestRead
from server.blobs.errors import BlobMissing, WrongOffset
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.events import sheets, store
from server.events.changes import latest as latest_change
from server.events.changes import since as changes_since
from server.events.changes import watch as watch_changes
from server.events.errors import BadUpload, DigestNotAnnounced, PhotoMissing
from server.events.imprints import imprint_of_gateway
from server.events.models import AnnouncedPhoto, Stroke
from server.events.projecting import note_stored, project, rebuild
from server.events.schemas import AlarmRead, PhotosWanted, Progress, StrokeRead, StrokeView, TimelineRead
from server.events.spoiling import spoil
from server.events.withdrawing import withdraw_code
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.tokens import service as tokens

__all__ = [
    "alarms",
    "beneath_label",
    "changes_since",
    "imprint_of_gateway",
    "is_unchecked",
    "label_of",
    "latest_change",
    "photo",
    "photos_wanted",
    "project",
    "rebuild",
    "receive_photo",
    "spoil",
    "stroke",
    "stroke_of_code",
    "strokes",
    "timeline",
    "unchecked",
    "upload_offset",
    "watch_changes",
    "withdraw_code",
]

MOST_WANTED: Final = 500
"""Photos asked for at once; the next hello asks for more."""

_EARLY = {
    State.DRAFT: Progress.DRAFT,
    State.SUBMITTED: Progress.SUBMITTED,
    State.APPROVED: Progress.APPROVED,
}


def timeline(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> TimelineRead:
    """Everything that happened with a request, for one page. Raises: NoSuchRequest."""
    request = approvals.request(db, run, scope, request_id)
    findings = inspection.findings(db, scope, request_id)
    views = _views(db, scope, store.strokes(db, scope, request_id), findings)
    open_leases = tuple(lease for lease in tokens.leases(db, run, scope) if lease.request_id == request_id)
    stamped = sum(view.stroke.state == "done" for view in views)
    return TimelineRead(
        request=request,
        progress=_progress(request, views, stamped=stamped),
        stamped=stamped,
        total=request.strokes,
        strokes=views,
        refused_pages=tuple(finding for finding in findings if finding.kind == "page" and finding.answer != "match"),
        leases=open_leases,
        alarms=tuple(AlarmRead.model_validate(row) for row in store.alarms(db, scope, request_id=request_id)),
    )


def strokes(db: Session, scope: Scope, request_id: UUID) -> list[StrokeRead]:
    """In the order of the plan."""
    return [StrokeRead.model_validate(row) for row in store.strokes(db, scope, request_id)]


def stroke(db: Session, token_id: bytes, number: int) -> StrokeRead | None:
    row = store.stroke(db, token_id, number)
    return StrokeRead.model_validate(row) if row is not None else None


def label_of(db: Session, token_id: bytes, number: int) -> StrokeRead | None:
    """The stroke whose label stands for this one; None while there is no label, as where the device prints itself."""
    row = store.stroke(db, token_id, number)
    label = sheets.label_of(db, row) if row is not None else None
    return StrokeRead.model_validate(label) if label is not None else None


def beneath_label(db: Session, token_id: bytes, number: int) -> list[StrokeRead] | None:
    """The imprints that the label of this stroke stands for, oldest first. None: no label of it is known yet."""
    row = store.stroke(db, token_id, number)
    if row is None or row.label_photo is None:
        return None
    return [StrokeRead.model_validate(one) for one in sheets.beneath(db, row)]


def unchecked(db: Session, scope: Scope) -> list[StrokeRead]:
    """Presses that a person must decide about, oldest first."""
    return [StrokeRead.model_validate(row) for row in store.unchecked(db, scope)]


def is_unchecked(row: StrokeRead) -> bool:
    """Pressed without a comparison before, or a press that nobody can confirm."""
    return row.state == "unknown" or (row.state == "done" and row.page_check != "before")


def stroke_of_code(db: Session, trace_code: bytes) -> StrokeRead | None:
    """The stroke that made this code, for the public snapshot and the archive."""
    row = store.stroke_of_code(db, trace_code)
    return StrokeRead.model_validate(row) if row is not None else None


def alarms(db: Session, scope: Scope) -> list[AlarmRead]:
    """Newest first."""
    return [AlarmRead.model_validate(row) for row in store.alarms(db, scope)]


def photo(db: Session, run: Runtime, scope: Scope, digest: bytes) -> bytes:
    """A photo of this branch, by the digest that a device announced. Raises: PhotoMissing."""
    row = store.announced_in(db, scope, digest)
    if row is None or not run.blobs.exists(db, digest, scope=Scope.system(scope.tenant_id)):
        raise PhotoMissing
    return run.blobs.get(db, digest, scope=Scope.system(scope.tenant_id))


def photos_wanted(db: Session, gateway: GatewayRead, *, device_id: str) -> PhotosWanted:
    """Photos that this device announced and nobody brought; a gateway asks when it meets the device.

    Raises: NoSuchDevice.
    """
    devices.device_of_gateway(db, gateway, device_id)
    return PhotosWanted(digests=[digest.hex() for digest in store.wanted(db, device_id, limit=MOST_WANTED)])


def upload_offset(run: Runtime, gateway: GatewayRead, *, digest: bytes) -> int:
    """Where to go on with an upload; the whole length when it is all here. Opens its own sessions.

    A preview may have come with the permit's question after its event was projected: it is noted as stored here,
    or no receipt would ever name it and the device would keep it for good. Raises: DigestNotAnnounced.
    """
    with run.db.read() as db:
        row = _announced(db, gateway, digest)
        scope = Scope.system(row.tenant_id)
        if not run.blobs.exists(db, digest, scope=scope):
            return _begun(db, run, scope, digest)
        size, noted = len(run.blobs.get(db, digest, scope=scope)), row.stored_at is not None
    if not noted:
        with run.db.write() as db:
            note_stored(db, run, device_id=row.device_id, generation=row.generation, digest=digest)
    return size


def _begun(db: Session, run: Runtime, scope: Scope, digest: bytes) -> int:
    try:
        return run.blobs.append(
            db, digest, -1, b"", scope=scope
        )  # no piece begins at -1: the answer says where one may
    except WrongOffset as error:
        return int(str(error.facts["offset"]))
    except BlobMissing:
        return 0


def receive_photo(run: Runtime, gateway: GatewayRead, *, digest: bytes, offset: int, size: int, chunk: bytes) -> int:
    """Take a piece of an announced photo; returns the new offset. Opens its own sessions: files are slow.

    Raises: DigestNotAnnounced, BadUpload, WrongOffset, BlobTooLarge, DigestMismatch.
    """
    if not 0 <= offset <= size or offset + len(chunk) > size:
        raise BadUpload
    with run.db.write() as db:
        row = _announced(db, gateway, digest)
        scope = Scope.system(row.tenant_id)
        here = run.blobs.begin(db, digest, size, "image/jpeg", scope=scope)
    if here < size and chunk:
        with run.db.read() as db:
            here = run.blobs.append(db, digest, offset, chunk, scope=scope)
    if here == size:
        with run.db.write() as db:
            run.blobs.finish(db, digest, scope=scope)
            note_stored(db, run, device_id=row.device_id, generation=row.generation, digest=digest)
    return here


def _announced(db: Session, gateway: GatewayRead, digest: bytes) -> AnnouncedPhoto:
    row = store.announced_for_tenant(db, gateway.tenant_id, digest)
    if row is None:
        raise DigestNotAnnounced
    return row


def _views(db: Session, scope: Scope, rows: Sequence[Stroke], findings: list[FindingRead]) -> tuple[StrokeView, ...]:
    """Of one request, with as many queries for a hundred strokes as for one."""
    digests = {digest for row in rows for digest in _photos(row)}
    stored = store.stored_among(db, scope.tenant_id, digests) if digests else set()
    of_sheet: dict[tuple[int, int], list[Stroke]] = {}
    for row in rows:
        if row.trace_code is not None and row.state != "spoiled":
            of_sheet.setdefault((row.copy_number, row.page), []).append(row)
    of_stroke: dict[tuple[bytes, int], list[FindingRead]] = {}
    for finding in findings:
        of_stroke.setdefault((finding.token_id, finding.stroke), []).append(finding)
    return tuple(
        _view(
            row,
            of_stroke.get((row.token_id, row.stroke), []),
            label=sheets.newest(row, of_sheet.get((row.copy_number, row.page), [])),
            stored=stored,
        )
        for row in rows
    )


def _photos(row: Stroke) -> set[bytes]:
    photos = (row.before_preview, row.before_photo, row.after_preview, row.after_photo)
    return {digest for digest in photos if digest is not None}


def _view(row: Stroke, mine: list[FindingRead], *, label: Stroke | None, stored: set[bytes]) -> StrokeView:
    stroke = StrokeRead.model_validate(row)
    page = [f for f in mine if f.kind == "page" and f.photo_digest == stroke.before_preview]
    imprint = [f for f in mine if f.kind == "imprint"]
    return StrokeView(
        stroke=stroke,
        page_finding=page[-1] if page else None,
        imprint_finding=imprint[-1] if imprint else None,
        photos_stored=frozenset(digest.hex() for digest in _photos(row) & stored),
        label_code=label.short_code if label is not None else None,
    )


def _progress(request: RequestRead, views: tuple[StrokeView, ...], *, stamped: int) -> Progress:
    if request.state in _EARLY:
        return _EARLY[request.state]
    if request.state not in {State.IN_USE, State.DONE}:
        return Progress.OVER
    looks = [view.imprint_finding for view in views if view.stroke.state == "done"]
    unclear = any(view.stroke.state == "unknown" for view in views)
    if unclear or any(look is not None and look.answer != "agrees" for look in looks):
        return Progress.LOOK_HERE
    if stamped >= request.strokes and all(look is not None for look in looks):
        return Progress.MATCHED
    return Progress.STAMPED if stamped else Progress.UNLOCKED
