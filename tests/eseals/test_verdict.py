"""The tampering matrix: each attack on a sealed file by name, against the ledger's word and the long-term proof.

The attacker has the file and any tool, but no key of ours. `listed` is the ledger that knows the true files only.
"""

import io
import random
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from server.eseals import ca
from server.eseals.appearance import SealPlace
from server.eseals.refusals import SealingFailed
from server.eseals.sealing import Archive
from server.eseals.signer import LocalSigner
from server.eseals.verdict import SealVerdict, verify_sealed_pdf
from tests.eseals.conftest import NOW, Installation, Sealer, Tool, make_installation, make_pdf
from tests.eseals.test_sealing import signed_parts

LATER = NOW + timedelta(minutes=10)
Judge = Callable[..., SealVerdict]


@pytest.fixture(scope="session")
def listed(sealed: bytes, archived: bytes) -> Callable[[bytes], bool]:
    digests = {sha256(sealed).digest(), sha256(archived).digest()}
    return digests.__contains__


@pytest.fixture(scope="session")
def judge(installation: Installation, listed: Callable[[bytes], bool]) -> Judge:
    """The verdict of somebody who holds the root and asks the ledger; `ledger=False` for one without a ledger."""

    def verdict(pdf: bytes, *, ledger: bool = True, now: object = LATER, lists: tuple = ()) -> SealVerdict:
        return verify_sealed_pdf(
            pdf,
            trusted_roots=[installation.root.certificate],
            known_digests=listed if ledger else None,
            now=now,
            revocation_lists=lists,
        )

    return verdict


def updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """`pdf` with an appended revision, the way a file is changed without breaking the bytes under its seal."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def replace_page_content(writer: IncrementalPdfFileWriter) -> None:
    page = writer.find_page_for_modification(0)[0].get_object()
    drawing = b"BT /F1 24 Tf 72 700 Td (Pay EUR 99,999.00) Tj ET"
    page[pdf_name("/Contents")] = writer.add_object(generic.StreamObject(stream_data=drawing))
    writer.update_container(page)


def replace_appearance(writer: IncrementalPdfFileWriter) -> None:
    widget = writer.root["/AcroForm"]["/Fields"][0]
    appearance = widget["/AP"].raw_get("/N").get_object()
    forged = generic.StreamObject(dict_data=dict(appearance), stream_data=b"1 0 0 rg 0 0 200 100 re f")
    widget["/AP"][pdf_name("/N")] = writer.add_object(forged)
    writer.update_container(widget["/AP"])


def lay_note_over(writer: IncrementalPdfFileWriter) -> None:
    page = writer.find_page_for_modification(0)[0].get_object()
    appearance = generic.StreamObject(
        dict_data={
            pdf_name("/Type"): pdf_name("/XObject"),
            pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 40))),
        },
        stream_data=b"1 g 0 0 200 40 re f",
    )
    note = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/Square"),
            pdf_name("/F"): generic.NumberObject(4),
            pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (60, 700, 260, 740))),
            pdf_name("/AP"): generic.DictionaryObject({pdf_name("/N"): writer.add_object(appearance)}),
        }
    )
    page["/Annots"].append(writer.add_object(note))
    writer.update_container(page["/Annots"])


def add_page(writer: IncrementalPdfFileWriter) -> None:
    tree = writer.root["/Pages"]
    page = generic.DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/Page"),
            pdf_name("/Parent"): writer.root.raw_get("/Pages"),
            pdf_name("/MediaBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 595, 842))),
        }
    )
    tree["/Kids"].append(writer.add_object(page))
    tree[pdf_name("/Count")] = generic.NumberObject(int(tree["/Count"]) + 1)
    writer.update_container(tree["/Kids"])
    writer.update_container(tree)


def swap_page_tree(writer: IncrementalPdfFileWriter) -> None:
    tree = writer.root["/Pages"]
    shadow = generic.DictionaryObject(dict(tree))
    shadow[pdf_name("/Kids")] = generic.ArrayObject([tree["/Kids"].raw_get(1)])
    shadow[pdf_name("/Count")] = generic.NumberObject(1)
    writer.root[pdf_name("/Pages")] = writer.add_object(shadow)
    writer.update_root()


def hide_the_seal(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/AcroForm"]
    writer.update_root()


def fake_second_field(writer: IncrementalPdfFileWriter) -> None:
    fields = writer.root["/AcroForm"]["/Fields"]
    twin = generic.DictionaryObject(dict(fields[0]))
    twin[pdf_name("/T")] = generic.pdf_string("Seal 2")
    fields.append(writer.add_object(twin))
    writer.update_container(fields)


def flip_in_content(pdf: bytes) -> bytes:
    at = pdf.index(b"stream\n") + 20
    return pdf[:at] + bytes((pdf[at] ^ 1,)) + pdf[at + 1 :]


APPENDED = [
    replace_page_content,
    replace_appearance,
    lay_note_over,
    add_page,
    swap_page_tree,
    fake_second_field,
    hide_the_seal,
]


@pytest.mark.parametrize("change", APPENDED, ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ["sealed", "archived"])
def test_what_is_appended_is_found(
    name: str, change: Callable, request: pytest.FixtureRequest, judge: Judge, tool: Tool
) -> None:
    forged = updated(request.getfixturevalue(name), change)
    verdict = judge(forged)
    assert verdict.outcome == "changed"
    assert set(verdict.reasons) <= {"changed_after_sealing", "shared_value", "seal_removed"}
    assert judge(forged, ledger=False).outcome == "changed"
    if change in {replace_page_content, lay_note_over, add_page}:  # what others still call valid
        (tool.folder / "forged.pdf").write_bytes(forged)
        assert b"Signature is Valid" in tool.run("pdfsig", "forged.pdf").stdout


def test_true_files_are_sealed(sealed: bytes, archived: bytes, judge: Judge) -> None:
    verdict = judge(sealed)
    assert (verdict.outcome, verdict.reasons, verdict.level) == ("sealed", ("listed",), "B-T")
    assert verdict.sealed_at == NOW
    assert verdict.signer == "DEMO Harbour Trading Ltd, DEMO Company seal"
    assert verdict.demo
    proven = judge(archived, ledger=False)
    assert (proven.outcome, proven.reasons, proven.level) == ("sealed", ("archived",), "B-LTA")


def test_below_long_term_proof_only_the_ledger_makes_it_sealed(sealed: bytes, judge: Judge) -> None:
    verdict = judge(sealed, ledger=False)
    assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("not_listed",))
    harmless = judge(sealed + b"% one more line\n")
    assert (harmless.outcome, harmless.reasons) == ("cannot_verify", ("not_listed",))


@pytest.mark.parametrize("name", ["sealed", "archived"])
def test_a_flipped_byte_in_the_content_is_found(name: str, request: pytest.FixtureRequest, judge: Judge) -> None:
    verdict = judge(flip_in_content(request.getfixturevalue(name)))
    assert (verdict.outcome, verdict.reasons) == ("changed", ("content_changed",))


def test_no_flipped_bit_anywhere_leaves_a_listed_seal(sealed: bytes, judge: Judge) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for at in rng.sample(range(len(sealed)), 60):
        changed = sealed[:at] + bytes((sealed[at] ^ 1 << rng.randrange(8),)) + sealed[at + 1 :]
        assert judge(changed).outcome != "sealed", f"seed {seed}, byte {at}"


def test_no_flipped_bit_under_a_seal_passes_the_long_term_proof(archived: bytes, judge: Judge) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    covered, _ = signed_parts(archived)
    for at in rng.sample(range(len(covered) // 2), 25):  # the part before the signature
        changed = archived[:at] + bytes((archived[at] ^ 1 << rng.randrange(8),)) + archived[at + 1 :]
        assert judge(changed, ledger=False).outcome != "sealed", f"seed {seed}, byte {at}"


def test_data_hidden_behind_the_signature_is_found(archived: bytes, judge: Judge) -> None:
    at = archived.rindex(b"0000>")
    assert judge(archived[:at] + b"beef" + archived[at + 4 :], ledger=False).outcome == "cannot_verify"


def test_long_term_proof_taken_away_by_an_update(archived: bytes, judge: Judge) -> None:
    def empty_store(writer: IncrementalPdfFileWriter) -> None:
        writer.root[pdf_name("/DSS")] = generic.DictionaryObject()
        writer.update_root()

    def no_store(writer: IncrementalPdfFileWriter) -> None:
        del writer.root["/DSS"]
        writer.update_root()

    for change in (empty_store, no_store):
        assert judge(updated(archived, change), ledger=False).outcome in {"changed", "cannot_verify"}


def test_cut_back_to_before_the_seal(document: bytes, sealed: bytes, judge: Judge) -> None:
    assert judge(sealed[: len(document)]).outcome == "no_seal"


def test_cut_back_to_before_the_long_term_proof(archived: bytes, judge: Judge) -> None:
    first_revision = archived[: archived.index(b"%%EOF", archived.index(b"/ByteRange")) + 6]
    verdict = judge(first_revision)
    assert (verdict.outcome, verdict.reasons, verdict.level) == ("cannot_verify", ("not_listed",), "B-T")


def test_a_resaved_file_has_lost_its_seal(sealed: bytes, judge: Judge) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(sealed)) as pdf:
        pdf.save(out)
    assert judge(out.getvalue()).outcome in {"changed", "cannot_verify"}


def test_a_look_alike_authority_is_unknown(artwork: bytes, document: bytes, judge: Judge) -> None:
    twin = make_installation()
    forged = Sealer(twin, artwork)(document, archive=twin.archive())
    for pdf in (forged, flip_in_content(forged), updated(forged, replace_page_content)):
        verdict = judge(pdf)
        assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("unknown_issuer",))


def test_our_other_certificates_set_no_seals(installation: Installation, seal: Sealer, document: bytes) -> None:
    tsa_key = ec.generate_private_key(ec.SECP256R1())
    holder = ca.Holder(organization="Harbour Trading Ltd", common_name="Company seal", country="ES")
    stamp = ca.issue_tsa_certificate(
        installation.root, tsa_key.public_key(), holder=holder, now=NOW, serial=b"\x09" * 16
    )
    abused = LocalSigner(key=tsa_key, certificate=stamp, chain=installation.seal.chain)
    forged = seal(document, signer=abused)
    verdict = verify_sealed_pdf(
        forged, trusted_roots=[installation.root.certificate], known_digests=lambda _: True, now=LATER
    )
    assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("unknown_issuer",))


def test_a_time_stamp_of_a_stranger_is_not_ours(
    installation: Installation, seal: Sealer, document: bytes, artwork: bytes
) -> None:
    stranger = make_installation()
    mixed = Installation(root=installation.root, seal=installation.seal, tsa=stranger.tsa)
    forged = Sealer(mixed, artwork)(document)
    verdict = verify_sealed_pdf(
        forged, trusted_roots=[installation.root.certificate], known_digests=lambda _: True, now=LATER
    )
    assert (verdict.outcome, verdict.reasons, verdict.sealed_at) == ("cannot_verify", ("timestamp_untrusted",), None)


def test_a_withdrawn_certificate_counts_from_its_withdrawal(
    installation: Installation, sealed: bytes, judge: Judge
) -> None:
    serial = installation.seal.certificate.serial_number
    before = installation.crl(ca.Revocation(serial=serial, at=NOW - timedelta(minutes=1)))
    after = installation.crl(ca.Revocation(serial=serial, at=NOW + timedelta(minutes=5)))
    verdict = judge(sealed, lists=(before,))
    assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("certificate_revoked",))
    assert judge(sealed, lists=(after,)).outcome == "sealed"
    stranger = make_installation().crl(ca.Revocation(serial=serial, at=NOW - timedelta(minutes=1)))
    assert judge(sealed, lists=(stranger,)).outcome == "sealed"


def test_a_stolen_time_stamp_key_proves_no_time_and_a_retired_one_does(
    installation: Installation, sealed: bytes, judge: Judge
) -> None:
    serial, at = installation.tsa.certificates[0].serial_number, NOW + timedelta(minutes=5)
    retired = installation.crl(ca.Revocation(serial=serial, at=at))
    stolen = installation.crl(ca.Revocation(serial=serial, at=at, reason=x509.ReasonFlags.key_compromise))
    assert judge(sealed, lists=(retired,)).outcome == "sealed"
    assert judge(sealed, lists=(stolen,)).reasons == ("timestamp_untrusted",)


@pytest.mark.parametrize("years", [2, 11])
def test_seals_outlive_their_certificate(
    installation: Installation, sealed: bytes, archived: bytes, judge: Judge, years: int
) -> None:
    then = NOW + timedelta(days=365 * years)
    assert judge(sealed, now=then).outcome == "sealed"
    fresh = ca.make_crl(installation.root, revoked=[], number=2, now=then - timedelta(hours=1))
    assert judge(archived, ledger=False, now=then, lists=(fresh,)).outcome == "sealed"
    stale = judge(archived, ledger=False, now=then)
    assert (stale.outcome, stale.reasons) == ("cannot_verify", ("not_listed",))


def test_two_parties_may_seal_one_after_the_other(
    installation: Installation, seal: Sealer, document: bytes, tool: Tool
) -> None:
    first = seal(document, certify=False)
    both = seal(first, certify=False, place=SealPlace(page=1, x_mm=60, y_mm=200, diameter_mm=40))
    known = {sha256(both).digest()}

    def verdict(pdf: bytes) -> SealVerdict:
        return verify_sealed_pdf(
            pdf, trusted_roots=[installation.root.certificate], known_digests=known.__contains__, now=LATER
        )

    assert verdict(both).outcome == "sealed"
    assert verdict(updated(both, replace_page_content)).outcome == "changed"
    assert verdict(updated(both, lay_note_over)).outcome == "changed"
    (tool.folder / "both.pdf").write_bytes(both)
    assert tool.run("pdfsig", "both.pdf").stdout.count(b"Signature is Valid") == 2


def test_files_without_a_seal_are_named(document: bytes, judge: Judge) -> None:
    encrypted = io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as pdf:
        pdf.save(encrypted, encryption=pikepdf.Encryption(owner="o", user="u"))
    expected = {
        document: ("no_seal", ()),
        make_pdf(): ("no_seal", ()),
        b"": ("cannot_verify", ("not_a_pdf",)),
        b"\x89PNG\r\n": ("cannot_verify", ("not_a_pdf",)),
        b"%PDF-1.7\nbroken": ("cannot_verify", ("damaged",)),
        encrypted.getvalue(): ("cannot_verify", ("encrypted",)),
    }
    assert {pdf: (judge(pdf).outcome, judge(pdf).reasons) for pdf in expected} == expected


@settings(max_examples=40, deadline=None)
@given(noise=st.binary(max_size=300), cut=st.integers(0, 1000), keep=st.booleans())
def test_no_bytes_make_it_raise(noise: bytes, cut: int, *, keep: bool) -> None:
    pdf = SAMPLE[: len(SAMPLE) * cut // 1000] + noise + (SAMPLE[len(SAMPLE) * cut // 1000 :] if keep else b"")
    verdict = verify_sealed_pdf(pdf, trusted_roots=[], known_digests=lambda _: True, now=LATER)
    assert verdict.outcome != "sealed"


SAMPLE = make_pdf()


def test_nobody_trusted_means_cannot_verify(sealed: bytes, archived: bytes) -> None:
    for pdf in (sealed, archived):
        verdict = verify_sealed_pdf(pdf, trusted_roots=[], known_digests=lambda _: True, now=LATER)
        assert (verdict.outcome, verdict.reasons) == ("cannot_verify", ("unknown_issuer",))


def test_long_term_proof_needs_a_revocation_list(installation: Installation, seal: Sealer, document: bytes) -> None:
    with pytest.raises(SealingFailed):
        seal(document, archive=Archive(roots=[installation.root.certificate], revocation_lists=[]))
