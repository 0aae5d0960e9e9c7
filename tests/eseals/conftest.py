import io
import itertools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fpdf import FPDF
from PIL import Image, ImageDraw

from server.eseals import ca
from server.eseals.appearance import SealPlace
from server.eseals.normalising import normalise
from server.eseals.sealing import Archive, seal_pdf
from server.eseals.signer import LocalSigner, SealSigner
from server.eseals.stamper import InProcessTimeStamper
from server.eseals.tsa import TimestampAuthority

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def serials() -> Callable[[], bytes]:
    numbers = itertools.count(1)
    return lambda: next(numbers).to_bytes(16)


@dataclass(frozen=True)
class Installation:
    """A seal CA with one seal key and one time-stamp key."""

    root: ca.Authority
    seal: LocalSigner
    tsa: TimestampAuthority

    def crl(self, *revoked: ca.Revocation, now: datetime = NOW) -> x509.CertificateRevocationList:
        return ca.make_crl(self.root, revoked=revoked, number=1, now=now)

    def archive(self) -> Archive:
        return Archive(roots=[self.root.certificate], revocation_lists=[self.crl()])

    def timestamper(self, now: datetime = NOW) -> InProcessTimeStamper:
        return InProcessTimeStamper(self.tsa, clock=lambda: now, serials=serials())


def make_installation(*, demo: bool = True) -> Installation:
    holder = ca.Holder(
        organization="Harbour Trading Ltd", common_name="Company seal", country="ES", organization_identifier="VATES-B1"
    )
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root_holder = ca.Holder(organization="Harbour Trading Ltd", common_name="Seal CA", country="ES")
    root = ca.Authority(
        key=keys[0], certificate=ca.make_root(keys[0], holder=root_holder, now=NOW, serial=bytes(16), demo=demo)
    )
    seal = ca.issue_seal_certificate(root, keys[1].public_key(), holder=holder, now=NOW, serial=b"\x01" * 16)
    tsa_holder = ca.Holder(organization="Harbour Trading Ltd", common_name="Time stamps", country="ES")
    tsa = ca.issue_tsa_certificate(root, keys[2].public_key(), holder=tsa_holder, now=NOW, serial=b"\x02" * 16)
    chain = (root.certificate,)
    return Installation(
        root=root,
        seal=LocalSigner(key=keys[1], certificate=seal, chain=chain),
        tsa=TimestampAuthority(LocalSigner(key=keys[2], certificate=tsa, chain=chain)),
    )


@pytest.fixture(scope="session")
def installation() -> Installation:
    return make_installation()


@pytest.fixture(scope="session")
def artwork() -> bytes:
    """A round red seal, 40 mm at 300 dpi, on transparent ground."""
    image = Image.new("RGBA", (472, 472))
    draw = ImageDraw.Draw(image)
    draw.ellipse((4, 4, 467, 467), outline=(200, 16, 32, 255), width=14)
    draw.regular_polygon((236, 236, 90), 5, fill=(200, 16, 32, 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def make_pdf(pages: int = 1, *, text: str = "Contract 2026-117 over EUR 12,400.00", size: str = "A4") -> bytes:
    pdf = FPDF(format=size)
    pdf.set_creation_date(NOW)
    pdf.set_title("Contract of sale")
    pdf.set_font("Helvetica", size=12)
    for number in range(1, pages + 1):
        pdf.add_page()
        pdf.multi_cell(0, 8, f"Page {number}\n{text}\n" + "The goods are delivered to the harbour.\n" * 12)
    return bytes(pdf.output())


@pytest.fixture(scope="session")
def contract() -> bytes:
    return make_pdf(2)


TRACE_URL = "HTTPS://SEAL.EXAMPLE.COM/V/" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 6
SHORT_CODE = "R7KQ-2M4D-9XTA-C"
PLACE = SealPlace(page=0, x_mm=130, y_mm=70, diameter_mm=42)


@dataclass(frozen=True)
class Sealer:
    """`seal_pdf` with everything filled in that a test does not care about."""

    installation: Installation
    artwork: bytes

    def __call__(
        self,
        pdf: bytes,
        *,
        place: SealPlace = PLACE,
        signer: SealSigner | None = None,
        archive: Archive | None = None,
        certify: bool = True,
    ) -> bytes:
        return seal_pdf(
            pdf,
            signer=signer or self.installation.seal,
            place=place,
            artwork_png=self.artwork,
            trace_url=TRACE_URL,
            short_code=SHORT_CODE,
            timestamper=self.installation.timestamper(),
            now=NOW,
            reason="Request 2026-117, approved by two",
            certify=certify,
            archive=archive,
        )


@pytest.fixture(scope="session")
def seal(installation: Installation, artwork: bytes) -> Sealer:
    return Sealer(installation, artwork)


@pytest.fixture(scope="session")
def document(contract: bytes) -> bytes:
    return normalise(contract)


@pytest.fixture(scope="session")
def sealed(seal: Sealer, document: bytes) -> bytes:
    """A B-T seal, as good as only the ledger's word makes it."""
    return seal(document)


@pytest.fixture(scope="session")
def archived(seal: Sealer, document: bytes, installation: Installation) -> bytes:
    """A B-LTA seal, which proves itself."""
    return seal(document, archive=installation.archive())


@dataclass(frozen=True)
class Tool:
    """One outside program, as a second opinion."""

    folder: Path

    def run(self, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=self.folder, timeout=30)


@pytest.fixture
def tool(tmp_path: Path, installation: Installation) -> Tool:
    (tmp_path / "root.pem").write_bytes(installation.root.certificate.public_bytes(Encoding.PEM))
    return Tool(tmp_path)
