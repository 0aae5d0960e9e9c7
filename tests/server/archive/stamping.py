"""One true stamping through the business slices: the device signs what a device signs, the ledger integrates it."""

import hashlib

from firmware_protocol import trace
from firmware_protocol.events import Done, Grant, Intent
from firmware_protocol.trace import TraceCode
from server.approvals.schemas import RequestRead
from server.devices import outbox
from server.devices.publishing import publish
from server.events import projecting
from server.tokens import service as tokens
from tests.server.office import Office, photo_of
from tests.server.world import HEAD, Company, contract_pdf


def stamp(office: Office, company: Company) -> tuple[RequestRead, bytes]:
    """A request for one imprint on page 1, stamped and projected, all photos stored; returns its trace code too."""
    publish(office.run)  # the worker's job after a device was enrolled
    request = company.approved(form={"copies": 1, "title": "Secret merger", "counterparty": "Hidden Ltd"})
    token = office.token(request)
    signed_token = sent(office, "token")
    digest = hashlib.sha256(signed_token).digest()
    office.pen.write(Grant(token_id=token.token_id, token_digest=digest, max_strokes=token.strokes))
    preview = photo_of(contract_pdf(), 1)
    event = office.page_seen(token.token_id, 1, preview)
    tokens.ask_permit(office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=preview)
    permit_digest = hashlib.sha256(sent(office, "permit")).digest()
    office.pen.write(Intent(token_id=token.token_id, stroke=1, permit_digest=permit_digest, page=1))
    office.pen.counter += 1
    code = trace.sign(
        TraceCode(
            use=token.token_id[:8],
            document=request.document_digest[:16],
            counter=office.pen.counter,
            head=HEAD[:4],
        ),
        key=office.pen.key,
    )
    after, small = b"\xff\xd8 after \xff\xd9", b"\xff\xd8 small \xff\xd9"
    office.pen.write(
        Done(
            token_id=token.token_id,
            stroke=1,
            preview_digest=hashlib.sha256(small).digest(),
            photo_digest=hashlib.sha256(after).digest(),
            trace_code=code,
        )
    )
    office.close(token, 1)
    project(office)
    store(office, after, small, preview + b" in full")
    return request, code


def sent(office: Office, kind: str) -> bytes:
    with office.run.db.read() as db:
        return next(one.payload for one in outbox.due(db, office.run.now()) if one.kind == kind)


def project(office: Office) -> None:
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        projecting.project(office.run, first=first, last=last)


def store(office: Office, *photos: bytes) -> None:
    """The gateway has uploaded these photos."""
    with office.run.db.write() as db:
        for photo in photos:
            digest = office.run.blobs.put(db, photo, "image/jpeg", scope=office.company.everywhere)
            projecting.note_stored(db, office.run, device_id=office.pen.device_id, generation=1, digest=digest)
