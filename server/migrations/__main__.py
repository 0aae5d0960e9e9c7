"""`python -m server.migrations upgrade` (what `serve` runs first) and `regenerate` (workshop only)."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from server.core.db import Database
from server.migrations import FOLDER, config_for, load_models, upgrade

INITIAL: Final = FOLDER / "versions" / "0001_initial.py"


def regenerate() -> None:
    """Write the initial migration anew from the models; only while nothing is released."""
    from alembic import command

    others = [path for path in INITIAL.parent.glob("*.py") if path != INITIAL]
    if others:
        sys.exit(f"there are later migrations ({others[0].name}): add one, do not rewrite the first")
    INITIAL.unlink(missing_ok=True)
    load_models()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        with database.engine.begin() as connection:
            command.revision(config_for(connection), message="All tables", autogenerate=True, rev_id="0001")
        database.close()
    (written,) = INITIAL.parent.glob("0001*.py")
    written.rename(INITIAL)
    lines = [line for line in INITIAL.read_text().splitlines() if not line.strip().startswith("# ###")]
    lines.insert(lines.index("import sqlalchemy as sa"), "# ruff: noqa: PLR0915 - one statement per table\n")
    INITIAL.write_text("\n".join([*lines, ""]))
    for ruff in (["check", "--fix", "-q"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *ruff, str(INITIAL)], check=False)  # noqa: S603 - our own tool
    sys.stderr.write(f"wrote {INITIAL}\n")


if __name__ == "__main__":
    steps = {"upgrade": upgrade, "regenerate": regenerate}
    steps[sys.argv[1]]()
