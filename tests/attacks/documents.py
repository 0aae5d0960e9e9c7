"""Files that somebody might upload, made on the spot."""

import io
import zipfile
import zlib

import pikepdf
import segno


def pages(count: int) -> pikepdf.Pdf:
    pdf = pikepdf.new()
    for _ in range(count):
        pdf.add_blank_page(page_size=(595, 842))
    return pdf


def saved(pdf: pikepdf.Pdf, **how: object) -> bytes:
    out = io.BytesIO()
    pdf.save(out, **how)
    return out.getvalue()


def encrypted() -> bytes:
    return saved(pages(1), encryption=pikepdf.Encryption(owner="owner", user="secret"))


def broken() -> bytes:
    return saved(pages(1))[:200]


def without_pages() -> bytes:
    return saved(pages(0))


def two_thousand_pages() -> bytes:
    return saved(pages(2000))


def inflating_to_200_mb() -> bytes:
    """195 KB on the wire."""
    pdf = pages(1)
    packed = zlib.compress(bytes(200_000_000))
    pdf.pages[0].Contents = pikepdf.Stream(pdf, packed, Filter=pikepdf.Name.FlateDecode)
    return saved(pdf, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)


def image_bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels, as its header says; the rest is not needed to be one."""
    head = b"IHDR" + (60_000).to_bytes(4) * 2 + bytes((8, 2, 0, 0, 0))
    announced = (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + announced + b"\x00\x00\x10\x00IDAT" + bytes(64)


def word() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return out.getvalue()


def with_code(pdf: bytes, page: int, payload: str) -> bytes:
    """The document with somebody's own QR code on `page`, 30 mm wide, at the upper left."""
    symbol = io.BytesIO()
    segno.make_qr(payload, error="m").save(symbol, kind="pdf", scale=1, border=4)
    with pikepdf.open(io.BytesIO(pdf)) as document, pikepdf.open(symbol) as code:
        corner = document.pages[page - 1].mediabox
        top = float(corner[3])
        document.pages[page - 1].add_overlay(code.pages[0], pikepdf.Rectangle(30, top - 115, 115, top - 30))
        return saved(document)
