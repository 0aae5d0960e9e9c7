"""Paper for the inspection tests: pages made here, and a camera that spoils them by a stated amount.

Everything is drawn from a seeded numpy generator, so a failing case is found again from its seed.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pypdfium2 as pdfium
from fpdf import FPDF
from numpy.typing import NDArray

from server.inspection.vision.page import ApprovedPage, WordBox

Grey = NDArray[np.uint8]
DPI = 200
MM = DPI / 25.4

CLAUSES = (
    (
        "1. Subject. The Supplier sells and the Buyer takes over the goods listed below, delivered at the Buyer's "
        "yard in Valencia, free of charges and in the packing agreed on 14 March 2026."
    ),
    (
        "2. Price. The price of the goods is EUR {price} net of taxes, payable in two parts: EUR {first} within 30 "
        "days of the signature and EUR {second} on delivery. Account ES91 2100 0418 4502 0005 1332."
    ),
    (
        "3. Delivery. The goods leave the works no later than 27 June 2026. For each week of delay the Supplier owes "
        "0.5 % of the price, up to a ceiling of 5 %."
    ),
    (
        "4. Warranty. The Supplier answers for faults of material and make for 24 months from the delivery. Faults are "
        "told in writing within 15 days after they were seen."
    ),
    (
        "5. Confidence. Each party keeps to itself what it learns of the other in the course of this contract, for "
        "five years after its end."
    ),
    (
        "6. Law. This contract is under Spanish law; the courts of Valencia decide all disputes that arise from it. "
        "Changes of this contract are made in writing only and signed by both parties."
    ),
)
ROWS = (
    ("Pump, cast iron, DN 80", "12", "1,840.00", "22,080.00"),
    ("Valve, brass, DN 50", "96", "73.50", "7,056.00"),
    ("Flange set, steel", "148", "19.75", "2,923.00"),
    ("Gauge 0-16 bar", "36", "41.20", "1,483.20"),
    ("Control cabinet type K7", "3", "5,619.60", "16,858.80"),
)
WORDS = tuple(dict.fromkeys(word for clause in CLAUSES for word in clause.replace(".", "").split() if word.isalpha()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a test page says; change a field and only that changes on the paper."""

    price: str = "50,401.00"
    first: str = "20,160.40"
    second: str = "30,240.60"
    clauses: tuple[str, ...] = CLAUSES
    rows: tuple[tuple[str, str, str, str], ...] = ROWS
    size: float = 10.0
    font: str = "Times"
    added: str = ""
    title: str = "CONTRACT OF SALE No. 2026/0713"

    def pdf(self) -> bytes:
        pdf = FPDF(format="A4")
        pdf.set_margin(22)
        pdf.add_page()
        pdf.set_font(self.font, "B", self.size + 5)
        pdf.cell(0, 12, self.title, new_x="LMARGIN", new_y="NEXT", align="C")
        for clause in self.clauses:
            pdf.set_font(self.font, "", self.size)
            text = clause.format(price=self.price, first=self.first, second=self.second)
            pdf.multi_cell(0, self.size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
            pdf.ln(2.2)
        for row in self.rows:
            for width, cell in zip((76, 20, 34, 36), row, strict=True):
                pdf.cell(width, 7, cell, border=1, align="L" if width == 76 else "R")
            pdf.ln(7)
        pdf.set_y(250)
        pdf.cell(80, 6, "For the Supplier, 2 April 2026")
        pdf.cell(80, 6, "For the Buyer, 2 April 2026")
        if self.added:
            pdf.set_xy(30, 228)
            pdf.cell(0, 6, self.added)
        return bytes(pdf.output())


def unrelated(seed: int, *, size: float = 10.0) -> Contract:
    """Another page: the same letter-head style, other words."""
    rng = np.random.default_rng(seed)
    clauses = tuple(
        f"{i}. " + " ".join(str(w) for w in rng.choice(WORDS, 26)) + f" {rng.integers(100, 99999)}."
        for i in range(1, 7)
    )
    return Contract(clauses=clauses, rows=ROWS[:1], title=f"MINUTES No. {seed}", size=size)


def render(pdf: bytes, *, dpi: int = DPI) -> ApprovedPage:
    """The first page as approved: grey pixels and the words of its text layer."""
    document = pdfium.PdfDocument(pdf)
    page = document[0]
    scale = dpi / 72
    image = page.render(scale=scale, grayscale=True).to_numpy()
    image = np.ascontiguousarray(image if image.ndim == 2 else image[..., 0])
    words = _words(page, scale)
    document.close()
    return ApprovedPage(image=image, dpi=dpi, words=words)


def _words(page: Any, scale: float) -> tuple[WordBox, ...]:
    text = page.get_textpage()
    height = page.get_height()
    words, run, box = [], "", [1e9, 1e9, -1e9, -1e9]
    for i in range(text.count_chars() + 1):
        char = text.get_text_range(i, 1) if i < text.count_chars() else " "
        if run and (not char.strip() or (run[-1] >= "\u2e80") != (char >= "\u2e80")):
            words.append(WordBox(text=run, x0=box[0] * scale, y0=box[1] * scale, x1=box[2] * scale, y1=box[3] * scale))
            run, box = "", [1e9, 1e9, -1e9, -1e9]
        if char.strip():
            left, bottom, right, top = text.get_charbox(i)
            run += char
            box = [min(box[0], left), min(box[1], height - top), max(box[2], right), max(box[3], height - bottom)]
    text.close()
    return tuple(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A photo's faults. Level 1.0 is an ordinary tray photo, 1.6 a poor one."""

    dpi: float = 145.0
    level: float = 1.0
    colour: bool = False
    quality: int = 70
    turn_deg: float = 0.0
    blur_px: float | None = None
    noise: float | None = None
    jitter_mm: float = 6.0

    def shoot(self, sheet: NDArray[np.uint8], seed: int) -> bytes:
        """One JPEG of `sheet`, a grey or BGR page at `DPI`, on a dark tray."""
        rng = np.random.default_rng(seed)
        colour = sheet if sheet.ndim == 3 else cv2.cvtColor(sheet, cv2.COLOR_GRAY2BGR)
        photo = self._lay(colour if self.colour else np.ascontiguousarray(colour[..., 2]), rng)
        photo = self._light(photo, rng)
        sigma = self.blur_px if self.blur_px is not None else 0.55 + 0.3 * self.level * rng.random()
        photo = cv2.GaussianBlur(photo, (0, 0), sigma)
        noise = (self.noise if self.noise is not None else 3.0 * self.level) * rng.standard_normal(
            photo.shape[:2], np.float32
        )
        noisy = cv2.add(photo, noise if photo.ndim == 2 else cv2.merge([noise] * 3))
        out = cv2.convertScaleAbs(np.maximum(noisy, 0))
        ok, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        assert ok
        return bytes(data)

    def _lay(self, sheet: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        height, width = sheet.shape[:2]
        scale = self.dpi / DPI
        margin = 0.07 * width * scale
        out_w, out_h = int(width * scale + 2 * margin), int(height * scale + 2 * margin)
        if round(self.turn_deg / 90) % 2:
            out_w, out_h = out_h, out_w
        angle = np.deg2rad(self.turn_deg + rng.uniform(-2, 2) * self.level)
        shift = rng.uniform(-1, 1, 2) * self.jitter_mm / 2 * self.dpi / 25.4
        c, s = np.cos(angle) * scale, np.sin(angle) * scale
        centre = np.array([out_w / 2, out_h / 2]) + shift
        tilt = rng.uniform(-1, 1, 2) * 0.03 * self.level / max(height, width)
        place = np.array([[c, -s, centre[0]], [s, c, centre[1]], [0, 0, 1.0]])
        lens = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1.0]])
        home = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1.0]])
        back = np.linalg.inv(place @ lens @ home).astype(np.float32)
        xs, ys = np.arange(out_w, dtype=np.float32)[None, :], np.arange(out_h, dtype=np.float32)[:, None]
        den = back[2, 0] * xs + back[2, 1] * ys + back[2, 2]
        map_x = ((back[0, 0] * xs + back[0, 1] * ys + back[0, 2]) / den).astype(np.float32)
        map_y = ((back[1, 0] * xs + back[1, 1] * ys + back[1, 2]) / den).astype(np.float32)
        curl = 0.5 * MM * self.level * rng.uniform(-1, 1)
        phase = rng.uniform(0, np.pi)
        map_y += np.float32(curl) * np.sin(map_y * np.float32(np.pi / height) + np.float32(phase))
        map_x += np.float32(0.5 * curl) * np.sin(map_x * np.float32(np.pi / width) + np.float32(phase))
        soft = cv2.GaussianBlur(sheet, (0, 0), max(0.3, 0.42 / scale))
        desk = rng.uniform(40, 95)
        laid = cv2.remap(soft, map_x, map_y, cv2.INTER_LINEAR, borderValue=(desk, desk, desk))
        return laid.astype(np.float32)

    def _light(self, photo: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        height, width = photo.shape[:2]
        xs, ys = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
        angle = rng.uniform(0, 2 * np.pi)
        ramp = (xs / width - 0.5) * np.float32(np.cos(angle)) + (ys / height - 0.5) * np.float32(np.sin(angle))
        light = np.float32(0.88) + np.float32(0.22 * self.level) * ramp
        ink, paper = np.float32(rng.uniform(8, 30)), np.float32(rng.uniform(225, 248))
        gain = (paper - ink) / np.float32(255)
        cast = (rng.uniform(0.93, 1.0), 0.98, rng.uniform(0.96, 1.02))
        if photo.ndim == 2:
            return (ink + photo * gain) * light * np.float32(cast[2])
        planes = [(ink + plane * gain) * light * np.float32(c) for plane, c in zip(cv2.split(photo), cast, strict=True)]
        return np.asarray(cv2.merge(planes), np.float32)


def change_digit(amount: str, rng: np.random.Generator) -> str:
    """`amount` with exactly one digit replaced by another."""
    places = [i for i, c in enumerate(amount) if c.isdigit()]
    at = int(rng.choice(places))
    other = str(rng.choice([d for d in "0123456789" if d != amount[at]]))
    return amount[:at] + other + amount[at + 1 :]
