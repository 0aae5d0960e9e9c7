"""The gate for documents: what it says of good ones, and each kind of bad input by name."""

import io
import itertools
import pickle
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pikepdf
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from server.eseals import unreadable
from server.eseals.intake import MAX_PAGES, inspect_document
from server.eseals.normalising import images_to_pdf, normalise
from server.eseals.pages import page_words, render_page, render_page_png
from server.eseals.refusals import SealingFailed
from tests.eseals.conftest import Sealer, make_pdf


def changed(data: bytes, change: Callable[[pikepdf.Pdf], object], **save: object) -> bytes:
    """`data` with a change made by hand, as an attacker's tool would."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(data)) as pdf:
        change(pdf)
        pdf.save(out, **save)
    return out.getvalue()


def picture(size: tuple[int, int] = (800, 1100), *, kind: str = "JPEG", mode: str = "RGB", **save: object) -> bytes:
    out = io.BytesIO()
    ground = Image.linear_gradient("L").resize(size).convert(mode)
    ground.save(out, kind, **save)
    return out.getvalue()


def flate_bomb(megabytes: int) -> bytes:
    def add(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].Contents = pikepdf.Stream(
            pdf, zlib.compress(bytes(megabytes * 1_000_000)), Filter=pikepdf.Name.FlateDecode
        )

    return changed(make_pdf(), add, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)


def nested_bomb() -> bytes:
    def add(pdf: pikepdf.Pdf) -> None:
        twice = zlib.compress(zlib.compress(bytes(50_000_000)))
        filters = pikepdf.Array([pikepdf.Name.FlateDecode, pikepdf.Name.FlateDecode])
        pdf.pages[0].Contents = pikepdf.Stream(pdf, twice, Filter=filters)

    return changed(make_pdf(), add, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)


def without_pages() -> bytes:
    return changed(make_pdf(), lambda pdf: pdf.pages.__delitem__(0))


def many_pages(count: int) -> bytes:
    def add(pdf: pikepdf.Pdf) -> None:
        for _ in range(count - 1):
            pdf.add_blank_page(page_size=(595, 842))

    return changed(make_pdf(), add)


def encrypted(user: str) -> bytes:
    return changed(make_pdf(), lambda _: None, encryption=pikepdf.Encryption(owner="owner", user=user))


def word() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that announces a size; a bomb needs no more to be refused."""
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes((8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + (13).to_bytes(4)
        + head
        + zlib.crc32(head).to_bytes(4)
        + b"\x00\x00\x10\x00IDAT"
        + bytes(64)
    )


def signed(*, certified: bool) -> bytes:
    def add(pdf: pikepdf.Pdf) -> None:
        field = pdf.make_indirect(
            pikepdf.Dictionary(FT=pikepdf.Name.Sig, T="S", V=pikepdf.Dictionary(Type=pikepdf.Name.Sig))
        )
        pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([pikepdf.Dictionary(Kids=pikepdf.Array([field]))]))
        if certified:
            pdf.Root.Perms = pikepdf.Dictionary(DocMDP=field.V)

    return changed(make_pdf(), add)


def wide_page() -> bytes:
    return changed(make_pdf(), lambda pdf: pdf.pages[0].__setattr__("MediaBox", pikepdf.Array([0, 0, 14000, 500])))


BAD = [
    (lambda: b"", unreadable.EmptyDocument),
    (lambda: b"%PDF-1.7" + bytes(100_000_001), unreadable.DocumentTooLarge),
    (lambda: b"hello, this is text", unreadable.NotADocument),
    (lambda: b"GIF89a" + bytes(100), unreadable.NotADocument),
    (word, unreadable.WordDocument),
    (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), unreadable.WordDocument),
    (lambda: word()[:60], unreadable.NotADocument),
    (lambda: b"%PDF-1.7\n" + b"nonsense " * 50, unreadable.BrokenDocument),
    (lambda: make_pdf()[:400], unreadable.BrokenDocument),
    (lambda: encrypted("secret"), unreadable.EncryptedDocument),
    (lambda: encrypted(""), unreadable.EncryptedDocument),
    (without_pages, unreadable.NoPages),
    (lambda: many_pages(2000), unreadable.TooManyPages),
    (lambda: flate_bomb(200), unreadable.InflationBomb),
    (nested_bomb, unreadable.InflationBomb),
    (wide_page, unreadable.PageTooLarge),
    (lambda: signed(certified=False), unreadable.AlreadySigned),
    (lambda: signed(certified=True), unreadable.AlreadyCertified),
    (lambda: png_header(7000, 7000), unreadable.ImageTooLarge),
    (lambda: png_header(60000, 60000), unreadable.ImageTooLarge),
    (lambda: picture()[:2000], unreadable.BrokenDocument),
    (lambda: picture(kind="PNG")[:900], unreadable.BrokenDocument),
    (lambda: b"\xff\xd8\xff\xe0nothing", unreadable.BrokenDocument),
]


@pytest.mark.parametrize(("make", "expected"), BAD, ids=lambda value: getattr(value, "code", None))
def test_bad_input_is_refused_by_name(make: Callable[[], bytes], expected: type[unreadable.UnreadableDocument]) -> None:
    with pytest.raises(unreadable.UnreadableDocument) as caught:
        inspect_document(make())
    error = caught.value
    assert type(error) is expected
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same), same.facts) == (expected, str(error), error.facts)


def test_every_message_says_what_is_safe_and_what_next() -> None:
    kinds = set(unreadable.UnreadableDocument.__subclasses__())
    assert len({kind.code for kind in kinds}) == len(kinds) >= 13
    for kind in kinds:
        assert kind.happened != unreadable.UnreadableDocument.happened
        assert kind.next_step != unreadable.UnreadableDocument.next_step
    assert "Your request is unchanged." in str(unreadable.EmptyDocument())
    assert "Save as, PDF" in str(unreadable.WordDocument())
    assert str(unreadable.TooManyPages(pages=2000, limit=MAX_PAGES)).startswith("The PDF has 2000 pages; at most 500")


def test_a_good_pdf_is_described(contract: bytes) -> None:
    info = inspect_document(contract)
    assert (info.kind, info.pages, info.title, info.has_text) == ("pdf", 2, "Contract of sale", True)
    assert info.page_sizes_mm == ((210.0, 297.0), (210.0, 297.0))
    assert info.warnings == ()
    assert pickle.loads(pickle.dumps(info)) == info


def test_five_hundred_pages_are_fine() -> None:
    assert inspect_document(many_pages(500)).pages == 500


@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_a_picture_is_described(name: str) -> None:
    info = inspect_document(picture((1100, 800), kind=name.upper()))
    assert (info.kind, info.pages, info.page_sizes_mm) == (name, 1, ((297.0, 210.0),))


def active_pdf() -> bytes:
    script = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")

    def add(pdf: pikepdf.Pdf) -> None:
        root, page = pdf.Root, pdf.pages[0]
        root.OpenAction = script
        names = pikepdf.Array(["x", script])
        root.Names = pikepdf.Dictionary(JavaScript=pikepdf.Dictionary(Names=names))
        page.AA = pikepdf.Dictionary(O=script)
        rect = pikepdf.Array([50, 50, 90, 90])
        link = pikepdf.Dictionary(S=pikepdf.Name.URI, URI="https://example.com/", Next=pikepdf.Array([script]))
        annotations = [
            {"Subtype": pikepdf.Name.Link, "A": pikepdf.Dictionary(S=pikepdf.Name.Launch, F="calc.exe")},
            {"Subtype": pikepdf.Name.Link, "A": link},
            {"Subtype": pikepdf.Name.Link, "A": pikepdf.Dictionary(S=pikepdf.Name.FutureAction)},
            {"Subtype": pikepdf.Name.Text, "Contents": "a sticky note"},
            {"Subtype": pikepdf.Name.Screen, "A": pikepdf.Dictionary(S=pikepdf.Name.Rendition, OP=0)},
        ]
        page.Annots = pikepdf.Array(
            [pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Annot, Rect=rect, **a)) for a in annotations]
        )
        appearance = pikepdf.Stream(pdf, b"0 0 1 rg 0 0 200 30 re f")
        appearance.Type, appearance.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
        appearance.BBox = pikepdf.Array([0, 0, 200, 30])
        field = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Widget,
                FT=pikepdf.Name.Tx,
                T="amount",
                V="12,400",
                F=4,
                Rect=pikepdf.Array([100, 400, 300, 430]),
                AP=pikepdf.Dictionary(N=appearance),
            )
        )
        page.Annots.append(field)
        root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]), XFA=pikepdf.Stream(pdf, b"<xdp/>"))

    return changed(make_pdf(), add)


def test_active_content_is_named_and_then_removed() -> None:
    dangerous = active_pdf() + b"\nPK\x03\x04 another file"
    found = set(inspect_document(dangerous).warnings)
    named = {
        "action",
        "javascript",
        "launch",
        "media",
        "open_action",
        "xfa",
        "form_fields",
        "comments",
        "trailing_data",
    }
    assert found == named
    clean = normalise(dangerous)
    assert inspect_document(clean).warnings == ()
    plain = changed(clean, lambda _: None, qdf=True)
    for word_ in (
        b"JavaScript",
        b"app.alert",
        b"Launch",
        b"calc.exe",
        b"AcroForm",
        b"XFA",
        b"/Widget",
        b"another file",
    ):
        assert word_ not in plain, word_
    assert b"https://example.com/" in plain  # a plain link does nothing by itself


def test_a_form_becomes_part_of_the_page() -> None:
    before, after = (render_page(data, 0, 72) for data in (active_pdf(), normalise(active_pdf())))
    assert after[842 - 415, 200] < 60  # the blue field is now part of the page
    before[750:796, 46:94] = 255  # the icon of the sticky note, which each reader draws its own way
    assert np.array_equal(before, after)


def test_normalising_is_repeatable_and_keeps_every_pixel(contract: bytes) -> None:
    once = normalise(contract)
    assert once == normalise(contract)
    assert normalise(once) == once
    for page in range(2):
        assert np.array_equal(render_page(contract, page, 100), render_page(once, page, 100))


def test_a_signed_file_is_not_normalised() -> None:
    with pytest.raises(unreadable.AlreadySigned):
        normalise(signed(certified=False))


def test_a_pdf_behind_other_bytes_is_taken_and_the_bytes_go() -> None:
    odd = b"#!/bin/sh\nrm -rf /\n" + make_pdf()
    assert "leading_data" in inspect_document(odd).warnings
    assert normalise(odd).startswith(b"%PDF-")


def hybrid() -> bytes:
    """A PDF as Word writes it: a classic cross-reference table whose trailer points to a stream with hidden objects."""
    classic = changed(make_pdf(), lambda _: None, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    size = int(re.search(rb"/Size (\d+)", classic).group(1))
    previous = int(classic[classic.rindex(b"startxref") + 9 :].split()[0])
    root = re.search(rb"/Root (\d+ 0 R)", classic).group(1).decode()
    hidden_at = len(classic)
    hidden = f"{size} 0 obj\n(only in the stream)\nendobj\n".encode()
    entry = b"\x01" + hidden_at.to_bytes(4) + b"\x00"
    stream_at = hidden_at + len(hidden)
    stream = (
        f"{size + 1} 0 obj\n<</Type/XRef/W[1 4 1]/Index[{size} 1]/Size {size + 2}/Root {root}/Length 6>>\n".encode()
        + b"stream\n"
        + entry
        + b"\nendstream\nendobj\n"
    )
    table_at = stream_at + len(stream)
    trailer = f"<</Size {size + 2}/Root {root}/Prev {previous}/XRefStm {stream_at}>>"
    table = f"xref\n0 0\ntrailer\n{trailer}\nstartxref\n{table_at}\n%%EOF\n"
    return classic + hidden + stream + table.encode()


def test_a_hybrid_file_as_word_writes_it_can_be_sealed(seal: Sealer) -> None:
    assert inspect_document(hybrid()).pages == 1
    with pytest.raises(SealingFailed):
        seal(hybrid())  # pyHanko refuses them, rightly: two readers may see two documents
    assert inspect_document(normalise(hybrid())).warnings == ()
    assert seal(normalise(hybrid())).startswith(b"%PDF-")


def test_the_gate_loads_without_a_web_framework() -> None:
    script = "import sys, server.eseals.normalising, server.eseals.pages; print('fastapi' in sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "LA", "I;16"])
def test_any_png_becomes_one_page(mode: str) -> None:
    out = io.BytesIO()
    Image.new("L", (300, 400), 128).convert("I;16" if mode == "I;16" else mode).save(out, "PNG")
    pdf = images_to_pdf(out.getvalue())
    assert inspect_document(pdf).page_sizes_mm == ((210.0, 297.0),)
    assert images_to_pdf(out.getvalue()) == pdf


def test_a_camera_picture_is_turned_and_loses_its_place_data() -> None:
    image = Image.new("RGB", (600, 400), "white")
    image.paste((0, 0, 0), (0, 0, 600, 100))  # dark edge: top as stored, right when turned
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret place"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    assert inspect_document(out.getvalue()).page_sizes_mm == ((210.0, 297.0),)
    pdf = normalise(out.getvalue())
    shown = render_page(pdf, 0, 40)
    middle = shown[shown.shape[0] // 2]
    assert middle[-20] < 40
    assert middle[20] > 215
    assert b"secret place" not in pdf


def test_words_lie_where_the_page_shows_them(contract: bytes) -> None:
    words = page_words(contract, 0, 150)
    assert [word_.text for word_ in words[:4]] == ["Page", "1", "Contract", "2026-117"]
    grey = render_page(contract, 0, 150)
    outside = grey.copy()
    for _, x0, y0, x1, y1 in words:
        box = grey[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1]
        assert box.min() < 128
        outside[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = 255
    assert outside.min() == 255


def test_chinese_characters_are_one_word_each() -> None:
    def write(pdf: pikepdf.Pdf) -> None:
        system = pikepdf.Dictionary(Registry="Adobe", Ordering="GB1", Supplement=2)
        base = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.CIDFontType0,
            BaseFont=pikepdf.Name("/STSong-Light"),
            CIDSystemInfo=system,
        )
        font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.Type0,
            BaseFont=pikepdf.Name("/STSong-Light"),
            Encoding=pikepdf.Name("/UniGB-UCS2-H"),
            DescendantFonts=pikepdf.Array([base]),
        )
        page = pdf.pages[0]
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        text = "合同 2026、甲方".encode("utf-16-be").hex()
        page.Contents = pikepdf.Stream(pdf, f"BT /F1 20 Tf 72 700 Td <{text}> Tj ET".encode())

    words = page_words(normalise(changed(make_pdf(), write)), 0, 100)
    assert [word_.text for word_ in words] == ["合", "同", "2026", "、", "甲", "方"]
    assert all(one.x1 <= two.x0 + 2 for one, two in itertools.pairwise(words))


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_words_follow_a_turned_page(contract: bytes, angle: int) -> None:
    turned = changed(contract, lambda pdf: pdf.pages[0].rotate(angle, relative=False))
    grey, words = render_page(turned, 0, 100), page_words(turned, 0, 100)
    assert {"Page", "Contract", "harbour."} <= {word_.text for word_ in words}
    for _, x0, y0, x1, y1 in words:
        assert grey[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].min() < 140


def test_a_scan_has_no_words_and_a_page_that_is_not_there_is_said() -> None:
    scan = images_to_pdf(picture())
    assert not inspect_document(scan).has_text
    assert page_words(scan, 0, 100) == []
    with pytest.raises(unreadable.NoSuchPage):
        render_page(scan, 1, 100)
    with pytest.raises(unreadable.PageTooLarge):
        render_page(scan, 0, 1200)
    assert render_page_png(scan, 0, 50).startswith(b"\x89PNG")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_anywhere_gives_an_answer_or_our_own_error(data: st.DataObject) -> None:
    damaged = bytearray(ACTIVE)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        inspect_document(bytes(damaged))
        inspect_document(normalise(bytes(damaged)))
    except unreadable.UnreadableDocument:
        pass


ACTIVE = active_pdf()


def test_a_code_in_a_picture_survives_the_way_onto_the_page() -> None:
    out = io.BytesIO()
    code = zxingcpp.create_barcode("R-1234", zxingcpp.BarcodeFormat.QRCode)
    Image.fromarray(np.array(code.to_image(scale=6))).save(out, "PNG")
    found = zxingcpp.read_barcodes(render_page(images_to_pdf(out.getvalue()), 0, 100))
    assert [one.text for one in found] == ["R-1234"]
