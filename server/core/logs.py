"""Logging: structlog, one event per line, with the request's correlation id and without secrets."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor

HIDDEN: Final = "[hidden]"
_SECRET_NAMES: Final = re.compile(
    r"pass(word|phrase|wd)?$|secret|token|cookie|authorization|api_?key|private|credential|^pin$|_pin$|session_id|share$",
    re.IGNORECASE,
)
"""Field names whose values never reach a log."""
_SECRET_SHAPES: Final = (
    re.compile(r"(?i)\b(bearer|basic)\s+[\w.+/=~-]{8,}"),  # Authorization headers
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"(?i)\b(password|passphrase|secret|pin)(\"?\s*[=:]\s*\"?)[^\s\"&,}]+"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # user:password in a URL
)
_DEPTH: Final = 6


def configure(level: str, form: Literal["pretty", "json"]) -> None:
    """Set logging up for this process; standard-library loggers go the same way."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,  # after the traceback has become text
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "alembic", "_granian", "granian.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: hide values by field name, and secrets inside texts by their shape."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401, PLR0911 - anything may be logged
    if _SECRET_NAMES.search(name):
        return HIDDEN
    if depth > _DEPTH:
        return "..."
    match value:
        case str():
            return _clean_text(value)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {str(key): _clean(str(key), item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean("", item, depth + 1) for item in value]
        case None | bool() | int() | float():
            return value
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    for shape in _SECRET_SHAPES:
        text = shape.sub(HIDDEN, text)
    return text
