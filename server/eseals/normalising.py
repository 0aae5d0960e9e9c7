"""The form in which a document is approved, stamped and sealed: a plain PDF that nothing in it can change.

Same input gives the same bytes, so the digest of the result stands for the document everywhere else.
"""

import io
import zlib
from typing import Final

import pikepdf
from PIL import Image, ImageOps

from server.eseals import unreadable
from server.eseals.active_content import remove_active_content
from server.eseals.intake import document_kind, open_image, open_pdf

PAGE_POINTS: Final = (595.276, 841.89)
"""A4, 210 x 297 mm."""
PAGE_PIXELS: Final = (2480, 3508)
"""A4 at 300 dpi: more than that a page does not need."""
JPEG_QUALITY: Final = 92


def normalise(data: bytes) -> bytes:
    """The PDF (or picture) saved anew: no active content, forms and comments drawn into the page, one plain xref.

    Raises: UnreadableDocument, as `inspect_document` does; a signed file is refused, since this would break it.
    """
    if document_kind(data) != "pdf":
        return images_to_pdf(data)
    pdf = open_pdf(data)
    try:
        pdf.generate_appearance_streams()
        pdf.flatten_annotations("all")
        remove_active_content(pdf)
        out = io.BytesIO()
        pdf.save(
            out,
            min_version="1.7",
            fix_metadata_version=False,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            deterministic_id=True,
        )
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable.BrokenDocument from error
    return out.getvalue()


def images_to_pdf(image_bytes: bytes) -> bytes:
    """One A4 page, upright or lying as the picture is, holding the JPEG or PNG as large as it fits, at most 300 dpi.

    The picture is turned as its camera noted; place, time and camera data in the file are dropped.
    Raises: ImageTooLarge, BrokenDocument, WordDocument, NotADocument, EmptyDocument.
    """
    kind = document_kind(image_bytes)
    if kind == "pdf":
        raise unreadable.NotADocument
    with open_image(image_bytes) as file:
        opened: Image.Image = file
        try:
            if kind == "jpeg":
                shrink = min(1.0, max(PAGE_PIXELS) / max(opened.size))
                opened.draft("RGB", (int(opened.width * shrink), int(opened.height * shrink)))  # saves memory
                opened = ImageOps.exif_transpose(opened)
            picture = _plain(opened)
        except (OSError, ValueError, SyntaxError, EOFError, zlib.error) as error:
            raise unreadable.BrokenDocument from error
    lying = picture.width > picture.height
    limit = PAGE_PIXELS[::-1] if lying else PAGE_PIXELS
    if picture.width > limit[0] or picture.height > limit[1]:
        picture.thumbnail(limit, Image.Resampling.LANCZOS)
    if picture.mode == "RGBA":
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture).convert("RGB")
    return _one_page(picture, page=PAGE_POINTS[::-1] if lying else PAGE_POINTS, lossy=kind == "jpeg")


def _plain(picture: Image.Image) -> Image.Image:
    """As grey, RGB or RGBA, whatever it was stored as."""
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode.startswith("I") or picture.mode == "F":
        return picture.point(lambda value: value / 256).convert("L")  # 16-bit grey
    return picture.convert("L" if picture.mode in {"1", "L"} else "RGB")


def _one_page(picture: Image.Image, *, page: tuple[float, float], lossy: bool) -> bytes:
    pdf = pikepdf.new()
    stream = pikepdf.Stream(pdf, *_encoded(picture, lossy=lossy))
    for key, value in {
        "/Type": pikepdf.Name.XObject,
        "/Subtype": pikepdf.Name.Image,
        "/Width": picture.width,
        "/Height": picture.height,
        "/ColorSpace": pikepdf.Name.DeviceGray if picture.mode == "L" else pikepdf.Name.DeviceRGB,
        "/BitsPerComponent": 8,
    }.items():
        stream[key] = value
    scale = min(page[0] / picture.width, page[1] / picture.height)
    width, height = picture.width * scale, picture.height * scale
    left, bottom = (page[0] - width) / 2, (page[1] - height) / 2
    pdf.add_blank_page(page_size=page)
    shown = pdf.pages[0]
    shown.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Picture=stream))
    drawing = f"q {width:.3f} 0 0 {height:.3f} {left:.3f} {bottom:.3f} cm /Picture Do Q"
    shown.obj.Contents = pdf.make_stream(drawing.encode("ascii"))
    out = io.BytesIO()
    pdf.save(out, min_version="1.7", object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
    return out.getvalue()


def _encoded(picture: Image.Image, *, lossy: bool) -> tuple[bytes, pikepdf.Dictionary]:
    """The picture's bytes and the filter that reads them."""
    if lossy:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return out.getvalue(), pikepdf.Dictionary(Filter=pikepdf.Name.DCTDecode)
    return zlib.compress(picture.tobytes(), 6), pikepdf.Dictionary(Filter=pikepdf.Name.FlateDecode)
