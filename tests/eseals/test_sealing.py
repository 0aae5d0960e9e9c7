"""Sealed files as other programs see them: pdfsig, OpenSSL, a QR reader, and the eye."""

import io
import re

import numpy as np
import pikepdf
import pytest
import zxingcpp
from cryptography import x509
from PIL import Image

from server.eseals import ca
from server.eseals.appearance import SealPlace
from server.eseals.normalising import images_to_pdf, normalise
from server.eseals.pages import render_page, render_page_png
from server.eseals.refusals import BadArtwork, PlaceOutsidePage, SealingFailed, TimestampRefused
from server.eseals.sealing import seal_pdf
from server.eseals.stamper import InProcessTimeStamper
from tests.eseals.conftest import (
    NOW,
    PLACE,
    SHORT_CODE,
    TRACE_URL,
    Installation,
    Sealer,
    Tool,
    make_pdf,
    serials,
)


def signed_parts(pdf: bytes) -> tuple[bytes, bytes]:
    """(the bytes under the first seal, its CMS), taken from the raw file as an outsider would."""
    start, one, two, rest = (int(n) for n in re.search(rb"/ByteRange\s*\[(\d+) (\d+) (\d+) (\d+)", pdf).groups())
    cms = bytes.fromhex(pdf[one + 1 : two - 1].decode("ascii"))
    return pdf[start:one] + pdf[two : two + rest], cms


def read_code(pdf: bytes, page: int = 0, dpi: int = 200) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(render_page(pdf, page, dpi))]


@pytest.mark.parametrize("name", ["sealed", "archived"])
def test_pdfsig_sees_a_valid_signature(name: str, request: pytest.FixtureRequest, tool: Tool) -> None:
    (tool.folder / "sealed.pdf").write_bytes(request.getfixturevalue(name))
    said = tool.run("pdfsig", "sealed.pdf").stdout.decode()
    assert "Signature Validation: Signature is Valid." in said
    assert "Signer Certificate Common Name: DEMO Company seal" in said
    assert "ETSI.CAdES.detached" in said
    if name == "sealed":
        assert "- Total document signed" in said


def test_openssl_verifies_the_signature_over_the_bytes(sealed: bytes, tool: Tool) -> None:
    content, cms = signed_parts(sealed)
    (tool.folder / "content").write_bytes(content)
    (tool.folder / "cms").write_bytes(cms)
    at = str(int(NOW.timestamp()))
    verify = ("openssl", "cms", "-verify", "-inform", "DER", "-in", "cms", "-content", "content", "-binary")
    result = tool.run(*verify, "-CAfile", "root.pem", "-purpose", "any", "-attime", at, "-out", "out")
    assert b"Verification successful" in result.stderr
    (tool.folder / "content").write_bytes(content[:-1] + b"\x00")
    changed = tool.run(*verify, "-CAfile", "root.pem", "-purpose", "any", "-attime", at, "-out", "out")
    assert b"Verification successful" not in changed.stderr


@pytest.mark.parametrize("dpi", [150, 200, 300])
def test_the_code_is_read_from_the_sealed_page(sealed: bytes, dpi: int) -> None:
    assert read_code(sealed, dpi=dpi) == [TRACE_URL]


def test_sealing_only_appends_and_the_rest_of_the_page_stays(document: bytes, sealed: bytes) -> None:
    assert sealed.startswith(document)
    before, after = render_page(document, 0, 100).copy(), render_page(sealed, 0, 100).copy()
    rows, columns = np.nonzero(before != after)
    mm = 25.4 / 100
    assert abs(rows.mean() * mm - PLACE.y_mm) < 4
    left, right = columns.min() * mm, columns.max() * mm
    assert left == pytest.approx(PLACE.x_mm - PLACE.diameter_mm / 2, abs=0.6)
    before[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 255
    after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 255
    assert np.array_equal(before, after)
    assert right < 210
    assert np.array_equal(render_page(document, 1, 100), render_page(sealed, 1, 100))


def test_text_under_the_seal_shows_through_and_under_the_code_does_not(seal: Sealer, document: bytes) -> None:
    over_text = seal(document, place=SealPlace(page=0, x_mm=40, y_mm=60, diameter_mm=40))
    assert read_code(over_text) == [TRACE_URL]
    colours = np.asarray(Image.open(io.BytesIO(render_page_png(over_text, 0, 150))).convert("RGB")).astype(int)
    mm = 150 / 25.4
    inside = colours[int(42 * mm) : int(78 * mm), int(22 * mm) : int(58 * mm)]
    assert (inside.sum(axis=2) < 120).any()  # black letters are still there
    assert ((inside[..., 0] > 180) & (inside[..., 1] < 40)).any()  # and so is the ink


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_the_seal_stands_upright_at_its_place_on_a_turned_page(seal: Sealer, document: bytes, angle: int) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(document)) as pdf:
        pdf.pages[0].rotate(angle, relative=False)
        pdf.pages[0].CropBox = pikepdf.Array([20, 30, 575, 800])
        pdf.save(out)
    place = SealPlace(page=0, x_mm=60, y_mm=50, diameter_mm=30)
    turned = seal(normalise(out.getvalue()), place=place)
    found = zxingcpp.read_barcodes(render_page(turned, 0, 200))
    assert [one.text for one in found] == [TRACE_URL]
    assert abs(found[0].orientation) <= 1
    mm = 200 / 25.4
    corner = found[0].position.top_left
    assert corner.x / mm == pytest.approx(60 + 15 + 3 + 4 * 5 * 25.4 / 300, abs=1)
    assert 30 < corner.y / mm < 60


def test_a_picture_of_a_document_can_be_sealed(seal: Sealer) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((1240, 1754)).convert("RGB").save(out, "JPEG")
    assert read_code(seal(normalise(images_to_pdf(out.getvalue())))) == [TRACE_URL]


def test_opaque_artwork_looks_like_transparent_artwork(seal: Sealer, sealed: bytes, document: bytes) -> None:
    white = Image.new("RGBA", (472, 472), "white")
    white.alpha_composite(Image.open(io.BytesIO(seal.artwork)))
    out = io.BytesIO()
    white.convert("RGB").save(out, "PNG")
    opaque = Sealer(seal.installation, out.getvalue())(document)
    one, other = (np.asarray(render_page(pdf, 0, 100)).astype(int) for pdf in (sealed, opaque))
    assert np.abs(one - other).max() <= 24


@pytest.mark.parametrize(
    "place",
    [
        SealPlace(page=0, x_mm=5, y_mm=100, diameter_mm=42),
        SealPlace(page=0, x_mm=100, y_mm=290, diameter_mm=42),
        SealPlace(page=9, x_mm=100, y_mm=100, diameter_mm=42),
        SealPlace(page=-1, x_mm=100, y_mm=100, diameter_mm=42),
        SealPlace(page=0, x_mm=100, y_mm=100, diameter_mm=4),
    ],
)
def test_a_place_that_does_not_fit_is_refused(seal: Sealer, document: bytes, place: SealPlace) -> None:
    with pytest.raises(PlaceOutsidePage):
        seal(document, place=place)


@pytest.mark.parametrize("x_mm", [25, 105, 185])
def test_the_code_finds_room_on_either_side(seal: Sealer, document: bytes, x_mm: float) -> None:
    assert read_code(seal(document, place=SealPlace(page=1, x_mm=x_mm, y_mm=270, diameter_mm=40)), page=1) == [
        TRACE_URL
    ]


def test_bad_artwork_and_bad_documents_are_said(installation: Installation, seal: Sealer, document: bytes) -> None:
    with pytest.raises(BadArtwork):
        Sealer(installation, b"not a picture")(document)
    for bad in (b"", b"hello", document[: len(document) // 2]):
        with pytest.raises(SealingFailed):
            seal(bad)


def test_a_refused_time_stamp_sets_no_seal(installation: Installation, seal: Sealer, document: bytes) -> None:
    class Refusing:
        def stamp(self, *_: object, **__: object) -> bytes:
            return REJECTION

    stamper = InProcessTimeStamper(Refusing(), clock=lambda: NOW, serials=serials())
    with pytest.raises(TimestampRefused):
        seal_pdf(
            document,
            signer=installation.seal,
            place=PLACE,
            artwork_png=seal.artwork,
            trace_url=TRACE_URL,
            short_code=SHORT_CODE,
            timestamper=stamper,
            now=NOW,
            reason="",
        )


REJECTION = bytes.fromhex("3009300702010203020520")  # status rejection, failInfo badRequest; RFC 3161 section 2.4.2


def test_a_certified_document_takes_no_second_seal(seal: Sealer, sealed: bytes) -> None:
    with pytest.raises(SealingFailed):
        seal(sealed)


def test_certificates_say_who_and_demo(installation: Installation) -> None:
    leaf = installation.seal.certificate
    assert ca.is_demo(leaf)
    assert ca.is_demo(installation.root.certificate)
    assert leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_IDENTIFIER)[0].value == "VATES-B1"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {one.dotted_string for one in usage} == {"1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4"}
    for serial in (bytes(7), bytes(20)):
        with pytest.raises(ValueError, match="8 to 19"):
            ca.serial_number(serial)


def test_equal_input_gives_equal_certificates(installation: Installation) -> None:
    holder = ca.Holder(organization="A", common_name="B", country="ES")
    one, two = (
        ca.make_root(installation.root.key, holder=holder, now=NOW, serial=b"\x05" * 16, demo=False) for _ in range(2)
    )
    assert one == two
    assert not ca.is_demo(one)


def test_a_long_document_is_sealed_on_its_last_page(seal: Sealer) -> None:
    many = normalise(make_pdf(60))
    assert read_code(seal(many, place=SealPlace(page=59, x_mm=100, y_mm=200, diameter_mm=40)), page=59) == [TRACE_URL]
