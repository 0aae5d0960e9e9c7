"""Leafing through: in any order, each page compared, no permit before the last. And the two photos of a straddle."""

import hashlib

import numpy as np
import pytest

from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import cose, orders
from firmware_protocol.events import PageSeen
from firmware_protocol.orders import Permit
from server.devices import outbox
from server.devices import service as devices
from server.tokens import service
from server.tokens.errors import SweepIncomplete, WrongStroke
from server.tokens.schemas import PermitOut, SweptOut, TokenOut
from server.tokens.seeing import strip_data
from tests.server.office import Office, photo_of
from tests.server.world import Company, contract_pdf

PDF = contract_pdf(pages=3)


class Leafing:
    """A keeper who turns pages under the camera."""

    def __init__(self, office: Office, token: TokenOut) -> None:
        self.office, self.token, self.running = office, token, 0

    def turn(self, page: int, *, pdf: bytes = PDF, running: int | None = None) -> SweptOut:
        self.running += 1
        nonce = bytes([self.running]) * 16
        photo = photo_of(pdf, page, nonce=nonce, counter=self.office.pen.counter)
        event = self.office.pen.write(
            PageSeen(
                token_id=self.token.token_id,
                stroke=0,
                preview_digest=hashlib.sha256(photo).digest(),
                photo_digest=hashlib.sha256(photo + b" in full").digest(),
                stroke_nonce=nonce,
                page=running or self.running,
            )
        )
        gateway = self.office.gateway.gateway
        return service.sweep_page(
            self.office.run, gateway, device_id=self.office.pen.device_id, event=event, preview=photo
        )


def permit(office: Office, token: TokenOut, photo: bytes, nonce: bytes) -> PermitOut:
    event = office.page_seen(token.token_id, 1, photo, nonce=nonce)
    return service.ask_permit(
        office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=photo
    )


def test_no_permit_before_every_page_was_seen(office: Office, company: Company) -> None:
    token = office.token(company.approved(pdf=PDF, form={"sweep": True}))
    leafing = Leafing(office, token)
    first = leafing.turn(1)
    assert (first.page, first.answer, first.seen, first.of, first.missing) == (1, "match", 1, 3, (2, 3))
    with pytest.raises(SweepIncomplete) as refused:
        permit(office, token, photo_of(PDF, 1), b"n" * 16)
    assert refused.value.facts["missing"] == "2, 3"
    swapped = leafing.turn(3)  # out of order: found all the same
    assert (swapped.page, swapped.answer, swapped.missing) == (3, "match", (2,))
    again = leafing.turn(3)
    assert (again.page, again.seen) == (3, 2)
    forged = leafing.turn(2, pdf=contract_pdf(pages=3, amount="7.200,00 EUR"))
    assert (forged.answer, forged.missing) == ("wrong", (2,))
    last = leafing.turn(2)
    assert (last.page, last.seen, last.missing) == (2, 3, ())
    assert permit(office, token, photo_of(PDF, 1), b"n" * 16).permit_sent


def test_only_a_job_that_needs_it_is_leafed_through(office: Office, company: Company) -> None:
    token = office.token(company.approved(pdf=PDF))
    with pytest.raises(WrongStroke):
        Leafing(office, token).turn(1)


def test_a_straddle_compares_the_cover_before_the_fan(office: Office, company: Company, seed: int) -> None:
    form = {"copies": 1, "stamping": "straddle", "first_page": 1, "last_page": 3}
    token = office.token(company.approved(pdf=PDF, form=form))
    scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
    pages = [render_pdf_page(PDF, number, dpi=300) for number in range(3)]

    def look(nonce: bytes) -> PermitOut:
        photo = scene.photograph(strip_data(nonce, office.pen.counter)).preview_jpeg
        return permit(office, token, photo, nonce)

    scene.lay_fan(pages)
    early = look(b"a" * 16)
    assert (early.stage, early.permit_sent) == ("cover", False)
    assert early.answer != "match"
    scene.lay_page(pages[1])
    assert look(b"b" * 16).answer == "wrong"
    scene.lay_page(pages[0])
    cover = look(b"c" * 16)
    assert (cover.stage, cover.answer, cover.permit_sent) == ("cover", "match", False)
    scene.lay_page(pages[1])
    assert not look(b"d" * 16).permit_sent  # something else in place of the fan
    scene.lay_fan(pages)
    fan = look(b"e" * 16)
    assert (fan.stage, fan.answer, fan.reason, fan.permit_sent) == ("fan", "match", "fan", True)
    with office.run.db.read() as db:
        (sent,) = [message.payload for message in outbox.due(db, office.run.now()) if message.kind == "permit"]
    signed = orders.verify(Permit, sent, keys=cose.keyring(devices.issuer_keys(office.run)[1]))
    assert (signed.page, signed.stroke_nonce) == (0, b"e" * 16)
    assert signed.cover_digest is not None
    assert signed.cover_digest != signed.photo_digest
