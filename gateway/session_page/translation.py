"""The gateway's own gettext: its words must be there when headquarters is not. Catalogues lie in locale/."""

import gettext
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = {"en": "English", "es": "Español", "zh": "中文"}
COOKIE: Final = "language"
LOCALE: Final = Path(__file__).parent / "locale"

Translate = Callable[[str], str]


def N_(message: str) -> str:  # noqa: N802 - the name every gettext extractor knows
    """Mark `message` for the catalogue; it is translated when shown."""
    return message


@cache
def catalogue(name: str) -> gettext.NullTranslations:
    """The catalogue of one language, compiled in memory: an installed package may be read-only."""
    po = LOCALE / name / "LC_MESSAGES" / "messages.po"
    if not po.is_file():
        return gettext.NullTranslations()
    with po.open("rb") as source:
        words = read_po(source, locale=name)
    compiled = io.BytesIO()
    write_mo(compiled, words)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def choose(*, cookie: str | None, accept_language: str | None) -> str:
    """The cookie if it names one of ours, else the first of the browser's that does, else English."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in (accept_language or "").split(",")[:20]:
        primary = part.partition(";")[0].strip().lower().partition("-")[0]
        if primary in LANGUAGES:
            return primary
    return "en"
