"""The look at the after-photo, with photos as the device's camera takes them."""

import hashlib
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import events as device_events
from firmware_protocol import trace
from firmware_protocol.events import Done, Intent, PageSeen
from firmware_protocol.trace import TraceCode
from server.app import create_api
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.events import projecting, service, tasks
from server.events.schemas import Progress
from server.jobs.models import Job
from server.tokens import service as tokens
from server.tokens.seeing import strip_data
from tests.server.office import Office
from tests.server.world import HEAD, Client, Company, artwork


class Stamping:
    """One stroke on a laid page; `printed` is what the coder prints, the device's own code unless told otherwise."""

    def __init__(self, office: Office, company: Company, *, seed: int = 5) -> None:
        self.office = office
        self.request = company.approved(form={"copies": 1})
        self.token = office.token(self.request)
        self.scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
        with office.run.db.read() as db:
            pdf = approvals.pdf(db, office.run, company.tenant.id, self.request.document_digest)
        self.scene.lay_page(render_pdf_page(pdf, 0, dpi=300))
        self.before = self.scene.photograph(strip_data(b"n" * 16, office.pen.counter))

    def page_seen(self) -> bytes:
        return self.office.pen.write(
            PageSeen(
                token_id=self.token.token_id,
                stroke=1,
                preview_digest=hashlib.sha256(self.before.preview_jpeg).digest(),
                photo_digest=hashlib.sha256(self.before.full_jpeg).digest(),
                stroke_nonce=b"n" * 16,
            )
        )

    def press(self, *, press: bool = True, forged: bool = False, strip: bytes = b"") -> None:
        pen = self.office.pen
        pen.write(Intent(token_id=self.token.token_id, stroke=1))
        pen.counter += 1
        code = TraceCode(use=self.token.token_id[:8], document=bytes(16), counter=pen.counter, head=HEAD[:4])
        signed = trace.sign(code, key=pen.key)
        if press:
            self.scene.press(HeadArtwork.from_png(artwork(), 38.0))
        printed = trace.sign(TraceCode(use=bytes(8), document=bytes(16), counter=1, head=HEAD[:4]), key=pen.key)
        url = trace.url(printed if forged else signed, host="localhost:8444")
        assert self.scene.print_code(url, short_code=trace.short_code(signed))
        self.after = self.scene.photograph(strip or strip_data(hashlib.sha256(signed).digest()[:16], pen.counter))
        pen.write(
            Done(
                token_id=self.token.token_id,
                stroke=1,
                preview_digest=hashlib.sha256(self.after.preview_jpeg).digest(),
                photo_digest=hashlib.sha256(self.after.full_jpeg).digest(),
                trace_code=signed,
            )
        )

    def upload_and_look(self) -> Any:
        office = self.office
        office.projected.clear()
        office.deliver()
        for first, last in office.projected:
            service.project(office.run, first=first, last=last)
        gateway = Client(create_api(office.run), headers=office.headers)
        for photo in (self.before.full_jpeg, self.after.full_jpeg):
            answer = gateway.request(
                "PUT",
                f"/gateway/v1/blobs/{hashlib.sha256(photo).hexdigest()}",
                content=photo,
                headers={"upload-offset": "0", "upload-length": str(len(photo))},
            )
            assert answer.status_code == 204
        for payload in promised(office.run):
            tasks.inspect_imprint(office.run, payload)
        with office.run.db.read() as db:
            return service.timeline(db, office.run, office.company.everywhere, self.request.id)


def promised(run: Runtime) -> list[dict[str, Any]]:
    with run.db.read() as db:
        return [job.payload for job in db.exec(select(Job).where(Job.kind == projecting.INSPECT_IMPRINT)).all()]


def test_a_true_stroke_ends_matched(office: Office, company: Company) -> None:
    stamping = Stamping(office, company)
    event = stamping.page_seen()
    answer = tokens.ask_permit(
        office.run,
        office.gateway.gateway,
        device_id=office.pen.device_id,
        event=event,
        preview=stamping.before.preview_jpeg,
    )
    assert (answer.answer, answer.permit_sent) == ("match", True)
    stamping.press()
    line = stamping.upload_and_look()
    view = line.strokes[0]
    assert (view.imprint_finding.answer, view.imprint_finding.reason) == ("agrees", "photo_agrees"), (
        view.imprint_finding.report
    )
    assert view.page_finding is not None
    assert line.progress is Progress.MATCHED
    assert device_events.peek(event).header.device_id == office.pen.device_id


@pytest.mark.parametrize(
    ("way", "reason"),
    [({"press": False}, "no_imprint"), ({"forged": True}, "other_code"), ({"strip": b"o" * 20}, "old_photo")],
    ids=["no imprint", "code", "old photo"],
)
def test_what_does_not_agree_is_shown(office: Office, company: Company, way: dict[str, Any], reason: str) -> None:
    stamping = Stamping(office, company)
    stamping.page_seen()
    stamping.press(**way)
    line = stamping.upload_and_look()
    assert (line.strokes[0].imprint_finding.reason, line.progress) == (reason, Progress.LOOK_HERE)
