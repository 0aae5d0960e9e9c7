"""Seals and certificates that no longer count, and how everyone hears of it."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509

from firmware_protocol import trace
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.core.trustfile import TrustFile
from server.eseals import authority, service, tasks
from server.eseals.errors import CertificateRevoked, WithdrawnAlready
from server.eseals.offline import verdict_of
from server.eseals.schemas import Order
from server.jobs import service as jobs
from server.ledger import service as ledger
from server.ledger.entry_types import EntryType
from server.verification import code, roots
from tests.eseals.service.conftest import bundle_of, file_of
from tests.server.world import Company


def test_a_withdrawn_seal_is_withdrawn_for_everyone(
    run: Runtime, company: Company, order: Order, into_the_tree: Callable[[], None]
) -> None:
    issued = service.issue(run, order)
    data = file_of(run, company, order)
    before = bundle_of(run)
    with run.db.write() as db:
        gone = service.withdraw(db, run, company.everywhere, eseal_id=issued.id, reason="signed in error")
    into_the_tree()
    assert gone.withdrawn_at == run.now()
    while jobs.run_one(run, owner="test"):
        pass
    after = bundle_of(run)
    assert after.version == before.version + 1
    assert "error" not in "".join(one.reason for one in after.withdrawals)  # the bundle is public, the reason is not
    verdict = verdict_of(data, [after], now=run.now())
    assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("withdrawn",))
    pin = roots.of_bundle(TrustFile(run.settings.home).bundle())
    url = trace.url(issued.trace_code, host="localhost")
    assert code.check_code(url, pins=[pin], now=int(run.now().timestamp())).outcome is code.Outcome.WITHDRAWN
    with run.db.read() as db:
        assert not service.lists_file(db)(issued.sealed_digest)
        entries = ledger.find(db, company.everywhere, entry_type=EntryType.CODE_WITHDRAWN)
    assert len(entries) == 1
    tasks.publish(run, {})
    assert len(bundle_of(run).withdrawals) == 1
    with pytest.raises(WithdrawnAlready), run.db.write() as db:
        service.withdraw(db, run, company.everywhere, eseal_id=issued.id, reason="again")


def test_a_revoked_certificate_stops_sealing_and_keeps_what_was_sealed_before(
    run: Runtime, company: Company, order: Order, clock: FixedClock
) -> None:
    service.issue(run, order)
    data = file_of(run, company, order)
    clock.advance(timedelta(hours=1))
    serial = authority.open_authority(run).seal.certificate.serial_number
    for _ in range(2):
        service.revoke_certificate(run, reason=x509.ReasonFlags.key_compromise)
    (crl,) = [x509.load_der_x509_crl(der) for der in bundle_of(run).crls]
    assert [one.serial_number for one in crl] == [serial]
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    with pytest.raises(CertificateRevoked):
        service.make(run, dataclasses.replace(order, request_id=run.new_id()))
    assert verdict_of(data, [bundle_of(run)], now=run.now()).outcome == "sealed"


def test_a_list_that_wears_out_is_renewed_before_sealing(run: Runtime, order: Order, clock: FixedClock) -> None:
    clock.advance(timedelta(days=250))
    service.issue(run, order)
    (crl,) = [x509.load_der_x509_crl(der) for der in bundle_of(run).crls]
    assert crl.next_update_utc is not None
    assert crl.next_update_utc - run.now() > timedelta(days=399)
