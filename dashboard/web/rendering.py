"""HTML from templates: one Jinja environment with translation, and the facts every page shows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from babel.dates import format_datetime
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from dashboard.web.assets import Assets
from dashboard.web.words import (
    device_word,
    entry_word,
    refusal_word,
    request_word,
    role_word,
    seal_word,
    service_word,
    tamper_word,
    work_word,
)
from server.core.errors import ServerError, problem_of
from server.core.i18n import LANGUAGES, _, language, ngettext
from server.core.runtime import Runtime
from server.core.scope import Role
from server.core.templates import environment
from server.identity.schemas import SignedIn

TEMPLATES: Final = Path(__file__).parents[1] / "templates"
LANGUAGE_NAMES: Final = {"en": "English", "es": "Español", "zh": "中文"}
_LOCALES: Final = {"en": "en_GB", "es": "es", "zh": "zh_Hans"}


class Pages:
    """Renders templates. One for an app; thread-safe."""

    def __init__(self, runtime: Runtime, assets: Assets) -> None:
        self._runtime = runtime
        self._environment = environment(TEMPLATES)
        self._environment.filters |= {
            "moment": moment,
            "clock_time": clock_time,
            "time_left": lambda until: time_left(until - runtime.now()),
            "short_hash": lambda digest: digest.hex()[:12],
        }
        self._environment.globals |= {
            "asset": assets.url,
            "installation": runtime.settings.installation,
            "demo": runtime.settings.demo,
            "languages": [(name, LANGUAGE_NAMES[name]) for name in LANGUAGES],
            "current_language": language,
            "now": runtime.now,
            "request_word": request_word,
            "seal_word": seal_word,
            "device_word": device_word,
            "entry_word": entry_word,
            "refusal_word": refusal_word,
            "role_word": role_word,
            "service_word": service_word,
            "work_word": work_word,
            "tamper_word": tamper_word,
            "Role": Role,
        }

    def page(
        self,
        request: Request,
        name: str,
        *,
        me: SignedIn | None = None,
        status: int = 200,
        error: ServerError | None = None,
        **context: Any,  # noqa: ANN401 - whatever the template shows
    ) -> HTMLResponse:
        """`error`: why what was sent was refused. The template has it as `problem`, the response has its status."""
        template = self._environment.get_template(name)
        part = request.headers.get("hx-request") is not None
        problem = problem_of(error, instance="") if error is not None else None
        text = template.render({"problem": problem} | context, me=me, path=request.url.path, part=part)
        return HTMLResponse(text, status_code=error.status if error is not None else status)


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def moment(value: datetime | None) -> Markup:
    """A `<time>` in UTC; static/times.js rewrites it in the reader's own zone."""
    if value is None:
        return Markup("")
    utc = value.astimezone(UTC)
    shown = format_datetime(utc, "d MMM y, HH:mm", locale=_LOCALES[language()])
    return Markup('<time datetime="{}">{} UTC</time>').format(utc.isoformat(timespec="seconds"), shown)


def clock_time(value: datetime | None) -> Markup:
    """The same with seconds and without the day."""
    if value is None:
        return Markup("")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}" data-show="clock">{:%H:%M:%S} UTC</time>').format(utc.isoformat(), utc)


def time_left(left: timedelta) -> str:
    """In words, rounded down to the largest unit that says something."""
    minutes = int(left.total_seconds() // 60)
    if minutes < 0:
        return _("time is over")
    if minutes >= 48 * 60:
        days = minutes // (24 * 60)
        return ngettext("%(n)s day left", "%(n)s days left", days) % {"n": days}
    if minutes >= 60:
        hours = minutes // 60
        return ngettext("%(n)s hour left", "%(n)s hours left", hours) % {"n": hours}
    return ngettext("%(n)s minute left", "%(n)s minutes left", minutes) % {"n": minutes}
