"""Every string of a screen is in the Spanish and the Chinese catalogue. Exit 1 names those that are not.

Catalogues are `*.po` files at PACKAGE/.../locale/LANGUAGE/LC_MESSAGES/. While there is none there is nothing to check.
`python -m dashboard.cli.checks.translations --update` adds the missing strings, empty, to dashboard/locale, and drops
those that no screen shows any more.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Final

import typer
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from dashboard.cli import ROOT

LANGUAGES: Final = ("es", "zh")
PACKAGES: Final = ("gateway", "server", "dashboard")
KEYWORDS: Final = {**DEFAULT_KEYWORDS, "lazy": None}
"""What marks a string: `_`, `N_`, `ngettext` and the like, and `lazy` of server.core.i18n."""
EXTRACTORS: Final = [("**.py", "python"), ("**/templates/**.*", "jinja2")]


def template(root: Path) -> Catalog:
    """Every string that `_()` and its kin mark in Python and templates, with the places where it stands."""
    catalogue = Catalog()
    for package in PACKAGES:
        found = extract_from_dir(
            root / package, method_map=EXTRACTORS, keywords=KEYWORDS, directory_filter=lambda _folder: True
        )
        for name, line, text, _comments, context in found:
            catalogue.add(text, locations=[(f"{package}/{name}", line)], context=context)
    return catalogue


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
    return [
        f"{place}:{line}: no {language} for {_singular(message)!r}"
        for language, found in by_language.items()
        for message in template(root)
        if message.id and not any(_translated(catalogue, _singular(message)) for catalogue in found)
        for place, line in message.locations[:1]
    ]


def update(root: Path) -> None:
    """Bring dashboard/locale up to the strings in the source; translations that are there stay."""
    strings = template(root)
    for language in LANGUAGES:
        file = root / "dashboard" / "locale" / language / "LC_MESSAGES" / "messages.po"
        file.parent.mkdir(parents=True, exist_ok=True)
        catalogue = read_po(BytesIO(file.read_bytes()), locale=language) if file.exists() else Catalog(locale=language)
        catalogue.update(strings, no_fuzzy_matching=True)
        written = BytesIO()
        write_po(written, catalogue, no_location=True, omit_header=False, sort_output=True, ignore_obsolete=True)
        file.write_bytes(written.getvalue())


def _singular(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _translated(catalogue: Catalog, text: str) -> bool:
    message = catalogue.get(text)
    if message is None or message.fuzzy:
        return False
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def main() -> None:
    if sys.argv[1:] == ["--update"]:
        update(ROOT)
    found = missing(ROOT)
    typer.echo("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
