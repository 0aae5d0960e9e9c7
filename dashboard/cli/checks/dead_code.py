"""Functions, classes and methods that nothing calls, tests and templates included. Exit 1 names them.

Vulture finds names that are defined and never used; unused arguments are ruff's business (ARG), and fields of messages,
tables and settings are read by their libraries, so neither is listed here.
"""

import re
import sys
from pathlib import Path
from typing import Final

import typer
from vulture.core import Item, Vulture

from dashboard.cli import ROOT

PACKAGES: Final = ("firmware_protocol", "device_sim", "gateway", "server", "dashboard")
USED_FROM: Final = ("tests", "locks")
LISTED: Final = frozenset({"function", "class", "method", "property", "import", "unreachable_code"})
CALLED_BY_DECORATOR: Final = [
    *(f"@*.{verb}" for verb in ("get", "post", "put", "patch", "delete", "head", "options", "api_route", "middleware")),
    *("@handler", "@every"),  # jobs, called by kind or by the clock
    *(
        "@*.exception_handler",
        "@*.command",
        "@*.callback",
        "@*.listens_for",
        "@listens_for",
        "@*.dispatch_for",
        "@pytest.fixture*",
    ),
    *(
        "@field_validator",
        "@model_validator",
        "@field_serializer",
        "@computed_field",
        "@contextfunction",
        "@pass_context",
    ),
]
CALLED_BY_LIBRARY: Final = [
    *("SliceTables", "render_broken_contract"),  # import-linter reads the one from .importlinter, and calls the other
    *("process_bind_param", "process_result_value", "load_dialect_impl"),  # SQLAlchemy column types
    *("settings_customise_sources", "model_post_init"),  # pydantic
    *("async_request_tsa_response", "async_sign_raw"),  # pyHanko time stampers and signers
    *("upgrade", "downgrade"),  # Alembic migrations
    *("unpair", "read_gatt_char", "read_gatt_descriptor", "write_gatt_descriptor", "stop_notify"),  # a bleak backend
    *("do_GET", "do_POST", "log_message", "handle_error", "emit", "format"),  # standard library handlers
    *("on_*", "connection_made", "connection_lost", "data_received", "datagram_received"),  # callbacks
]


def unused(root: Path) -> list[Item]:
    """What vulture finds in the packages, without what a library, a template or a test calls."""
    names = [*CALLED_BY_LIBRARY, *template_names(root), *named_in_strings(root)]
    finder = Vulture(ignore_names=names, ignore_decorators=CALLED_BY_DECORATOR)
    finder.scavenge([root / folder for folder in (*PACKAGES, *USED_FROM) if (root / folder).exists()])
    return [
        item
        for item in finder.get_unused_code(min_confidence=60)
        if item.typ in LISTED and item.filename.resolve().relative_to(root).parts[0] in PACKAGES
    ]


def named_in_strings(root: Path) -> set[str]:
    """What is called by "package.module:name": sandboxed functions and parts found at run time."""
    reference = re.compile(r"[\"'](?:firmware_protocol|device_sim|gateway|server|dashboard)[\w.]*:([A-Za-z_]\w*)[\"']")
    files = (file for package in PACKAGES for file in (root / package).rglob("*.py"))
    return {name for file in files for name in reference.findall(file.read_text(encoding="utf-8"))}


def template_names(root: Path) -> set[str]:
    """Every identifier inside a Jinja expression or statement of the packages' templates."""
    templates = (file for package in PACKAGES for file in (root / package).rglob("templates/**/*") if file.is_file())
    code = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
    return {
        name
        for file in templates
        for part in code.findall(file.read_text(encoding="utf-8"))
        for name in re.findall(r"[A-Za-z_]\w*", part)
    }


def main() -> None:
    found = unused(ROOT)
    for item in found:
        typer.echo(f"{item.filename.resolve().relative_to(ROOT)}:{item.first_lineno}: {item.message}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
