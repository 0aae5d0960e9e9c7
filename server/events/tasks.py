"""Jobs of `server.events`, done by the worker role."""

from typing import Any

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.events import changes, projecting, store
from server.inspection import service as inspection
from server.inspection.service import StrokeAt
from server.jobs import service as jobs
from server.jobs.service import handler
from server.ledger import service as ledger
from server.seals import service as seals
from server.tokens import service as tokens


@handler(projecting.PROJECT)
def project(run: Runtime, payload: dict[str, Any]) -> None:
    """Device events were admitted in leaves from..to."""
    changes.watch(run)
    projecting.project(run, first=payload["from"], last=payload["to"])
    with run.db.write() as db:
        jobs.enqueue(db, "public.snapshot", {}, now=run.now())  # strokes bring codes that strangers may check


@handler(projecting.INSPECT_IMPRINT)
def inspect_imprint(run: Runtime, payload: dict[str, Any]) -> None:
    """Both full photos of a stroke are here: compare them with the specimen and read the code."""
    changes.watch(run)
    with run.db.read() as db:
        row = store.stroke(db, bytes.fromhex(payload["token"]), payload["stroke"])
        if row is None or row.before_photo is None or row.after_photo is None or row.done_leaf is None:
            return
        scope = Scope.system(row.tenant_id)
        token = tokens.token(db, scope, row.token_id)
        leaf = ledger.entry(db, scope, row.done_leaf)
        if token is None or leaf is None:
            return
        seal = seals.seal(db, scope, token.seal_id)
        specimen = seals.specimen(db, run, scope, token.seal_id)
        before = run.blobs.get(db, row.before_photo, scope=scope)
        after = run.blobs.get(db, row.after_photo, scope=scope)
    at = StrokeAt(
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        request_id=row.request_id,
        seal_id=token.seal_id,
        device_id=row.device_id,
        token_id=row.token_id,
        stroke=row.stroke,
        page=row.page,
        document_digest=token.document_digest,
    )
    check = inspection.look_at_imprint(
        run, specimen=specimen, diameter_mm=seal.diameter_mm, before=before, after=after, at=at
    )
    with run.db.write() as db:
        inspection.keep_imprint_finding(
            db, run, at, check, after=after, trace_code=row.trace_code or b"", event=leaf.leaf
        )
        about = {"tenant": str(row.tenant_id), "request": str(row.request_id)}
        jobs.enqueue(db, "archive.file", about, now=run.now())
