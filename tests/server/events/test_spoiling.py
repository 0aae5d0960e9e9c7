"""A spoiled sheet: cancelled on paper, its code withdrawn, its place free on a spare, its approvers told afterwards."""

import hashlib
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import trace
from firmware_protocol.events import Done, Intent, Label, Service, ServiceStage, Spoiled
from firmware_protocol.orders import ServiceKind
from firmware_protocol.purposes import Purpose
from firmware_protocol.trace import TraceCode
from server.app import create_api
from server.approvals import service as approvals
from server.audit import service as audit
from server.core.trustfile import TrustFile
from server.events import service
from server.events import tasks as event_tasks
from server.jobs.models import Job
from server.ledger import service as ledger
from server.ledger.service import EntryType
from server.notices import service as notices
from server.notices import tasks as notice_tasks
from server.tokens import service as tokens
from server.tokens.schemas import SpoiledOut
from server.tokens.seeing import strip_data
from server.verification import trust, withdrawn
from server.verification.code import code_hash
from server.verification.trust import read_bundle
from tests.server.office import Office
from tests.server.world import HEAD, Client, Company, artwork, contract_pdf


class Desk:
    """One press, photographed; then the sheet may be cancelled."""

    def __init__(self, office: Office, company: Company, seed: int) -> None:
        self.office, self.company = office, company
        self.request = company.approved(form={"copies": 1})
        self.token = office.token(self.request)
        office.grant(self.token)
        self.scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
        self.scene.lay_page(render_pdf_page(contract_pdf(), 0, dpi=300))
        office.page_seen(self.token.token_id, 1, b"before")

    def press(self) -> str:
        """The short code of the stroke, printed beside it."""
        pen = self.office.pen
        pen.write(Intent(token_id=self.token.token_id, stroke=1))
        pen.counter += 1
        code = TraceCode(use=self.token.token_id[:8], document=bytes(16), counter=pen.counter, head=HEAD[:4])
        signed = trace.sign(code, key=pen.key)
        self.scene.press(HeadArtwork.from_png(artwork(), 38.0), ink=0.4)
        assert self.scene.print_code(trace.url(signed, host="localhost:8444"), short_code=trace.short_code(signed))
        digest = hashlib.sha256(b"after").digest()
        pen.write(
            Done(token_id=self.token.token_id, stroke=1, preview_digest=digest, photo_digest=digest, trace_code=signed)
        )
        return trace.short_code(signed)

    def project(self) -> None:
        self.office.projected.clear()
        self.office.deliver()
        for first, last in self.office.projected:
            service.project(self.office.run, first=first, last=last)

    def spoil(self, *, counter: int | None = None) -> SpoiledOut:
        pen, token_id = self.office.pen, self.token.token_id
        nonce = hashlib.sha256(token_id + (1).to_bytes(2, "big")).digest()[:16]
        photo = self.scene.photograph(strip_data(nonce, pen.counter if counter is None else counter))
        event = pen.write(
            Spoiled(
                token_id=token_id,
                stroke=1,
                preview_digest=hashlib.sha256(photo.preview_jpeg).digest(),
                photo_digest=hashlib.sha256(photo.full_jpeg).digest(),
            )
        )
        client = Client(create_api(self.office.run), headers=self.office.headers)
        answer = client.post(
            f"/gateway/v1/devices/{pen.device_id}/spoiled",
            files={"event": ("event", event), "preview": ("preview", photo.preview_jpeg)},
        )
        assert answer.status_code == 200, answer.text
        return SpoiledOut.model_validate(answer.json())


@pytest.fixture
def desk(office: Office, company: Company, seed: int) -> Desk:
    return Desk(office, company, seed)


def jobs(desk: Desk, kind: str) -> list[dict[str, Any]]:
    with desk.office.run.db.read() as db:
        return [job.payload for job in db.exec(select(Job).where(Job.kind == kind))]


def test_a_cancelled_sheet_frees_its_place_on_a_spare(desk: Desk) -> None:
    run, everywhere = desk.office.run, desk.company.everywhere
    code = desk.press()
    assert desk.spoil().reason == "not_yet"  # the report of the press has not arrived
    desk.project()
    assert desk.spoil().reason == "not_marked"
    desk.scene.print_cancelled()
    assert desk.spoil(counter=7).reason == "old_photo"
    said = desk.spoil()
    assert (said.accepted, said.reason, said.strokes_left) == (True, "cancelled", 1)
    assert desk.spoil().accepted  # again: decided already
    desk.office.close(desk.token, 1)
    desk.project()
    service.rebuild(run)
    with run.db.read() as db:
        (row,) = service.strokes(db, everywhere, desk.request.id)
        assert row.state == "spoiled"
        left = tokens.left(db, run, approvals.request(db, run, everywhere, desk.request.id))
        assert (left.plan, left.strokes, left.spares) == ((0,), 1, 0)
        (entry,) = ledger.find(db, everywhere, ref=f"code:{code}", entry_type=EntryType.CODE_WITHDRAWN)
        counts = audit.reconcile(db, run, everywhere, desk.request.id)
        assert entry.leaf_hash
        assert (counts.spoiled, counts.pressed) == (1, 0)
    again = desk.office.token(desk.request)
    assert again.strokes == 1


def test_the_code_of_a_cancelled_sheet_is_withdrawn_in_the_trust_bundle_too(desk: Desk) -> None:
    run = desk.office.run
    desk.press()
    desk.project()
    desk.scene.print_cancelled()
    assert desk.spoil().accepted
    file = TrustFile(run.settings.home)
    before = file.bundle()
    (about,) = jobs(desk, "events.withdraw_code")
    event_tasks.withdraw(run, about)
    once = file.bundle()
    event_tasks.withdraw(run, about)
    assert file.bundle() == once != before, "said again it changes nothing"
    with run.db.read() as db:
        (row,) = service.strokes(db, desk.company.everywhere, desk.request.id)
    assert row.trace_code is not None
    bundle = read_bundle(once)
    assert bundle.withdrawn_since(code_hash(row.trace_code)) == about["since"]
    assert bundle.withdrawn_since(b"\x01" * 32) is None
    assert jobs(desk, "public.snapshot"), "strangers are shown the new bundle"


def test_a_trust_bundle_without_news_is_signed_anew_every_day(desk: Desk) -> None:
    run = desk.office.run
    file = TrustFile(run.settings.home)
    fresh = read_bundle(file.bundle())
    event_tasks.renew_trust(run)
    assert read_bundle(file.bundle()).version == fresh.version
    old = trust.reissue(
        file.anchor(),
        file.bundle(),
        key=run.keys.signer(Purpose.BUNDLE),
        issued=int(run.now().timestamp()) - 86_400,
        withdrawn_codes=withdrawn.pack({bytes(16): 7}),
    )
    file.update(lambda _anchor, _current: old)
    event_tasks.renew_trust(run)
    renewed = read_bundle(file.bundle())
    assert renewed.issued == int(run.now().timestamp())
    assert renewed.withdrawn_since(bytes(32)) == 7


def test_another_sheet_is_not_taken(desk: Desk) -> None:
    desk.press()
    desk.project()
    desk.scene.lay_page(render_pdf_page(contract_pdf(), 0, dpi=300))
    desk.scene.press(HeadArtwork.from_png(artwork(), 38.0))
    desk.scene.print_cancelled()
    assert desk.spoil().reason == "no_code"
    with desk.office.run.db.read() as db:
        assert not tokens.spoiled(db, desk.token.token_id, 1)


def test_the_approver_hears_of_it_once(desk: Desk) -> None:
    desk.press()
    desk.project()
    desk.scene.print_cancelled()
    assert desk.spoil().accepted
    run, boss = desk.office.run, desk.company.scope(desk.company.boss)
    for payload in jobs(desk, "notices.spoiled") * 2:
        notice_tasks.tell_spoiled(run, payload)
    with run.db.read() as db:
        (notice,) = notices.unread(db, run, boss)
        assert notices.unread(db, run, desk.company.scope(desk.company.second_boss)) == []
    assert "spoiled" in notice.text
    with run.db.write() as db:
        notices.mark_read(db, run, boss, notice.id)
    with run.db.read() as db:
        assert notices.unread(db, run, boss) == []


def test_labels_are_accounted_for(desk: Desk) -> None:
    desk.press()
    client = Client(create_api(desk.office.run), headers=desk.office.headers)
    token_id, device = desk.token.token_id, desk.office.pen.device_id
    for label_id, outcome in (("L-1", "printed"), ("L-2", "printed"), ("L-1", "spoiled"), ("L-2", "stuck")):
        said = {
            "token_id": token_id.hex(),
            "stroke": 1,
            "label_id": label_id,
            "printer": "ZPL 1",
            "outcome": outcome,
        }
        assert client.post(f"/gateway/v1/devices/{device}/labels", json=said).status_code == 204

    def unused() -> int:
        with desk.office.run.db.read() as db:
            return audit.reconcile(db, desk.office.run, desk.company.everywhere, desk.request.id).labels_unused

    desk.project()
    assert unused() == 1  # L-2: said to be stuck on, and no photo shows it
    desk.office.pen.write(Label(token_id=token_id, copy=1, trace_code=b"c", photo_digest=bytes(32)))
    desk.project()
    assert unused() == 0


def test_reports_of_a_service_raise_no_false_alarm(desk: Desk) -> None:
    order = hashlib.sha256(b"order").digest()
    pen = desk.office.pen
    pen.write(Service(order_digest=order, kind=ServiceKind.REFILL_INK, stage=ServiceStage.BEGUN, slot=1))
    pen.write(Intent(token_id=order[:16], stroke=1))
    pen.counter += 1
    digest = hashlib.sha256(b"sample").digest()
    pen.write(Done(token_id=order[:16], stroke=1, preview_digest=digest, photo_digest=digest, trace_code=b"c"))
    pen.write(Service(order_digest=order, kind=ServiceKind.REFILL_INK, stage=ServiceStage.ENDED, slot=1))
    desk.project()
    with desk.office.run.db.read() as db:
        assert service.alarms(db, desk.company.everywhere) == []
        assert service.stroke(db, order[:16], 1) is None
