"""The stack of a Monday: documents of 3 to 40 pages whose text is drawn from a seed; no two pages say the same."""

import io
import random  # noqa: TID251 - one seeded source for the whole bench
from dataclasses import dataclass
from typing import Final

import pikepdf

VOCABULARY: Final = (
    "the lessee shall keep premises insured against fire water theft during term rent payable quarter advance notice "
    "party agrees deliver goods listed annex price fixed euro payment thirty days receipt invoice delay interest rate "
    "warranty months defect repair replace carrier port customs duty confidential information disclose third assign "
    "court jurisdiction arbitration language copy original amendment writing signed both schedule surveyor bank "
    "guarantee deposit return keys handover inspection meter reading heating cleaning garden roof parking space"
)
LINES: Final = 34
A4_PT: Final = (595, 842)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`places`: (page, x in mm, y in mm from the top left) of each imprint on one copy."""

    title: str
    pdf: bytes
    pages: int
    places: tuple[tuple[int, float, float], ...]


def stack(count: int, *, rng: random.Random, imprints: int) -> list[Document]:
    return [_document(number, rng, imprints) for number in range(1, count + 1)]


def _document(number: int, rng: random.Random, imprints: int) -> Document:
    pages = rng.randint(3, 40)
    title = f"Agreement {number:02d}/{rng.randint(1000, 9999)}"
    chosen = sorted(rng.sample(range(1, pages + 1), imprints))
    return Document(
        title=title,
        pdf=_pdf(title, pages, rng),
        pages=pages,
        places=tuple((page, 150.0, 235.0) for page in chosen),
    )


def _pdf(title: str, pages: int, rng: random.Random) -> bytes:
    pdf = pikepdf.new()
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for page in range(1, pages + 1):
        pdf.add_blank_page(page_size=A4_PT)
        pdf.pages[-1].Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        pdf.pages[-1].Contents = pdf.make_stream(_text(title, page, pages, rng))
    out = io.BytesIO()
    pdf.save(out, static_id=True)
    return out.getvalue()


def _text(title: str, page: int, pages: int, rng: random.Random) -> bytes:
    vocabulary = VOCABULARY.split()
    lines = [f"{title}, page {page} of {pages}", ""]
    for paragraph in range(1, LINES // 3):
        amount = f"{rng.randint(1, 99)},{rng.randint(0, 999):03d}.{rng.randint(0, 99):02d}"
        sentence = " ".join(rng.choice(vocabulary) for _ in range(22))
        words = f"{page}.{paragraph} {sentence} {amount}".split()
        middle = len(words) // 2
        lines += [" ".join(words[:middle]), " ".join(words[middle:]), ""]
    shown = b"\n".join(b"(%s) Tj T*" % line.encode("ascii") for line in lines[:LINES])
    return b"BT /F1 10.5 Tf 57 780 Td 17 TL\n" + shown + b"\nET"
