"""Every package of the runtime lock may be shipped beside Apache-2.0 code. Exit 1 names those that may not."""

import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

import typer

from dashboard.cli import ROOT

STRONG_COPYLEFT: Final = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License")
"""GPL and AGPL; the Lesser GPL is fine for libraries that are imported, not copied."""


def refused(lock: Path) -> list[str]:
    """`name: licence` of each locked package, installed here, that names a strong copyleft licence."""
    names = re.findall(r"(?m)^([A-Za-z0-9_.-]+)==", lock.read_text())
    return [f"{name}: {licence}" for name, licence in _licences(names) if STRONG_COPYLEFT.search(licence)]


def _licences(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            facts = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # locked for another platform
        stated = facts.json
        classifiers = [line for line in stated.get("classifier", []) if line.startswith("License ::")]
        yield (
            name,
            str(stated.get("license_expression") or " ".join(classifiers) or stated.get("license", "none stated")),
        )


def main() -> None:
    found = refused(ROOT / "locks" / "runtime.txt")
    if not (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License"):
        found.append("LICENSE: is not the Apache License")
    typer.echo("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
