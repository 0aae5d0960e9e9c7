"""One wheel; each role's extra alone in an empty environment installs and starts."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, uv

PACKAGES = ("firmware_protocol", "device_sim", "gateway", "server", "dashboard")
IMPORT_ALL = """
import importlib, pkgutil, sys
for package in sys.argv[1:]:
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if module.name.startswith("dashboard.cli.checks") or module.name.endswith(("__main__", "migrations.env")):
            continue
        importlib.import_module(module.name)
"""
"""Development checks need the development set; `__main__` modules run when imported."""


class Installed:
    """An empty environment with the wheel and one extra, at the locked versions."""

    def __init__(self, folder: Path, wheel: Path, extra: str) -> None:
        self.programs = folder / "bin"
        self.python = self.programs / "python"
        lock = ROOT / "locks" / "runtime.txt"
        subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, folder], check=True)
        target = f"{wheel}[{extra}]" if extra else str(wheel)
        install = [uv(), "pip", "install", "--quiet", "--python", self.python, "--constraint", lock, target]
        subprocess.run(install, check=True)

    def run(self, *command: str | Path) -> str:
        variables = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        }  # the wheel, not the tree
        answer = subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


@pytest.mark.parametrize(
    ("extra", "packages", "script"),
    [
        ("", ["firmware_protocol"], "cinnabar"),
        ("device", ["firmware_protocol", "device_sim"], "cinnabar-device"),
        ("gateway", ["firmware_protocol", "gateway"], "cinnabar-gateway"),
        ("server", ["firmware_protocol", "server", "dashboard"], "cinnabar"),
    ],
)
def test_extra_alone_installs_and_starts(
    wheel: Path, tmp_path: Path, extra: str, packages: list[str], script: str
) -> None:
    installed = Installed(tmp_path, wheel, extra)
    installed.run(installed.python, "-P", "-c", IMPORT_ALL, *packages)
    assert "--help" in installed.run(installed.programs / script, "--help")


def test_installed_wheel_does_not_offer_the_workshop(wheel: Path, tmp_path: Path) -> None:
    installed = Installed(tmp_path, wheel, "")
    shown = installed.run(installed.programs / "cinnabar", "--help")
    assert "campaign" not in shown


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    in_tree = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert in_wheel == in_tree


def test_wheel_states_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        facts = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        assert "License-Expression: Apache-2.0" in archive.read(facts).decode()
        assert archive.read(facts.replace("METADATA", "licenses/LICENSE")) == (ROOT / "LICENSE").read_bytes()
