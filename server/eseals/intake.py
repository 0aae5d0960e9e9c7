"""The gate: which documents may be approved or sealed, decided before anything is done with them.

The order of the checks is the order of danger: size, kind, what it unpacks to, and only then a real parser. Every
function takes bytes and returns a picklable value, so that it can run in a sandboxed worker with memory and time
limits; PDFium is not thread-safe, so one worker process runs one of these at a time.
"""

import base64
import io
import re
import warnings
import zipfile
import zlib
from typing import Any, Final

import pikepdf
import pypdfium2
from PIL import ExifTags, Image, UnidentifiedImageError

from server.eseals import unreadable
from server.eseals.active_content import ActiveContent, find_active_content
from server.eseals.found import DocumentInfo, Kind

MAX_BYTES: Final = 100_000_000
MAX_PAGES: Final = 500
MAX_PIXELS: Final = 40_000_000
MAX_PAGE_MM: Final = 1700
"""Twice A0 is 1,682 mm long; a larger page is a mistake or an attack on the renderer."""
MIN_PAGE_MM: Final = 10
MAX_TITLE: Final = 200

INFLATED_BASE: Final = 100_000_000
INFLATED_PER_PAGE: Final = 30_000_000
"""One A4 page scanned in colour at 300 dpi is 26 MB raw."""
INFLATED_MAX: Final = 2_000_000_000

TEXT_PAGES: Final = 5
"""How many pages from the front are searched for text."""

_STEP: Final = 1 << 20
_PACKING_FILTERS: Final = {"/FlateDecode", "/LZWDecode", "/RunLengthDecode", "/Fl", "/LZW", "/RL"}
_STREAM: Final = re.compile(rb"stream[ \t\r\n]*(?=[\x08-\x78])")
_SIDEWAYS: Final = 5
"""Exif orientations from here on turn the picture by a quarter."""
_MM_PER_POINT: Final = 25.4 / 72


def inspect_document(data: bytes) -> DocumentInfo:
    """What `data` is, if it may be approved or sealed. Raises: UnreadableDocument (its subclass says why)."""
    kind = document_kind(data)
    return _inspect_pdf(data) if kind == "pdf" else _inspect_image(data, kind)


def document_kind(data: bytes) -> Kind:
    """The kind by content, never by name. Raises: EmptyDocument, DocumentTooLarge, WordDocument, NotADocument."""
    if not data:
        raise unreadable.EmptyDocument
    if len(data) > MAX_BYTES:
        raise unreadable.DocumentTooLarge(megabytes=len(data) // 1_000_000, limit_mb=MAX_BYTES // 1_000_000)
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if _is_office(data):
        raise unreadable.WordDocument
    if b"%PDF-" in data[:1024]:  # ISO 32000-1 annex H.3.4.1 allows that much before the header
        return "pdf"
    raise unreadable.NotADocument


def open_pdf(data: bytes) -> pikepdf.Pdf:
    """The parsed PDF, past the checks for size, protection, signatures and page count.

    Raises: InflationBomb, EncryptedDocument, BrokenDocument, NoPages, TooManyPages, AlreadySigned, AlreadyCertified.
    """
    inflated = inflated_bytes(data, limit=INFLATED_MAX)
    try:
        pdf = pikepdf.open(io.BytesIO(data))
        if pdf.is_encrypted:
            raise unreadable.EncryptedDocument
        pages = len(pdf.pages)
        if pages == 0:
            raise unreadable.NoPages
        if pages > MAX_PAGES:
            raise unreadable.TooManyPages(pages=pages, limit=MAX_PAGES)
        limit = min(INFLATED_BASE + pages * INFLATED_PER_PAGE, INFLATED_MAX)
        if inflated > limit:
            raise unreadable.InflationBomb(limit_mb=limit // 1_000_000)
        _refuse_hidden_bomb(pdf, limit=limit - inflated)
        _refuse_signed(pdf)
    except pikepdf.PasswordError as error:
        raise unreadable.EncryptedDocument from error
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise unreadable.BrokenDocument from error
    return pdf


def _inspect_pdf(data: bytes) -> DocumentInfo:
    pdf = open_pdf(data)
    try:
        active = find_active_content(pdf)
        title = _title(pdf)
        repaired = bool(pdf.get_warnings())
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable.BrokenDocument from error
    sizes, has_text = _measure(data)
    return DocumentInfo(
        kind="pdf",
        pages=len(sizes),
        title=title,
        page_sizes_mm=sizes,
        has_text=has_text,
        warnings=(*(found.value for found in sorted(active)), *_oddities(data, repaired=repaired)),
    )


def _inspect_image(data: bytes, kind: Kind) -> DocumentInfo:
    with open_image(data) as image:
        width, height = image.size
        try:
            if kind == "jpeg":
                if image.getexif().get(ExifTags.Base.Orientation, 1) >= _SIDEWAYS:
                    width, height = height, width
                image.draft("L", (image.width // 8, image.height // 8))  # decodes all of it, keeps 1/64
                image.load()
            else:
                image.verify()
        except (OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
            raise unreadable.BrokenDocument from error
    size = (210.0, 297.0) if height >= width else (297.0, 210.0)
    return DocumentInfo(kind=kind, pages=1, title="", page_sizes_mm=(size,), has_text=False, warnings=())


def open_image(data: bytes) -> Image.Image:
    """The picture, header read and size checked, not yet decoded. Raises: ImageTooLarge, BrokenDocument."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own, lower limit follows
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except Image.DecompressionBombError as error:
        raise unreadable.ImageTooLarge(limit=MAX_PIXELS // 1_000_000) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise unreadable.BrokenDocument from error
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise unreadable.ImageTooLarge(limit=MAX_PIXELS // 1_000_000)
    return image


def _is_office(data: bytes) -> bool:
    if data.startswith((b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")):  # OLE (.doc, .xls), RTF
        return True
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return b"word/" in data[:4096]
    return any(name.startswith(("word/", "xl/", "ppt/")) or name == "content.xml" for name in names)


def inflated_bytes(data: bytes, *, limit: int) -> int:
    """How many bytes the Flate streams of a raw PDF unpack to, found without a parser and a step at a time.

    Object streams are covered too, which a parser would unpack before anyone could ask. Raises: InflationBomb.
    """
    total = 0
    for match in _STREAM.finditer(data):
        start = match.end()
        if start + 2 <= len(data) and int.from_bytes(data[start : start + 2]) % 31 == 0:  # RFC 1950 section 2.2
            total += _inflated(data, start, limit=limit - total)
            if total > limit:
                raise unreadable.InflationBomb(limit_mb=limit // 1_000_000)
    return total


def _inflated(data: bytes, start: int, *, limit: int) -> int:
    """The size of the zlib stream at `start`, or a number above `limit` as soon as it passes it."""
    inflater = zlib.decompressobj()
    total, fed, rest = 0, start, b""
    while not inflater.eof and total <= limit:
        if not rest:
            rest = data[fed : fed + _STEP]
            fed += len(rest)
            if not rest:
                break
        try:
            total += len(inflater.decompress(rest, _STEP))
        except zlib.error:
            break
        rest = inflater.unconsumed_tail
    return total


def _refuse_hidden_bomb(pdf: pikepdf.Pdf, *, limit: int) -> None:
    """Streams that `inflated_bytes` cannot see: text-armoured Flate is measured, compression twice over is refused.

    Raises: InflationBomb.
    """
    total = 0
    for entry in pdf.objects:
        if not isinstance(entry, pikepdf.Stream) or not isinstance(entry.get("/Filter"), pikepdf.Array):
            continue
        filters = [str(name) for name in entry.Filter]
        packed = [name for name in filters if name in _PACKING_FILTERS]
        if filters[:1] == ["/ASCII85Decode"] and packed == ["/FlateDecode"]:
            armoured = entry.read_raw_bytes().strip().removesuffix(b"~>")
            total += _inflated(base64.a85decode(armoured), 0, limit=limit - total)
        elif filters[:1] == ["/ASCIIHexDecode"] and packed == ["/FlateDecode"]:
            armoured = b"".join(entry.read_raw_bytes().split()).removesuffix(b">")
            total += _inflated(bytes.fromhex(armoured.decode("ascii")), 0, limit=limit - total)
        if len(packed) > 1 or total > limit:
            raise unreadable.InflationBomb(limit_mb=limit // 1_000_000)


def _refuse_signed(pdf: pikepdf.Pdf) -> None:
    """Raises: AlreadySigned, AlreadyCertified."""
    permissions = pdf.Root.get("/Perms")
    if isinstance(permissions, pikepdf.Dictionary) and "/DocMDP" in permissions:
        raise unreadable.AlreadyCertified
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, pikepdf.Dictionary):
        return
    waiting: list[Any] = [form.get("/Fields")]
    seen: set[tuple[int, int]] = set()
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, pikepdf.Array):
            waiting.extend(entry)
        if not isinstance(entry, pikepdf.Dictionary) or (entry.is_indirect and entry.objgen in seen):
            continue
        seen.add(entry.objgen)
        if entry.get("/FT") == pikepdf.Name.Sig and "/V" in entry:
            raise unreadable.AlreadySigned
        waiting.append(entry.get("/Kids"))


def _title(pdf: pikepdf.Pdf) -> str:
    raw = pdf.docinfo.get("/Title") if "/Info" in pdf.trailer else None
    text = str(raw) if isinstance(raw, pikepdf.String) else ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:MAX_TITLE]


def _measure(data: bytes) -> tuple[tuple[tuple[float, float], ...], bool]:
    """Page sizes in mm and whether the first pages carry text. Raises: BrokenDocument, PageTooLarge, PageTooSmall."""
    try:
        with pypdfium2.PdfDocument(data) as pdf:
            sizes = [pdf.get_page_size(index) for index in range(len(pdf))]
            has_text = any(pdf[index].get_textpage().count_chars() > 0 for index in range(min(len(sizes), TEXT_PAGES)))
    except pypdfium2.PdfiumError as error:
        raise unreadable.BrokenDocument from error
    in_mm = tuple((round(w * _MM_PER_POINT, 1), round(h * _MM_PER_POINT, 1)) for w, h in sizes)
    for number, (width, height) in enumerate(in_mm, start=1):
        facts = {"page": number, "width_mm": round(width), "height_mm": round(height)}
        if max(width, height) > MAX_PAGE_MM:
            raise unreadable.PageTooLarge(**facts, limit_mm=MAX_PAGE_MM)
        if min(width, height) < MIN_PAGE_MM:
            raise unreadable.PageTooSmall(**facts, limit_mm=MIN_PAGE_MM)
    return in_mm, has_text


def _oddities(data: bytes, *, repaired: bool) -> list[str]:
    found = []
    if not data.startswith(b"%PDF-"):
        found.append("leading_data")
    end = data.rfind(b"%%EOF")
    if end >= 0 and data[end + 5 :].strip(b"\r\n\t \x00"):
        found.append("trailing_data")
    if repaired or end < 0:
        found.append("repaired")
    return found


__all__ = [
    "ActiveContent",
    "DocumentInfo",
    "Kind",
    "document_kind",
    "inspect_document",
    "open_image",
    "open_pdf",
]
