"""Blocks of code that stand in two places: `python -m dashboard.cli.checks.repeats FOLDER...`, exit 1 when any.

Linear in the size of the tree (pylint's finder compares every pair of files). A line counts without its indentation;
docstrings, comments, imports and blank lines do not count.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import typer

from dashboard.cli import ROOT

SHORTEST_REPEAT: Final = 8
"""Lines in a row; shorter ones are mostly form."""

GENERATED: Final = "versions"
"""Migrations are written by Alembic from the models."""

Place = tuple[str, int]
"""Path from the root, and line number from 1."""


def repeats(files: Iterable[Path], root: Path) -> list[str]:
    """One line per repeated block: its length in lines and where both copies begin."""
    windows: dict[tuple[str, ...], Place] = {}
    copies: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for file in files:
        name = str(file.relative_to(root))
        lines = _counting_lines(file.read_text(encoding="utf-8"))
        for start in range(len(lines) - SHORTEST_REPEAT + 1):
            window = tuple(text for _number, text in lines[start : start + SHORTEST_REPEAT])
            first_name, first_line = windows.setdefault(window, (name, lines[start][0]))
            if (first_name, first_line) != (name, lines[start][0]):
                copies[first_name, name].append((first_line, lines[start][0]))
    return [
        f"{first_name}:{first} = {name}:{second} ({SHORTEST_REPEAT} lines or more)"
        for (first_name, name), places in sorted(copies.items())
        for first, second in _beginnings(places)
    ]


def _beginnings(places: list[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Windows that overlap the one before belong to the same copy."""
    last = -SHORTEST_REPEAT
    for first, second in places:
        if second - last >= SHORTEST_REPEAT:
            yield first, second
        last = second


def _counting_lines(source: str) -> list[tuple[int, str]]:
    left_out = _docstring_and_import_lines(ast.parse(source))
    numbered = ((number, line.strip()) for number, line in enumerate(source.splitlines(), start=1))
    return [(number, text) for number, text in numbered if text and number not in left_out and not text.startswith("#")]


def _docstring_and_import_lines(tree: ast.Module) -> set[int]:
    nodes = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str))
    )
    return {line for node in nodes for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def main() -> None:
    files = (file for folder in sys.argv[1:] for file in sorted((ROOT / folder).rglob("*.py")))
    found = repeats((file for file in files if GENERATED not in file.parts), ROOT)
    typer.echo("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
