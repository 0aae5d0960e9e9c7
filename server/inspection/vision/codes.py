"""Machine-readable codes on a photo: zxing-cpp first, pyzbar second, each behind a wall.

A payload is bytes that a stranger printed. It is capped, never decoded as text, never raises; what it means is for
`verification` to say.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.decode import MAX_PIXELS, decode

Pixels = NDArray[np.uint8]

MAX_PAYLOAD: Final = 1024
"""Bytes of the longest payload that is passed on; a trace code has about 230 (D8)."""
MAX_CODES: Final = 16
_TILE_PX: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code: `payload`, `format` ("QRCode"), `corners` (x, y) in photo pixels, `decoder` that read it."""

    payload: bytes
    format: str
    corners: tuple[tuple[float, float], ...]
    decoder: str


Reader = Callable[[Pixels], list[Code]]


def read_codes(image: bytes | Pixels, *, accept: Callable[[bytes], bool] = bool) -> tuple[Code, ...]:
    """The codes on a JPEG, PNG or array (H, W) or (H, W, 3) BGR, each payload once; empty when there is none.

    Tries the whole picture, overlapping tiles, tiles at twice the size, and stops after the first step by which
    `accept` took one of the payloads: a code that was printed on the page before must not hide ours.
    """
    pixels = decode(image) if isinstance(image, bytes) else image
    if pixels is None or pixels.ndim not in (2, 3) or not 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS:
        return ()
    grey = pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY), np.uint8)
    found: list[Code] = []
    for step in (_whole(_zxing), _whole(_zbar), _tiled(_zxing, 1.0), _tiled(_zxing, 2.0), _tiled(_zbar, 2.0)):
        found += step(np.ascontiguousarray(grey))
        if any(accept(code.payload) for code in found):
            break
    return _distinct(found)


def _whole(reader: Reader) -> Reader:
    return lambda grey: _guarded(reader, grey, (0.0, 0.0), 1.0)


def _tiled(reader: Reader, zoom: float) -> Reader:
    return lambda grey: [c for tile, corner in _tiles(grey, zoom) for c in _guarded(reader, tile, corner, zoom)]


def _tiles(grey: Pixels, zoom: float) -> Iterator[tuple[Pixels, tuple[float, float]]]:
    step = _TILE_PX * 2 // 3
    for y in range(0, max(1, grey.shape[0] - _TILE_PX // 3), step):
        for x in range(0, max(1, grey.shape[1] - _TILE_PX // 3), step):
            tile = np.ascontiguousarray(grey[y : y + _TILE_PX, x : x + _TILE_PX])
            if float(tile.std()) < 6:
                continue
            if zoom != 1.0:
                tile = np.asarray(cv2.resize(tile, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8)
            yield tile, (float(x), float(y))


def _guarded(reader: Reader, grey: Pixels, corner: tuple[float, float], zoom: float) -> list[Code]:
    """The reader's codes in pixels of the whole photo; a reader that throws has read nothing."""
    try:
        codes = reader(grey)
    except Exception:  # noqa: BLE001 - decoders throw anything on hostile pictures (reference: pyzbar ValueError)
        return []
    return [
        Code(
            payload=code.payload,
            format=code.format,
            corners=tuple((x / zoom + corner[0], y / zoom + corner[1]) for x, y in code.corners),
            decoder=code.decoder,
        )
        for code in codes
        if 0 < len(code.payload) <= MAX_PAYLOAD
    ]


def _distinct(codes: list[Code]) -> tuple[Code, ...]:
    return tuple({(code.format, code.payload): code for code in reversed(codes)}.values())[::-1][:MAX_CODES]


def _zxing(grey: Pixels) -> list[Code]:
    import zxingcpp

    found = []
    for code in zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)):
        at = code.position
        points = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        corners = tuple((float(p.x), float(p.y)) for p in points)
        found.append(Code(payload=bytes(code.bytes), format="QRCode", corners=corners, decoder="zxing-cpp"))
    return found


def _zbar(grey: Pixels) -> list[Code]:
    pyzbar: Any = importlib.import_module("pyzbar.pyzbar")
    found = []
    for code in pyzbar.decode(grey, symbols=[pyzbar.ZBarSymbol.QRCODE]):
        corners = tuple((float(p.x), float(p.y)) for p in code.polygon)
        found.append(Code(payload=bytes(code.data), format="QRCode", corners=corners, decoder="pyzbar"))
    return found
