"""Pairing: six digits both sides compute, a person's yes, the device's own signed word; nothing less enrols."""

from datetime import timedelta

import pytest

from firmware_protocol import pairing
from firmware_protocol.events import Paired
from firmware_protocol.orders import Terms
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.devices import service
from server.devices.errors import BadEvent, KeyIdTaken, NoSuchPairing, PairingOver
from server.devices.schemas import DeviceState, GatewayMade, PairingDeviceIn, PairingState, PairingTerms
from tests.fixtures.databases import on_both
from tests.server.office import DEVICE_ID, Key, Office, Pen
from tests.server.world import Company

pytestmark = on_both

NONCE = bytes(range(16))


class Try:
    """One pairing from the gateway's side, step by step."""

    def __init__(self, run: Runtime, gateway: GatewayMade, key: Key, *, device_id: str = "MAD-0009") -> None:
        self.run, self.gateway, self.key, self.device_id = run, gateway.gateway, key, device_id
        with run.db.write() as db:
            opened = service.start_pairing(db, run, self.gateway, device_id=device_id)
        self.id, self.commitment = opened.pairing_id, opened.commitment

    def answer(self, key: Key | None = None) -> Terms:
        said = PairingDeviceIn(
            device_id=self.device_id,
            public_key=(key or self.key).public_key.hex(),
            nonce=NONCE.hex(),
            generation=1,
        )
        with self.run.db.write() as db:
            out: PairingTerms = service.device_answer(db, self.run, self.gateway, pairing_id=self.id, said=said)
        return Terms(**out.terms.model_dump())

    def confirm(self, company: Company) -> None:
        with self.run.db.write() as db:
            service.confirm_pairing(db, self.run, company.scope(company.admin), pairing_id=self.id)

    def state(self) -> PairingState:
        with self.run.db.read() as db:
            return service.pairing_status(db, self.run, self.gateway, pairing_id=self.id)

    def paired(self, terms: Terms, *, signer: Key | None = None) -> bytes:
        return Pen(self.device_id, signer or self.key).write(
            Paired(
                installation_id=terms.installation_id,
                terms_digest=pairing.commitment(terms),
                root_key=terms.root_key,
                public_key=self.key.public_key,
            )
        )

    def bring(self, event: bytes) -> PairingState:
        with self.run.db.write() as db:
            return service.pairing_event(db, self.run, self.gateway, pairing_id=self.id, event=event)


@pytest.fixture
def attempt(run: Runtime, gateway: GatewayMade) -> Try:
    return Try(run, gateway, Key(b"\x05" * 32))


def test_both_sides_see_the_same_six_digits(attempt: Try, company: Company, run: Runtime) -> None:
    terms = attempt.answer()
    assert pairing.commitment(terms) == attempt.commitment
    with run.db.read() as db:
        (shown,) = service.open_pairings(db, run, company.scope(company.admin))
    assert shown.digits == pairing.digits(
        terms, device_id=attempt.device_id, device_key=attempt.key.public_key, device_nonce=NONCE
    )


def test_confirmed_and_signed_is_enrolled_and_not_before(attempt: Try, company: Company, run: Runtime) -> None:
    terms = attempt.answer()
    assert attempt.bring(attempt.paired(terms)) is PairingState.WAITING
    attempt.confirm(company)
    assert attempt.state() is PairingState.CONFIRMED
    with pytest.raises(BadEvent):
        attempt.bring(attempt.paired(terms, signer=Key(b"\x06" * 32)))
    assert attempt.bring(attempt.paired(terms)) is PairingState.ENROLLED
    with run.db.read() as db:
        assert service.device(db, company.everywhere, attempt.device_id).state is DeviceState.ACTIVE


def test_a_device_that_took_other_terms_is_not_enrolled(attempt: Try, company: Company) -> None:
    terms = attempt.answer()
    attempt.confirm(company)
    other = Terms(**{name: getattr(terms, name) for name in Terms.__slots__} | {"server_nonce": bytes(16)})
    assert attempt.bring(attempt.paired(other)) is PairingState.CONFIRMED


def test_a_known_key_is_refused(office: Office, run: Runtime) -> None:
    with pytest.raises(KeyIdTaken):
        Try(run, office.gateway, office.pen.key).answer()
    with pytest.raises(KeyIdTaken):  # the same generation of a paired device, with a fresh key
        Try(run, office.gateway, Key(b"\x07" * 32), device_id=DEVICE_ID).answer()


def test_a_second_key_in_one_pairing_is_refused(attempt: Try) -> None:
    attempt.answer()
    with pytest.raises(PairingOver):
        attempt.answer(Key(b"\x08" * 32))


def test_the_window_closes(attempt: Try, company: Company, clock: FixedClock) -> None:
    attempt.answer()
    clock.advance(timedelta(seconds=pairing.WINDOW_S))
    assert attempt.state() is PairingState.EXPIRED
    with pytest.raises(PairingOver):
        attempt.confirm(company)


def test_another_branch_cannot_confirm(attempt: Try, company: Company, run: Runtime) -> None:
    attempt.answer()
    with pytest.raises(NoSuchPairing), run.db.write() as db:
        service.confirm_pairing(db, run, company.scope(company.stranger), pairing_id=attempt.id)


def test_no_answer_no_confirmation(attempt: Try, company: Company) -> None:
    with pytest.raises(PairingOver):
        attempt.confirm(company)


def test_the_digits_differ(attempt: Try, company: Company, run: Runtime) -> None:
    attempt.answer()
    with run.db.write() as db:
        service.refuse_pairing(db, run, company.scope(company.admin), pairing_id=attempt.id)
    assert attempt.state() is PairingState.REFUSED
