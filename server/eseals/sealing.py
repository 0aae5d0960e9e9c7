"""Setting an electronic seal: PAdES with a time stamp, a visible seal, and every later change forbidden.

The document must be normalised first. Sealing only appends: the bytes given are the first bytes of the result, so the
content of every page stays as it was approved.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import AxisAlignment, InnerScaling, Margins, SimpleBoxLayoutRule
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.sign import fields, signers
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko.sign.timestamps import TimeStamper, TimestampRequestError
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from server.eseals.appearance import SealPicture, SealPlace, draw_seal
from server.eseals.refusals import PlaceOutsidePage, SealingFailed, TimestampRefused
from server.eseals.signer import SealSigner

FIELD_NAME: Final = "Seal {number}"
SIGNATURE_BYTES: Final = 72
"""Longest DER signature of P-256."""

_MM_PER_POINT: Final = 25.4 / 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What long-term verification needs inside the file: with it the seal is PAdES-B-LTA, without it B-T."""

    roots: Sequence[x509.Certificate]
    revocation_lists: Sequence[x509.CertificateRevocationList]


def seal_pdf(
    pdf: bytes,
    *,
    signer: SealSigner,
    place: SealPlace,
    artwork_png: bytes,
    trace_url: str,
    short_code: str,
    timestamper: TimeStamper,
    now: datetime,
    reason: str,
    certify: bool = True,
    archive: Archive | None = None,
) -> bytes:
    """The sealed PDF: `pdf` with an appended revision. `now` is aware. Keep one `timestamper` for many seals.

    `certify` forbids every later change (DocMDP P1), right for a single party; without it later seals can be added.
    Raises: PlaceOutsidePage, BadArtwork, TimestampRefused, SealingFailed.
    """
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        page = _page_shape(writer, place.page)
        picture = draw_seal(artwork_png, place=place, page_mm=page.seen_mm, trace_url=trace_url, short_code=short_code)
        field = FIELD_NAME.format(number=len(writer.prev.embedded_regular_signatures) + 1)
        sealer = _Sealer(
            _metadata(signer, field=field, reason=reason, certify=certify, archive=archive, now=now),
            _CmsSigner(signer),
            timestamper=timestamper,
            stamp_style=_style(picture.image, rotation=page.rotation),
            new_field_spec=fields.SigFieldSpec(field, on_page=place.page, box=page.box(picture)),
            now=now,
        )
        sealed: bytes = sealer.sign_pdf(writer).getvalue()
    except TimestampRequestError as error:
        raise TimestampRefused from error
    except (SigningError, PdfError, ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise SealingFailed from error
    return sealed


@dataclass(frozen=True, slots=True)
class _PageShape:
    """The visible box of a page in its own points, and how far it is turned clockwise when shown."""

    left: float
    bottom: float
    right: float
    top: float
    rotation: int

    @property
    def seen_mm(self) -> tuple[float, float]:
        width = (self.right - self.left) * _MM_PER_POINT
        height = (self.top - self.bottom) * _MM_PER_POINT
        return (height, width) if self.rotation in {90, 270} else (width, height)

    def box(self, picture: SealPicture) -> tuple[int, int, int, int]:
        """The rectangle of `picture` in whole page points, lower-left corner first."""
        x0, y0, x1, y1 = (round(edge) for edge in self._box(picture))
        return x0, y0, x1, y1

    def _box(self, picture: SealPicture) -> tuple[float, float, float, float]:
        x0, y0 = picture.left_mm / _MM_PER_POINT, picture.top_mm / _MM_PER_POINT
        x1, y1 = x0 + picture.width_mm / _MM_PER_POINT, y0 + picture.height_mm / _MM_PER_POINT
        match self.rotation:
            case 0:
                return self.left + x0, self.top - y1, self.left + x1, self.top - y0
            case 90:
                return self.left + y0, self.bottom + x0, self.left + y1, self.bottom + x1
            case 180:
                return self.right - x1, self.bottom + y0, self.right - x0, self.bottom + y1
            case _:
                return self.right - y1, self.top - x1, self.right - y0, self.top - x0


class _CmsSigner(signers.Signer):
    """A `SealSigner` as pyHanko asks for it: the key is loaded once, by whoever made the `SealSigner`."""

    def __init__(self, signer: SealSigner) -> None:
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([_asn1(certificate) for certificate in signer.chain])
        super().__init__(signing_cert=_asn1(signer.certificate), cert_registry=store)
        self._signer = signer

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: FBT001, FBT002 - pyHanko's signature
        if digest_algorithm != "sha256":
            raise SigningError(f"seal keys sign SHA-256, not {digest_algorithm}")
        return bytes(SIGNATURE_BYTES) if dry_run else self._signer.sign(data)


class _Sealer(signers.PdfSigner):
    """pyHanko's signer with the time handed in instead of read from the machine."""

    def __init__(self, *args: Any, now: datetime, **options: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*args, **options)
        self._now = now

    def init_signing_session(self, pdf_out: Any, existing_fields_only: bool = False) -> PdfSigningSession:  # noqa: ANN401, FBT001, FBT002 - pyHanko's signature
        session = super().init_signing_session(pdf_out, existing_fields_only=existing_fields_only)
        session.system_time = self._now
        return session


def _metadata(
    signer: SealSigner, *, field: str, reason: str, certify: bool, archive: Archive | None, now: datetime
) -> signers.PdfSignatureMetadata:
    context = None
    if archive is not None:
        context = ValidationContext(
            trust_roots=[_asn1(root) for root in archive.roots],
            other_certs=[_asn1(certificate) for certificate in signer.chain],
            crls=[crl.public_bytes(Encoding.DER) for crl in archive.revocation_lists],
            allow_fetching=False,
            revocation_mode="require",
            moment=now,
        )
    return signers.PdfSignatureMetadata(
        field_name=field,
        md_algorithm="sha256",
        reason=reason,
        name=_common_name(signer.certificate),
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=certify,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES if certify else fields.MDPPerm.FILL_FORMS,
        embed_validation_info=archive is not None,
        use_pades_lta=archive is not None,
        validation_context=context,
        signer_key_usage={"digital_signature"},
    )


def _style(image: Image.Image, *, rotation: int) -> StaticStampStyle:
    turned = image.transpose(_UPRIGHT[rotation]) if rotation in _UPRIGHT else image
    whole = SimpleBoxLayoutRule(
        x_align=AxisAlignment.ALIGN_MIN,
        y_align=AxisAlignment.ALIGN_MIN,
        margins=Margins(),
        inner_content_scaling=InnerScaling.STRETCH_FILL,
    )
    background = PdfImage(turned, name="Seal")
    return StaticStampStyle(border_width=0, background=background, background_layout=whole, background_opacity=1.0)


_UPRIGHT: Final = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""A page shown turned clockwise needs its picture turned the other way; Pillow turns anticlockwise."""


def _page_shape(writer: IncrementalPdfFileWriter, index: int) -> _PageShape:
    """Raises: PlaceOutsidePage, PdfError."""
    if not 0 <= index < int(writer.prev.root["/Pages"]["/Count"]):
        raise PlaceOutsidePage(diameter_mm="?")
    page: Any = writer.find_page_for_modification(index)[0].get_object()  # type: ignore[no-untyped-call]
    media = _inherited(page, "/MediaBox")
    box = _inherited(page, "/CropBox") or media
    left, bottom, right, top = (float(edge) for edge in box)
    rotation = int(_inherited(page, "/Rotate") or 0) % 360  # a multiple of 90 (ISO 32000-2 table 31)
    return _PageShape(min(left, right), min(bottom, top), max(left, right), max(bottom, top), rotation)


def _inherited(page: Any, key: str) -> Any:  # noqa: ANN401 - any PDF object
    """A page attribute, from the page or the nearest of its parents (ISO 32000-2 section 7.7.3.4)."""
    for _ in range(64):
        if key in page:
            return page[key]
        if "/Parent" not in page:
            return None
        page = page["/Parent"]
    return None


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
