# /// script
# requires-python = ">=3.11"
# dependencies = ["fpdf2>=2.8", "pillow>=13"]
# ///
"""Draw the demo's contracts and company seals into dashboard/demo/assets.

Run: python tools/make_demo_assets.py. Needs Debian's fonts-liberation and fonts-noto-cjk; the fonts are embedded as
subsets, so the assets need no font. The texts in tools/demo_contracts are ours, and every party in them is invented.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import cos, degrees, pi, radians, sin
from pathlib import Path
from typing import Any, Final

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

HERE: Final = Path(__file__).parent
ASSETS: Final = HERE.parent / "dashboard" / "demo" / "assets"
LIBERATION: Final = Path("/usr/share/fonts/truetype/liberation")
NOTO: Final = Path("/usr/share/fonts/opentype/noto")
SIMPLIFIED: Final = 2
"""Number of the simplified Chinese font inside a Noto CJK collection."""
WRITTEN_ON: Final = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)

# The page, mm. The seal's centre is where the simulated device stamps a page that lies normally.
LEFT: Final = 22.0
RIGHT: Final = 188.0
SEAL_CENTRE: Final = (150.0, 235.0)
SEAL_BOX: Final = 44.0
SEAL_DIAMETER: Final = 40.0
CODE_PLACE: Final = (99.0, 219.0, 28.0, 32.0)
"""White paper for the coder: left, top, width, height."""
SIGN_TOP: Final = 182.0
LAST_LINE: Final = 278.0
LEFT_COLUMN: Final = (LEFT, 92.0)
RIGHT_COLUMN: Final = (100.0, RIGHT)

SEAL_PX: Final = 1000
DRAWN_PX: Final = 4000
RED: Final = (196, 18, 32)


class Contract(FPDF):
    """One contract from its text; two pages, the second with the signatures."""

    def __init__(self, words: dict[str, Any]) -> None:
        super().__init__(format="A4")
        self.words = words
        self.chinese = words["language"] == "zh"
        for style, name in (("", "Regular"), ("B", "Bold")):
            if self.chinese:
                font = NOTO / f"NotoSerifCJK-{name}.ttc"
                self.add_font("contract", style, font, collection_font_number=SIMPLIFIED)
            else:
                self.add_font("contract", style, LIBERATION / f"LiberationSerif-{name}.ttf")
        self.set_creation_date(WRITTEN_ON)
        self.set_title(words["title"])
        self.set_lang(words["language"])
        self.set_margins(LEFT, 20, 210 - RIGHT)
        self.set_auto_page_break(auto=False)

    def footer(self) -> None:
        number = self.words["page_word"].format(page=self.page_no(), pages=2)
        self._write_at(LEFT, 283, 120, self.words["footer"], size=8, grey=110)
        self._write_at(RIGHT - 50, 283, 50, number, size=8, grey=110, align="R")

    def draw(self) -> bytes:
        self.add_page()
        self._opening()
        for clause in self.words["clauses"]:
            self._clause(clause)
            if clause.get("page_break"):
                if self.get_y() > LAST_LINE:
                    raise ValueError(f"{self.words['file']}: page 1 ends at {self.get_y():.0f} mm")
                self.add_page()
                self.set_y(22)
        if self.get_y() > SIGN_TOP - 4:
            raise ValueError(f"{self.words['file']}: the clauses run into the signatures, y {self.get_y():.0f} mm")
        self._signatures()
        return bytes(self.output())

    def _opening(self) -> None:
        self._write_at(LEFT, 20, RIGHT - LEFT, self.words["title"], size=20, style="B", align="C")
        self._write_at(LEFT, 31, RIGHT - LEFT, self.words["number"], size=10, align="C", grey=60)
        self.set_y(42)
        self._paragraph(self.words["intro"])
        self.ln(3)
        for name, value in self.words["facts"]:
            top = self.get_y()
            self.set_xy(LEFT + 40, top + 1.4)
            self.set_font("contract", size=10)
            self.multi_cell(RIGHT - LEFT - 42, 5, value, align="L", new_x="LMARGIN", new_y="NEXT")
            bottom = self.get_y() + 1.4
            self._write_at(LEFT + 2, top + 1.4, 37, name, size=10, style="B")
            self.set_draw_color(120)
            self.set_line_width(0.2)
            self.rect(LEFT, top, 39, bottom - top)
            self.rect(LEFT + 39, top, RIGHT - LEFT - 39, bottom - top)
            self.set_y(bottom)
        self.ln(5)

    def _clause(self, clause: dict[str, Any]) -> None:
        self.set_font("contract", "B", 11)
        self.cell(0, 6, clause["head"], new_x="LMARGIN", new_y="NEXT")
        self._paragraph(clause["text"])
        self.ln(2.8)

    def _paragraph(self, text: str) -> None:
        self.set_font("contract", size=11)
        if not self.chinese:
            self.multi_cell(0, 5.3, text, align="J", new_x="LMARGIN", new_y="NEXT")
            return
        for line in self._chinese_lines(text):
            self.cell(0, 6.1, line, new_x="LMARGIN", new_y="NEXT")

    def _chinese_lines(self, text: str) -> Iterator[str]:
        """Breaks between characters, but not inside a number, and never before closing punctuation."""
        line = ""
        for part in re.findall(r" ?[0-9A-Za-z,.-]+[年月日]? ?|.[，。；：、）]*", text):  # noqa: RUF001  (Chinese punctuation is meant)
            if self.get_string_width(line + part) > RIGHT - LEFT - 2.5:
                yield line.rstrip()
                line = part.lstrip()
            else:
                line += part
        yield line

    def _signatures(self) -> None:
        self.set_y(SIGN_TOP)
        self._paragraph(self.words["sign_intro"])
        if self.get_y() > SIGN_TOP + 12.5:
            raise ValueError(f"{self.words['file']}: the sentence above the signatures is too long")
        self._party(LEFT_COLUMN, self.words["counterparty"], self.words["role_counterparty"])
        self._party(RIGHT_COLUMN, self.words["company"], self.words["role_company"])
        x, y = (at - SEAL_BOX / 2 for at in SEAL_CENTRE)
        self.set_draw_color(150)
        self.set_line_width(0.25)
        self.set_dash_pattern(dash=1.6, gap=1.2)
        self.rect(x, y, SEAL_BOX, SEAL_BOX)
        self.set_dash_pattern()
        self._write_at(x, y + SEAL_BOX + 0.6, SEAL_BOX, self.words["seal_label"], size=7.5, align="C", grey=120)

    def _party(self, column: tuple[float, float], name: str, role: str) -> None:
        start, end = column
        self._write_at(start, 196, end - start, f"{self.words['signed_for']} {role}", size=8.5, grey=70)
        self._write_at(start, 201, end - start, name, size=11, style="B")
        self.set_draw_color(60)
        self.set_line_width(0.2)
        tops = (222, 236, 250) if column == LEFT_COLUMN else (266, 274)
        for top, label in zip(tops, self.words["sign_lines"], strict=False):
            self._write_at(start, top, 26, label, size=8.5, grey=70)
            self.line(start + 26, top + 4.4, end, top + 4.4)

    def _write_at(
        self,
        x: float,
        y: float,
        width: float,
        text: str,
        *,
        size: float,
        style: str = "",
        align: str = "L",
        grey: int = 0,
    ) -> None:
        self.set_font("contract", style, size)
        self.set_text_color(grey)
        self.set_xy(x, y)
        self.cell(width, 5, text, align=align)
        self.set_text_color(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealText:
    file: str
    top: str
    bottom: str
    centre: tuple[str, ...]
    star: bool
    font: tuple[Path, int]
    top_mm: float
    arc_deg: float
    tracking: float


SEALS: Final = (
    SealText(
        file="seal-zh.png",
        top="示例朱砂贸易有限公司",
        bottom="",
        centre=("合同专用章",),
        star=True,
        font=(NOTO / "NotoSerifCJK-Bold.ttc", SIMPLIFIED),
        top_mm=5.0,
        arc_deg=250,
        tracking=1.32,
    ),
    SealText(
        file="seal-es.png",
        top="EJEMPLO CINABRIO COMERCIAL, S.L.",
        bottom="VILLAEJEMPLO",
        centre=("EC", "SELLO DE LA EMPRESA"),
        star=False,
        font=(LIBERATION / "LiberationSerif-Bold.ttf", 0),
        top_mm=3.3,
        arc_deg=236,
        tracking=1.09,
    ),
    SealText(
        file="seal-en.png",
        top="EXAMPLE CINNABAR TRADING LTD",
        bottom="COMPANY SEAL",
        centre=("ECT", "EXAMPLETON"),
        star=False,
        font=(LIBERATION / "LiberationSans-Bold.ttf", 0),
        top_mm=3.2,
        arc_deg=226,
        tracking=1.12,
    ),
)


class Seal:
    """A round seal drawn large as ink (255) on nothing (0); angles in degrees clockwise from the top."""

    def __init__(self, text: SealText) -> None:
        self.text = text
        self.ink = Image.new("L", (DRAWN_PX, DRAWN_PX), 0)
        self.draw = ImageDraw.Draw(self.ink)
        self.px_per_mm = DRAWN_PX / SEAL_DIAMETER

    def png(self, path: Path) -> None:
        text = self.text
        self._ring(20.0, 1.15 if text.star else 0.75)
        if not text.star:
            self._ring(18.9, 0.25)
            self._ring(12.6, 0.35)
        self._on_arc(text.top, middle_mm=15.7, height=text.top_mm, spread=text.arc_deg)
        if text.bottom:
            self._on_arc(text.bottom, middle_mm=15.7, height=text.top_mm * 0.92, spread=86, below=True)
            for angle in (-128, 128):
                self._star(self._polar(15.7, angle), 1.2)
        if text.star:
            self._star((20.0, 19.2), 6.3)
            self._across(text.centre[0], 31.2, height=3.7, width=19.0)
        else:
            self._across(text.centre[0], 18.6, height=7.4, width=17.0)
            self._across(text.centre[1], 24.6, height=2.3, width=19.5)
        alpha = self.ink.resize((SEAL_PX, SEAL_PX), Image.Resampling.LANCZOS)
        seal = Image.new("RGBA", (SEAL_PX, SEAL_PX), (*RED, 0))
        seal.putalpha(alpha)
        seal.save(path, optimize=True, dpi=(SEAL_PX / SEAL_DIAMETER * 25.4,) * 2)

    def _font(self, height_mm: float) -> ImageFont.FreeTypeFont:
        path, index = self.text.font
        letter_part = 0.94 if self.text.star else 0.70
        return ImageFont.truetype(path, round(height_mm / letter_part * self.px_per_mm), index=index)

    def _ring(self, radius_mm: float, width_mm: float) -> None:
        reach = radius_mm * self.px_per_mm
        box = [DRAWN_PX / 2 - reach, DRAWN_PX / 2 - reach, DRAWN_PX / 2 + reach - 1, DRAWN_PX / 2 + reach - 1]
        self.draw.ellipse(box, outline=255, width=round(width_mm * self.px_per_mm))

    @staticmethod
    def _polar(radius_mm: float, angle: float) -> tuple[float, float]:
        return 20 + radius_mm * sin(radians(angle)), 20 - radius_mm * cos(radians(angle))

    def _star(self, centre_mm: tuple[float, float], radius_mm: float) -> None:
        inner = radius_mm * sin(pi / 10) / sin(7 * pi / 10)
        points = [
            (centre_mm[0] + reach * sin(n * pi / 5), centre_mm[1] - reach * cos(n * pi / 5))
            for n, reach in enumerate([radius_mm, inner] * 5)
        ]
        self.draw.polygon([(x * self.px_per_mm, y * self.px_per_mm) for x, y in points], fill=255)

    def _on_arc(self, text: str, *, middle_mm: float, height: float, spread: float, below: bool = False) -> None:
        """Letters on a circle, at most `spread` degrees wide; below the centre they read from the left as well."""
        font = self._font(height)
        room = radians(spread) * middle_mm * self.px_per_mm
        while font.getlength(text) * self.text.tracking > room:
            font = font.font_variant(size=font.size - 2)
        for letter, along in self._spaced(text, font):
            angle = degrees(along * self.text.tracking / self.px_per_mm / middle_mm)
            self._letter(letter, font, middle_mm, 180 - angle if below else angle, flipped=below)

    @staticmethod
    def _spaced(text: str, font: ImageFont.FreeTypeFont) -> Iterator[tuple[str, float]]:
        """Each letter and its middle, pixels from the middle of the text: even gaps, own widths."""
        start = -font.getlength(text) / 2
        for letter in text:
            width = font.getlength(letter)
            yield letter, start + width / 2
            start += width

    def _letter(self, letter: str, font: ImageFont.FreeTypeFont, radius: float, angle: float, *, flipped: bool) -> None:
        side = round(font.size * 1.8)
        cell = Image.new("L", (side, side), 0)
        baseline = side / 2 + (font.size * 0.38 if self.text.star else font.size * 0.34)
        ImageDraw.Draw(cell).text((side / 2, baseline), letter, fill=255, font=font, anchor="ms")
        turned = cell.rotate(-angle + (180 if flipped else 0), resample=Image.Resampling.BICUBIC)
        x, y = (at * self.px_per_mm for at in self._polar(radius, angle))
        self.ink.paste(255, (round(x - side / 2), round(y - side / 2)), turned)

    def _across(self, text: str, middle_mm: float, *, height: float, width: float) -> None:
        font = self._font(height)
        while font.getlength(text) > width * self.px_per_mm:
            font = font.font_variant(size=font.size - 2)
        self.draw.text((DRAWN_PX / 2, middle_mm * self.px_per_mm), text, fill=255, font=font, anchor="mm")


def facts_of(text: dict[str, Any]) -> dict[str, Any]:
    """What the demo needs to know about one contract; places in mm from the page's top left corner."""
    x, y = SEAL_CENTRE
    left, top, width, height = CODE_PLACE
    facts = {name: text[name] for name in ("file", "language", "title", "amount", "date", "company", "counterparty")}
    return facts | {
        "pages": 2,
        "seal_file": text["seal"],
        "seal_diameter_mm": SEAL_DIAMETER,
        "seal_page": 2,
        "seal_place_mm": {"x": x, "y": y},
        "seal_box_mm": {"left": x - SEAL_BOX / 2, "top": y - SEAL_BOX / 2, "width": SEAL_BOX, "height": SEAL_BOX},
        "code_place_mm": {"left": left, "top": top, "width": width, "height": height},
    }


def main() -> None:
    ASSETS.mkdir(parents=True, exist_ok=True)
    documents = []
    for name in ("en", "es", "zh"):
        text = tomllib.loads((HERE / "demo_contracts" / f"{name}.toml").read_text("utf-8"))
        (ASSETS / text["file"]).write_bytes(Contract(text).draw())
        documents.append(facts_of(text))
    for seal in SEALS:
        Seal(seal).png(ASSETS / seal.file)
    listing = json.dumps({"documents": documents}, ensure_ascii=False, indent=2)
    (ASSETS / "documents.json").write_text(listing + "\n", "utf-8")


if __name__ == "__main__":
    main()
