"""Translation: gettext catalogues through Babel, one language per request in a context variable.

`_()` translates now, `N_()` only marks a text for the catalogue so that it is translated when shown. The catalogues
lie beside the packages, in dashboard/locale/LANG/LC_MESSAGES/messages.po.
"""

import contextlib
import gettext as _gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import LazyProxy, Translations

LANGUAGES: Final = ("en", "es", "zh")
COOKIE: Final = "language"
LOCALE_FOLDER: Final = Path(__file__).parents[2] / "dashboard" / "locale"
DOMAIN: Final = "messages"

_language: ContextVar[str] = ContextVar("language", default="en")


def language() -> str:
    """The language of the current request or thread: 'en', 'es' or 'zh'."""
    return _language.get()


def set_language(name: str) -> None:
    """Choose the language for the rest of this context; an unknown name means English."""
    _language.set(name if name in LANGUAGES else "en")


@contextmanager
def in_language(name: str) -> Iterator[None]:
    """Run a block in one language, for example to write a notice to a person who reads Spanish."""
    token = _language.set(name if name in LANGUAGES else "en")
    try:
        yield
    finally:
        _language.reset(token)


def choose_language(*, cookie: str | None, accept_language: str | None, default: str) -> str:
    """The language for a request: the cookie if it names one of ours, else the browser's best, else `default`.

    Accept-Language as in RFC 9110 section 12.5.4; a broken header counts as absent.
    """
    if cookie in LANGUAGES:
        return str(cookie)
    offers: list[tuple[float, int, str]] = []
    for position, part in enumerate((accept_language or "").split(",")[:20]):
        tag, _sep, parameter = part.strip().partition(";")
        primary = tag.strip().lower().split("-")[0]
        if primary in LANGUAGES:
            offers.append((-_quality(parameter), position, primary))
    wanted = [offer for offer in sorted(offers) if offer[0] < 0]
    return wanted[0][2] if wanted else default


def _quality(parameter: str) -> float:
    name, _sep, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _(message: str) -> str:
    """`message` in the current language; English when the catalogue lacks it."""
    return translations(language()).gettext(message) if message else ""


def N_(message: str) -> str:  # noqa: N802 - the name every gettext extractor knows
    """Mark `message` for the catalogue; translate it later with `_()`."""
    return message


def ngettext(singular: str, plural: str, n: int) -> str:
    """The form for `n` things in the current language."""
    return translations(language()).ngettext(singular, plural, n)


def lazy(message: str) -> LazyProxy:
    """`message`, translated each time it is shown; for labels made at import time."""
    return LazyProxy(_, message, enable_cache=False)


@cache
def translations(name: str, folder: Path = LOCALE_FOLDER) -> _gettext.NullTranslations:
    """The catalogue of one language; compiled first when the .mo is missing or older than the .po."""
    po = folder / name / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not po.is_file():
        return _gettext.NullTranslations()
    mo = po.with_suffix(".mo")
    if mo.is_file() and mo.stat().st_mtime >= po.stat().st_mtime:
        return Translations(io.BytesIO(mo.read_bytes()))
    with po.open("rb") as source:
        catalogue = read_po(source, locale=name, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    with contextlib.suppress(OSError):  # an installed package may be read-only; then it is compiled at each start
        mo.write_bytes(compiled.getvalue())
    return Translations(io.BytesIO(compiled.getvalue()))
