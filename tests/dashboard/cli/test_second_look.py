"""`cinnabar test` without arguments: what fails once is looked at again, what fails twice fails."""

from pathlib import Path

import pytest

from dashboard.cli.test import MOST_UNSTABLE, run

ONCE = """
from pathlib import Path
import os

def test_before():
    Path("order").write_text("kept")

def test_busy_machine():
    seen = Path("seen")
    seed, before = os.environ["CINNABAR_SEED"], seen.exists() and seen.read_text()
    seen.write_text(seed)
    assert before == seed and Path("order").read_text() == "kept"
"""
ALWAYS = "def test_broken():\n    raise AssertionError\n"
FINE = "def test_fine():\n    pass\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_fine.py").write_text(FINE)
    return tmp_path


def test_what_passes_alone_is_named_as_unstable(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "test_once.py").write_text(ONCE)
    assert run(root, []) == 0
    said = capfd.readouterr().out
    assert "UNSTABLE" in said
    assert "  test_once.py::test_busy_machine" in said
    assert "2 passed" in said, "the file again, with the tests before"


def test_what_fails_twice_fails(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "test_once.py").write_text(ONCE)
    (root / "test_always.py").write_text(ALWAYS)
    assert run(root, []) == 1
    assert "UNSTABLE" not in capfd.readouterr().out


def test_many_failures_are_no_accident(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(MOST_UNSTABLE + 1):
        (root / f"test_once_{number}.py").write_text(ONCE.replace("seen", f"seen{number}"))
    assert run(root, []) == 1
    assert "once more" not in capfd.readouterr().out


def test_who_names_tests_sees_them_as_they_are(root: Path) -> None:
    (root / "test_once.py").write_text(ONCE)
    assert run(root, ["test_once.py"]) == 1
