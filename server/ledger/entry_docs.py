"""The table of docs/entries.md, from the registry; `python -m server.ledger.entry_docs FILE` writes it there."""

import sys
from pathlib import Path
from typing import Final

from server.ledger.entry_types import SPECS

BEGIN: Final = "<!-- table: python -m server.ledger.entry_docs docs/entries.md -->"
END: Final = "<!-- end of table -->"


def table() -> str:
    """One row a type, in the order of the numbers."""
    rows = [
        "| number | type | meaning | references | public fields | commitments |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry_type, spec in sorted(SPECS.items()):
        fields = (_listed(spec.refs), _listed(spec.public), _listed(spec.private))
        rows.append(
            f"| {entry_type.value} v{spec.version} | {entry_type.name} | {spec.meaning} | {' | '.join(fields)} |"
        )
    return "\n".join(rows)


def with_table(page: str) -> str:
    """`page` with the table between its marks brought up to date. Raises: ValueError without the marks."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks for the table")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text()))
