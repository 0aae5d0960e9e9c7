"""The wrapper `cinnabar` in a small clone of its own, against a package index on loopback."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Index, uv

MAIN = "import probe, sys\nprint('ran with', probe.VERSION, *sys.argv[1:])\n"


class Clone:
    """A tree with the real wrapper, a lock file of one package, and a `dashboard.cli` that imports that package."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.environment = folder / ".venv"
        self.lock = folder / "locks" / "runtime.txt"
        shutil.copytree(ROOT / "locks", folder / "locks", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "cinnabar", folder)
        (folder / "dashboard" / "cli").mkdir(parents=True)
        (folder / "dashboard" / "cli" / "__main__.py").write_text(MAIN)
        self.lock.write_text(index.publish("1.0"))
        self.variables = {
            "PATH": f"{Path(uv()).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PIP_INDEX_URL": index.url,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
        }

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.folder / "cinnabar", *arguments], env=self.variables, stdout=pipe, stderr=pipe, text=True, cwd="/"
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def clone(tmp_path: Path, index: Index) -> Clone:
    (tmp_path / "a clone").mkdir()
    return Clone(tmp_path / "a clone", index)


def test_first_run_makes_the_environment_and_the_next_only_runs(clone: Clone, index: Index) -> None:
    code, out, err = clone.run("serve", "--role", "web")
    assert (code, out) == (0, "ran with 1.0 serve --role web\n"), err
    assert "setting up .venv from locks/runtime.txt" in err
    assert "/simple/probe/" in index.asked, "uv took the index that pip is told to take"
    assert clone.run("serve") == (0, "ran with 1.0 serve\n", "")


def test_changed_lock_is_installed(clone: Clone, index: Index) -> None:
    clone.run()
    clone.lock.write_text(index.publish("2.0.1"))
    code, out, _err = clone.run("demo")
    assert (code, out) == (0, "ran with 2.0.1 demo\n")


def test_half_made_environment_is_made_again(clone: Clone) -> None:
    clone.run()
    (clone.environment / "runtime.lock").unlink()
    (clone.environment / "half-made").touch()
    leftover = clone.environment / "leftover"
    leftover.touch()
    assert clone.run("demo")[:2] == (0, "ran with 1.0 demo\n")
    assert not leftover.exists()


def test_environment_whose_python_is_gone_is_made_again(clone: Clone) -> None:
    clone.run()
    (clone.environment / "runtime.lock").unlink()
    (clone.environment / "bin" / "python").unlink()
    assert clone.run("demo")[:2] == (0, "ran with 1.0 demo\n")


def test_two_first_runs_at_once_share_one_environment(clone: Clone) -> None:
    runs = [clone.begin(name) for name in ("one", "two")]
    answers = [process.communicate(timeout=60) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], answers
    assert [out for out, _err in answers] == ["ran with 1.0 one\n", "ran with 1.0 two\n"]
    assert sum("setting up .venv from" in err for _out, err in answers) == 1


def test_package_with_another_hash_is_refused(clone: Clone) -> None:
    clone.lock.write_text(f"probe==1.0 --hash=sha256:{'0' * 64}\n")
    code, out, err = clone.run("demo")
    assert (code, out) == (2, "")
    assert "could not install the packages of runtime.txt" in err
    assert not (clone.environment / "runtime.lock").exists()


def test_checks_take_the_development_set_and_other_commands_then_keep_it(clone: Clone, index: Index) -> None:
    (clone.folder / "locks" / "dev.txt").write_text(index.publish("3.0.1"))
    assert clone.run("check")[:2] == (0, "ran with 3.0.1 check\n")
    assert clone.run("serve")[:2] == (0, "ran with 3.0.1 serve\n")


def test_one_sentence_when_uv_cannot_be_had(clone: Clone) -> None:
    few = clone.folder / "few-programs"
    few.mkdir()
    for program in ("sh", "cmp", "dirname"):
        (few / program).symlink_to(shutil.which(program) or "")
    (few / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    for module in ("pip", "venv"):
        (few / f"{module}.py").write_text("raise SystemExit('not installed, as on a bare Debian')\n")
    clone.variables |= {"PATH": str(few), "PYTHONPATH": str(few)}
    code, out, err = clone.run("demo")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("cinnabar: no way to get uv: install pip for python3")
    assert "Traceback" not in err


def test_start_costs_less_than_300_ms_of_processor() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([ROOT / "cinnabar", "--help"], capture_output=True, text=True, check=True, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "verify" in shown.stdout or "check" in shown.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_overview_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv[1:] = ['--help']\nfrom dashboard.cli import main\n"
        "try: main()\n"
        "finally: print('heavy:', *{'cv2', 'numpy', 'fastapi', 'sqlmodel', 'pyhanko', 'rich'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "heavy:"
