"""Addresses of tiles and entry bundles (c2sp.org/tlog-tiles "Merkle Tree", "Log entries"), without I/O."""

import re
from typing import Final

from server.ledger.merkle import TILE_WIDTH

_INDEX: Final = re.compile(r"(?:x[0-9]{3}/){0,6}[0-9]{3}")
"""N as zero-padded groups of three, all but the last with an x: 1234067 is x001/x234/067."""
MAX_LEVEL: Final = 63


class NoSuchTile(ValueError):
    """The specification has no such address."""


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`."""
    return f"tile/{level}/{index_path(index, width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """`tile/entries/<N>[.p/<W>]`."""
    return f"tile/entries/{index_path(index, width)}"


def index_path(index: int, width: int = TILE_WIDTH) -> str:
    digits = f"{index:d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return name if width == TILE_WIDTH else f"{name}.p/{width}"


def parse_tile(level: str, path: str) -> tuple[int, int, int]:
    """(level, index, width) of `tile/<level>/<path>`. Raises: NoSuchTile."""
    if not re.fullmatch(r"0|[1-9][0-9]?", level) or int(level) > MAX_LEVEL:
        raise NoSuchTile(level)
    return (int(level), *parse_index(path))


def parse_index(path: str) -> tuple[int, int]:
    """(index, width) of `<N>[.p/<W>]`. Raises: NoSuchTile."""
    name, partial, width = path.partition(".p/")
    if not _INDEX.fullmatch(name) or (partial and not re.fullmatch(r"[1-9][0-9]{0,2}", width)):
        raise NoSuchTile(path)
    found = (int(name.replace("x", "").replace("/", "")), int(width) if partial else TILE_WIDTH)
    if found[1] > TILE_WIDTH or index_path(*found) != path:
        raise NoSuchTile(path)
    return found
