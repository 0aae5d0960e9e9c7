"""Permits: only for the device's own signed photo of the approved page."""

import hashlib
from uuid import UUID

import pytest

from firmware_protocol import cose, orders
from firmware_protocol.events import TimeSet
from server.approvals import service as approvals
from server.core.clock import FixedClock
from server.devices import outbox
from server.devices import service as devices
from server.devices.errors import BadEvent
from server.inspection import service as inspection
from server.inspection.errors import NoSuchFinding
from server.tokens import permits, service
from server.tokens.errors import NoSuchToken, NotReady, TokenOver, WrongStroke
from server.tokens.schemas import PermitOut
from tests.server.office import Key, Office, photo_of
from tests.server.world import Company, contract_pdf


def ask(office: Office, event: bytes, preview: bytes) -> PermitOut:
    return service.ask_permit(
        office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=preview
    )


def permits_sent(office: Office) -> list[bytes]:
    with office.run.db.read() as db:
        return [message.payload for message in outbox.due(db, office.run.now()) if message.kind == "permit"]


def test_the_approved_page_gets_one_permit_for_this_photo(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    preview = photo_of(contract_pdf(), 1)
    event = office.page_seen(token.token_id, 1, preview)
    answer = ask(office, event, preview)
    assert (answer.answer, answer.reason, answer.permit_sent, answer.page) == ("match", "ok", True, 1)
    (signed,) = permits_sent(office)
    permit = orders.verify(orders.Permit, signed, keys=cose.keyring(devices.issuer_keys(office.run)[1]))
    assert (permit.stroke, permit.stroke_nonce) == (1, b"n" * 16)
    assert permit.page_digest == orders.page_digest(request.document_digest, 1)
    again = ask(office, event, preview)
    assert again.finding_id == answer.finding_id
    assert permits_sent(office) == [signed]


def test_a_changed_amount_gets_no_permit_and_both_pictures(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    preview = photo_of(contract_pdf(amount="7.200,00 EUR"), 1)
    answer = ask(office, office.page_seen(token.token_id, 1, preview), preview)
    assert (answer.answer, answer.permit_sent) == ("wrong", False)
    assert answer.differences
    assert permits_sent(office) == []
    with office.run.db.read() as db:
        finding = inspection.finding(db, company.everywhere, answer.finding_id)
        first = finding.differences[0]
        for digest in (first.approved, first.photo):
            assert office.run.blobs.get(db, bytes.fromhex(digest or ""), scope=company.everywhere)[:2] == b"\xff\xd8"


def test_the_gateway_gets_the_pictures_that_its_answer_names_and_no_others(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    preview = photo_of(contract_pdf(amount="7.200,00 EUR"), 1)
    answer = ask(office, office.page_seen(token.token_id, 1, preview), preview)

    def crop(digest: bytes, *, finding_id: UUID = answer.finding_id) -> bytes:
        with office.run.db.read() as db:
            return permits.crop(
                db,
                office.run,
                office.gateway.gateway,
                device_id=office.pen.device_id,
                finding_id=finding_id,
                digest=digest,
            )

    first = answer.differences[0]
    for name in (first.approved, first.photo):
        digest = bytes.fromhex(name or "")
        assert hashlib.sha256(crop(digest)).digest() == digest
    for wrong in (hashlib.sha256(preview).digest(), bytes(32)):
        with pytest.raises(NoSuchFinding):
            crop(wrong)
    with pytest.raises(NoSuchFinding):
        crop(bytes.fromhex(first.photo or ""), finding_id=UUID(int=1))


def test_another_page_of_the_same_document_gets_no_permit(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    preview = photo_of(contract_pdf(), 2)
    answer = ask(office, office.page_seen(token.token_id, 1, preview), preview)
    assert answer.answer in {"wrong", "doubtful"}
    assert not answer.permit_sent


def test_only_the_devices_own_signature_counts(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    preview = photo_of(contract_pdf(), 1)
    genuine = office.pen.key
    office.pen.key = Key(b"\x07" * 32)
    forged = office.page_seen(token.token_id, 1, preview)
    office.pen.key = genuine
    with pytest.raises(BadEvent) as refused:
        ask(office, forged, preview)
    assert refused.value.facts["why"] == "unknown_key"
    event = office.page_seen(token.token_id, 1, preview)
    with pytest.raises(BadEvent):
        ask(office, event[:-1] + bytes([event[-1] ^ 1]), preview)
    with pytest.raises(BadEvent):
        ask(office, event, preview + b" ")
    with pytest.raises(BadEvent):
        ask(office, office.pen.write(TimeSet(unix_ms=1)), preview)


def test_the_photo_must_belong_to_a_live_token_and_stroke(office: Office, company: Company, clock: FixedClock) -> None:
    token = office.token(company.approved())
    preview = b"never looked at"
    with pytest.raises(NoSuchToken):
        ask(office, office.page_seen(b"x" * 16, 1, preview), preview)
    for stroke in (0, 3):
        with pytest.raises(WrongStroke):
            ask(office, office.page_seen(token.token_id, stroke, preview), preview)
    clock.advance(600)
    with pytest.raises(TokenOver):
        ask(office, office.page_seen(token.token_id, 1, preview), preview)


def test_a_voided_request_gets_no_permit(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    with office.run.db.write() as db:
        approvals.void(db, office.run, company.scope(company.admin), request_id=request.id, reason="stop this")
    with pytest.raises(NotReady):
        ask(office, office.page_seen(token.token_id, 1, b"p"), b"p")
