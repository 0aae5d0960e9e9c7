import os
import subprocess
import sys
from pathlib import Path

from dashboard.cli import ROOT
from dashboard.cli.check import Step, outcomes, steps


def test_outcomes_come_in_order_with_what_the_tool_said() -> None:
    good = Step(name="good", command=(sys.executable, "-c", "print('fine')"))
    bad = Step(name="bad", command=(sys.executable, "-c", "import sys; sys.exit('line 3 is wrong')"))
    found = [(outcome.step.name, outcome.passed, outcome.output.strip()) for outcome in outcomes([bad, good])]
    assert found == [("bad", False, "line 3 is wrong"), ("good", True, "fine")]


def test_every_tool_of_the_check_is_installed() -> None:
    assert [step.name for step in steps() if not Path(step.command[0]).exists()] == []


def test_time_per_folder_is_printed_before_the_closing_line(tmp_path: Path) -> None:
    for folder in ("fast", "slow"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.fixtures.times", "-n", "2", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    *_, fast, closing = shown.splitlines()
    assert closing.strip("= ").startswith("4 passed in")
    assert {line.split()[-1] for line in (fast, shown.splitlines()[-3])} == {"tests/fast", "tests/slow"}
    assert fast.split()[1:4] == ["s", "2", "tests"]
