"""No committed file names a package registry: installations bring their own index. Exit 1 names the lines."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import typer

from dashboard.cli import ROOT

REGISTRY: Final = re.compile(
    rb"(?i)\b(?:[a-z0-9-]+\.)*(?:pypi|pythonhosted|npmjs|yarnpkg)\.[a-z]{2,4}\b|\bdeb\.debian\.[a-z]+"
)


def named_registries(root: Path) -> list[str]:
    """`path:line` of every mention in a tracked text file."""
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=root, capture_output=True, check=True)  # noqa: S607 - git is the one tool a clone has
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        file = root / name
        content = file.read_bytes() if file.is_file() else b""
        for hit in REGISTRY.finditer(content):
            line = content.count(b"\n", 0, hit.start()) + 1
            found.append(f"{name}:{line}: {hit.group().decode()}")
    return found


def main() -> None:
    found = named_registries(ROOT)
    typer.echo("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
