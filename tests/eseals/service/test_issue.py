"""The electronic seal as a business step: an approved document goes in, a sealed file with an entry comes out."""

import dataclasses
import io
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pikepdf
import pytest
import zxingcpp

from firmware_protocol import trace
from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.core.trustfile import TrustFile
from server.eseals import authority, service
from server.eseals.errors import NotSealed
from server.eseals.offline import verdict_of
from server.eseals.pages import render_page
from server.eseals.schemas import Order
from server.ledger import entry_codec
from server.ledger import service as ledger
from server.ledger.entry_types import EntryType
from server.seals import service as seals
from server.seals.errors import SealNotActive
from server.seals.schemas import SealState
from server.verification import code, roots
from tests.eseals.service.conftest import bundle_of, file_of, order_of, stored
from tests.server.world import START, Company, contract_pdf


def test_the_approved_bytes_are_the_beginning_of_the_sealed_file(
    run: Runtime, company: Company, order: Order, document: bytes
) -> None:
    issued = service.issue(run, order)
    data = file_of(run, company, order)
    assert data.startswith(document)
    assert sha256(data).digest() == issued.sealed_digest
    assert (issued.level, issued.document_digest) == ("B-LTA", sha256(document).digest())


def test_pdfsig_sees_a_valid_signature(run: Runtime, company: Company, order: Order, tmp_path: Path) -> None:
    service.issue(run, order)
    (tmp_path / "sealed.pdf").write_bytes(file_of(run, company, order))
    said = subprocess.run(["pdfsig", "sealed.pdf"], cwd=tmp_path, capture_output=True, check=False, timeout=30).stdout
    assert b"Signature Validation: Signature is Valid." in said
    assert b"Signer Certificate Common Name: DEMO Cinnabar electronic seal" in said


def test_the_entry_names_file_document_code_and_certificate(
    run: Runtime, company: Company, order: Order, into_the_tree: Callable[[], None]
) -> None:
    issued = service.issue(run, order)
    into_the_tree()
    with run.db.read() as db:
        by_file = ledger.find(db, company.everywhere, ref=f"sealed:{issued.sealed_digest.hex()}")
        by_code = ledger.find(db, company.everywhere, ref=f"code:{issued.short_code}")
        assert ledger.proof(db, issued.leaf_hash) is not None
    (found,) = by_file
    assert [one.leaf_hash for one in by_code] == [issued.leaf_hash]
    assert found.entry_type == EntryType.ESEAL_ISSUED
    public = entry_codec.peek(found.leaf).public
    certificate = authority.open_authority(run).seal.certificate
    assert public["sealed_digest"] == issued.sealed_digest
    assert public["document_digest"] == order.document_digest
    assert public["trace_code"] == issued.trace_code
    assert public["certificate_digest"] == certificate.fingerprint(certificate.signature_hash_algorithm)
    assert issued.certificate_serial == f"{certificate.serial_number:x}"


def test_the_verdict_needs_no_ledger_while_the_long_term_proof_is_there(
    run: Runtime, company: Company, order: Order, into_the_tree: Callable[[], None]
) -> None:
    service.issue(run, order)
    data = file_of(run, company, order)
    alone = verdict_of(data, [bundle_of(run)], now=run.now())
    assert (alone.outcome, alone.reasons, alone.level, alone.demo) == ("sealed", ("archived",), "B-LTA", True)
    assert alone.sealed_at == START
    into_the_tree()
    with run.db.read() as db:
        listed = verdict_of(data, [bundle_of(run)], now=run.now(), known_digests=service.lists_file(db))
    assert listed.reasons == ("listed", "archived")


def test_below_the_long_term_proof_only_the_listed_file_is_sealed(
    run: Runtime, company: Company, order: Order, into_the_tree: Callable[[], None]
) -> None:
    service.issue(run, order)
    into_the_tree()
    data = file_of(run, company, order)
    stripped = data[: data.index(b"%%EOF", data.index(b"/ByteRange")) + 6]
    with run.db.read() as db:
        verdict = verdict_of(stripped, [bundle_of(run)], now=run.now(), known_digests=service.lists_file(db))
    assert (verdict.outcome, verdict.reasons, verdict.level) == ("cannot_verify", ("not_listed",), "B-T")
    entry_says = verdict_of(stripped, [bundle_of(run)], now=run.now(), known_digests=lambda _digest: True)
    assert (entry_says.outcome, entry_says.reasons) == ("sealed", ("listed",))


def test_an_entry_counts_only_once_it_is_in_the_tree(
    run: Runtime, order: Order, into_the_tree: Callable[[], None]
) -> None:
    issued = service.issue(run, order)
    with run.db.read() as db:
        assert not service.lists_file(db)(issued.sealed_digest)
    into_the_tree()
    with run.db.read() as db:
        assert service.lists_file(db)(issued.sealed_digest)
        assert not service.lists_file(db)(order.document_digest)


def test_a_flipped_byte_is_noticed(run: Runtime, company: Company, order: Order) -> None:
    service.issue(run, order)
    data = bytearray(file_of(run, company, order))
    data[data.index(b"stream") + 20] ^= 1
    verdict = verdict_of(bytes(data), [bundle_of(run)], now=run.now())
    assert (verdict.outcome, verdict.reasons) == ("changed", ("content_changed",))


def test_another_installations_bundle_vouches_for_nothing(run: Runtime, company: Company, order: Order) -> None:
    service.issue(run, order)
    stranger = dataclasses.replace(bundle_of(run), anchor=dataclasses.replace(bundle_of(run).anchor, authorities=()))
    verdict = verdict_of(file_of(run, company, order), [stranger], now=run.now())
    assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("unknown_issuer",))


def test_the_code_on_the_page_verifies_offline(run: Runtime, company: Company, order: Order) -> None:
    issued = service.issue(run, order)
    page = render_page(file_of(run, company, order), 0, 200)
    (text,) = [found.text for found in zxingcpp.read_barcodes(page)]
    assert trace.parse_url(text) == issued.trace_code
    pin = roots.of_bundle(TrustFile(run.settings.home).bundle())
    verdict = code.check_code(text, pins=[pin], now=int(run.now().timestamp()))
    assert (verdict.outcome, verdict.device_id, verdict.counter) == (code.Outcome.KNOWN, "", 0)
    assert verdict.document_starts == order.document_digest[:16].hex()
    assert verdict.short_code == issued.short_code
    read = trace.verify(issued.trace_code, keys=bundle_of(run).keys_for(Purpose.TRACE))
    assert (read.use, read.head) == (issued.id.bytes[:8], company.seal.id.bytes[:4])


def test_asking_twice_gives_the_same_file(run: Runtime, company: Company, order: Order) -> None:
    first = service.issue(run, order)
    data = file_of(run, company, order)
    assert service.issue(run, order) == first
    assert file_of(run, company, order) == data


def test_the_slower_of_two_takes_the_faster_ones_seal(run: Runtime, order: Order) -> None:
    mine, theirs = service.make(run, order), service.make(run, order)
    with run.db.write() as db:
        first = service.keep(db, run, theirs)
    with run.db.write() as db:
        assert service.keep(db, run, mine) == first
    with run.db.read() as db:
        assert len(service.eseals(db, Scope.system(order.tenant_id))) == 1


@pytest.mark.parametrize("state", [SealState.SUSPENDED, SealState.DISPUTED, SealState.DESTROYED])
def test_a_seal_out_of_use_seals_nothing(run: Runtime, company: Company, order: Order, state: SealState) -> None:
    with run.db.write() as db:
        seals.set_state(db, run, company.everywhere, seal_id=company.seal.id, state=state, reason="stolen artwork")
    with pytest.raises(SealNotActive):
        service.issue(run, order)
    with run.db.read() as db:
        assert service.eseals(db, company.everywhere) == []


def test_a_seal_suspended_meanwhile_is_noticed_before_anything_is_kept(
    run: Runtime, company: Company, order: Order
) -> None:
    made = service.make(run, order)
    with run.db.write() as db:
        seals.set_state(db, run, company.everywhere, seal_id=company.seal.id, state=SealState.SUSPENDED, reason="lost")
    with pytest.raises(SealNotActive), run.db.write() as db:
        service.keep(db, run, made)


def encrypted() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(contract_pdf())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="owner", user="user"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (encrypted, "encrypted_document"),
        (lambda: b"%PDF-1.7\nnothing", "broken_document"),
        (lambda: b"no pdf at all", "not_a_document"),
    ],
)
def test_what_may_not_be_sealed_is_a_problem(
    run: Runtime, company: Company, make: Callable[[], bytes], problem: str
) -> None:
    bad = order_of(run, company, stored(run, company, make()))
    with pytest.raises(NotSealed) as refused:
        service.issue(run, bad)
    assert refused.value.code == problem
    assert 400 <= refused.value.status < 500
    assert refused.value.text(refused.value.happened)
    with run.db.read() as db:
        assert service.of_request(db, company.everywhere, bad.request_id) is None


def test_a_place_that_does_not_fit_is_a_problem(run: Runtime, order: Order) -> None:
    with pytest.raises(NotSealed) as refused:
        service.issue(run, dataclasses.replace(order, x_mm=3))
    assert refused.value.code == "place_outside_page"
