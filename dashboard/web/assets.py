"""Static files under a path that carries the hash of all of them, so that browsers may keep each for a year."""

import hashlib
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parents[1] / "static"


class Assets:
    """`url("app.css")` is the address to print; `prefix` is where `files()` is mounted."""

    def __init__(self, folder: Path = FOLDER) -> None:
        whole = hashlib.sha256()
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            whole.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
        self._folder = folder
        self.prefix: Final = f"/static/{whole.hexdigest()[:16]}"

    def url(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def files(self) -> StaticFiles:
        return _Immutable(directory=self._folder)


class _Immutable(StaticFiles):
    """A changed file has another address, so an answer never goes stale (RFC 8246)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
