"""Public pages from templates: words, dates, languages, and the style sheet under a name that changes with it."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from babel.dates import format_datetime
from fastapi import Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.core.i18n import LANGUAGES, N_, _, language, set_language
from server.core.templates import environment
from server.public.places import Place
from server.public.snapshot import Form, SealState

HERE: Final = Path(__file__).parent
NAMES: Final = {"en": "English", "es": "Español", "zh": "中文"}
_LOCALES: Final = {"en": "en_GB", "es": "es", "zh": "zh_Hans"}
_STATES: Final = {
    SealState.ACTIVE: N_("in use"),
    SealState.SUSPENDED: N_("suspended"),
    SealState.DISPUTED: N_("disputed"),
    SealState.DESTROYED: N_("destroyed"),
}
_FORMS: Final = {Form.PAPER: N_("Paper with a stamped imprint"), Form.ELECTRONIC: N_("PDF with an electronic seal")}


class Shown:
    """Renders the templates of this folder. Thread-safe."""

    def __init__(self, *, installation: str, host: str, demo: bool) -> None:
        whole = hashlib.sha256()
        for file in sorted((HERE / "static").iterdir()):
            whole.update(file.name.encode() + b"\0" + file.read_bytes())
        self.static_prefix: Final = f"/static/{whole.hexdigest()[:16]}"
        self._environment = environment(HERE / "templates")
        self._environment.filters |= {
            "moment": moment,
            "state_word": lambda state: _(_STATES[state]),
            "form_word": lambda form: _(_FORMS[form]),
            "place_words": place_words,
        }
        self._environment.globals |= {
            "style": f"{self.static_prefix}/public.css",
            "icon_url": f"{self.static_prefix}/icon.svg",
            "installation": installation,
            "host": urlsplit(host).netloc,
            "demo": demo,
            "languages": [(name, NAMES[name]) for name in LANGUAGES],
            "current_language": language,
        }

    def static_files(self) -> StaticFiles:
        return _Kept(directory=HERE / "static")

    def page(
        self,
        request: Request,
        name: str,
        *,
        status: int = 200,
        **context: Any,  # noqa: ANN401 - whatever the template shows
    ) -> HTMLResponse:
        """A language link is carried along in the address (`lang`): there are no cookies."""
        wanted = request.query_params.get("lang", "")
        lang = wanted if wanted in LANGUAGES else ""
        if lang:
            set_language(lang)
        text = self._environment.get_template(name).render(
            **{"path": _own_path(request), **context}, lang=f"?lang={lang}" if lang else "", chosen=lang
        )
        return HTMLResponse(text, status_code=status)


class _Kept(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def moment(milliseconds: int) -> str:
    """Date and time with its zone, in the reader's language."""
    utc = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{format_datetime(utc, 'd MMM y, HH:mm', locale=_LOCALES[language()])} UTC"


def place_words(place: Place) -> str:
    """Where to look on the paper."""
    facts = {"page": place.page, "line": place.line, "position": place.position, "next": place.position + 1}
    if place.letters:
        text = _("On page %(page)s, in line %(line)s of the text: which are characters %(position)s and %(next)s?")
    else:
        text = _("On page %(page)s, in line %(line)s of the text: which is word number %(position)s?")
    return text % facts


def _own_path(request: Request) -> str:
    """Where the language links lead: this page for reading, the form for the answer to a sent form."""
    return request.url.path if request.method == "GET" else "/"
