import functools
import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def uv() -> str:
    """The uv that made this environment: on PATH, or the one that the wrapper fetched."""
    return shutil.which("uv") or str(ROOT / ".cinnabar" / "uv" / "bin" / "uv")


class Index:
    """A package index on loopback with one package in two versions, and what was asked of it."""

    def __init__(self, folder: Path, asked: list[str], url: str) -> None:
        self.folder = folder
        self.asked = asked
        self.url = url
        (folder / "simple" / "probe").mkdir(parents=True)

    def publish(self, version: str) -> str:
        """Returns the lock line of `probe` in this version."""
        wheel = self.folder / f"probe-{version}-py3-none-any.whl"
        facts = f"probe-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("probe.py", f"VERSION = {version!r}\n")
            archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: probe\nVersion: {version}\n")
            archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{facts}/RECORD", f"probe.py,,\n{facts}/METADATA,,\n{facts}/WHEEL,,\n{facts}/RECORD,,\n")
        links = "".join(f'<a href="../../{file.name}">{file.name}</a>' for file in sorted(self.folder.glob("*.whl")))
        (self.folder / "simple" / "probe" / "index.html").write_text(links)
        return f"probe=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, asked: list[str], directory: str) -> None:
        self.asked = asked
        super().__init__(*arguments, directory=directory)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")  # else uv remembers the list of versions
        super().end_headers()

    def log_message(self, *_arguments: object) -> None:
        self.asked.append(self.path)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    asked: list[str] = []
    handler = functools.partial(Handler, asked=asked, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Index(folder, asked, f"http://127.0.0.1:{server.server_port}/simple")
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            uv(),
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "--out-dir",
            folder,
            ROOT,
        ],
        check=True,
    )
    return next(folder.glob("*.whl"))
