"""Every string of a screen is in the Spanish and the Chinese catalogue. Exit 1 names those that are not.

Catalogues are `*.po` files at PACKAGE/.../locale/LANGUAGE/LC_MESSAGES/. While there is none there is nothing to check.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Final

import typer
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from dashboard.cli import ROOT

LANGUAGES: Final = ("es", "zh")
PACKAGES: Final = ("gateway", "server", "dashboard")
EXTRACTORS: Final = [("**.py", "python"), ("**/templates/**.*", "jinja2")]


def strings(package: Path) -> dict[str, str]:
    """Each string that `_()` and its kin mark in Python and templates -> the first place it stands."""
    found: dict[str, str] = {}
    extracted = extract_from_dir(package, method_map=EXTRACTORS, directory_filter=lambda _folder: True)
    for name, line, message, _comments, _context in extracted:
        text = message if isinstance(message, str) else message[0]
        if text:
            found.setdefault(text, f"{package.name}/{name}:{line}")
    return found


def catalogues(root: Path, language: str) -> list[Catalog]:
    """The catalogues of one language; a regional folder such as zh_Hans counts for its language."""
    files = [
        file
        for package in PACKAGES
        for folder in (language, f"{language}_*")
        for file in sorted((root / package).glob(f"**/locale/{folder}/LC_MESSAGES/*.po"))
    ]
    return [read_po(BytesIO(file.read_bytes()), locale=file.parent.parent.name) for file in files]


def missing(root: Path) -> list[str]:
    """One line per string and language that is absent, empty or marked fuzzy; empty while there is no catalogue."""
    by_language = {language: catalogues(root, language) for language in LANGUAGES}
    if not any(by_language.values()):
        return []
    wanted = {text: place for package in PACKAGES for text, place in strings(root / package).items()}
    return [
        f"{place}: no {language} for {text!r}"
        for language, found in by_language.items()
        for text, place in sorted(wanted.items())
        if not any(_translated(catalogue, text) for catalogue in found)
    ]


def _translated(catalogue: Catalog, text: str) -> bool:
    message = catalogue.get(text)
    if message is None or message.fuzzy:
        return False
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def main() -> None:
    found = missing(ROOT)
    typer.echo("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
