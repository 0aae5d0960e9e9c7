"""What the tests run inside a child. On the child's allow-list only there."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    number: int
    words: tuple[str, ...]
    colour: Colour


class PageBlank(Exception):
    def __init__(self, *, number: int) -> None:
        super().__init__(f"page {number} is blank")
        self.number = number


def next_page(page: Page) -> Page:
    return Page(number=page.number + 1, words=(*page.words, "next"), colour=page.colour)


def echo(value: object) -> object:
    return value


def process_id() -> int:
    return os.getpid()


def blank(number: int) -> None:
    raise PageBlank(number=number)


def divide() -> float:
    return 1 / int("0")


def spin() -> None:
    while True:
        pass


def die() -> None:
    os._exit(7)


def print_much() -> str:
    sys.stdout.write("noise" * 100)
    sys.stdout.flush()
    os.write(1, b"noise that is not an answer")
    return "done"


def eat_memory() -> int:
    return len(b"x" * (3 << 30))


def read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def read_file_raw(path: str) -> bytes:
    """Past the audit hook, as code in a taken-over library would."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.open(path.encode(), 0)
    return b"" if descriptor < 0 else os.read(descriptor, 100)


def write_file(path: str) -> None:
    Path(path).write_text("x")


def write_file_raw(path: str) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.creat(path.encode(), 0o600) >= 0)


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1)


def connect_raw(port: int) -> int:
    """0 when a TCP connection was made past the audit hook, else the errno."""
    import ctypes
    import struct

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(2, 1, 0)
    address = struct.pack("=H", 2) + struct.pack("!H4s8x", port, bytes([127, 0, 0, 1]))
    return 0 if libc.connect(descriptor, address, len(address)) == 0 else ctypes.get_errno()


def start_process() -> None:
    subprocess.run(["/bin/true"], check=True)


def environment() -> dict[str, str]:
    return dict(os.environ)


def loaded() -> list[str]:
    return sorted(name for name in ("cv2", "numpy", "sqlmodel", "fastapi", "pikepdf") if name in sys.modules)


def use_the_libraries(picture: bytes) -> dict[str, object]:
    """Decode one QR picture with every library that reads hostile bytes, as the real functions do."""
    import io

    import cv2
    import numpy as np
    import pikepdf
    import pypdfium2
    import zxingcpp
    from PIL import Image
    from pyzbar import pyzbar

    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    pdf = io.BytesIO()
    with pikepdf.new() as document:
        document.add_blank_page(page_size=(100, 100))
        document.save(pdf)
    page = pypdfium2.PdfDocument(pdf.getvalue())[0].render(scale=1).to_numpy()
    return {
        "zxing": zxingcpp.read_barcode(pixels).text,
        "zbar": pyzbar.decode(Image.open(io.BytesIO(picture)))[0].data,
        "page": list(page.shape[:2]),
        "threads": cv2.getNumThreads(),
    }
