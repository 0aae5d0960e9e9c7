"""Files with secrets: readable by this user alone, and whole after a power cut."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """The old file or the new one, mode 0600. Raises: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
