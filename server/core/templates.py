"""Jinja as every page of the server uses it: escaped, strict, with gettext."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server.core.i18n import _, ngettext


def environment(folder: Path) -> Environment:
    """Templates of `folder`. An undefined name is an error, not an empty string."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined]
    return made
