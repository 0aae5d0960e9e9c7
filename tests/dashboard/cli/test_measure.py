"""The form of what bench and campaign print, which other programs read."""

import json
import subprocess
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dashboard.cli import ROOT
from dashboard.figures import Options, Report, as_json, fdatasync_ms, percentiles, print_table

NOW = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
REPORT = Report(
    figures={"unlock_p95_ms": 41.5, "server_rss_mb": 700, "hops": {"mqtt": {"p50": 0.7}}},
    counts={"unlocks": 200},
    targets={"unlock_p95_ms": ("<=", 60), "server_rss_mb": ("<=", 600), "never_measured": (">=", 1)},
)


def test_json_is_one_line_of_the_agreed_form() -> None:
    line = as_json(REPORT, name="unlock", options=Options(quick=True, seed=7), now=NOW)
    assert "\n" not in line
    answer = json.loads(line)
    assert set(answer["machine"]) == {"cores", "cpu"}
    assert answer["machine"]["cores"] >= 1
    assert answer["machine"]["cpu"]
    assert answer["commit"] != "unknown"
    del answer["machine"], answer["commit"]
    assert answer == {
        "bench": "unlock",
        "date": "2026-03-14T09:26:53+00:00",
        "seed": 7,
        "quick": True,
        "figures": {"unlock_p95_ms": 41.5, "server_rss_mb": 700, "hops": {"mqtt": {"p50": 0.7}}},
        "counts": {"unlocks": 200},
        "targets": {"unlock_p95_ms": ["<=", 60], "server_rss_mb": ["<=", 600], "never_measured": [">=", 1]},
        "missed": ["server_rss_mb", "never_measured"],
    }


def test_table_says_met_missed_and_quick() -> None:
    shown = StringIO()
    print_table(Console(file=shown, width=120), REPORT, name="unlock", options=Options(quick=True, seed=7))
    text = shown.getvalue()
    assert "too short to quote" in text
    assert [line.split()[-2] for line in text.splitlines() if "unlock_p95_ms" in line] == ["met"]
    assert [line.split()[-2] for line in text.splitlines() if "server_rss_mb" in line] == ["missed"]


def test_rate_is_met_only_by_its_whole_interval() -> None:
    report = Report(
        figures={"sure": 0.99, "unsure": 0.96, "low": 0.9},
        counts={},
        targets=dict.fromkeys(("sure", "unsure", "low"), (">=", 0.95)),
        intervals={"sure": (0.97, 1.0), "unsure": (0.93, 0.98), "low": (0.85, 0.94)},
    )
    assert [report.verdict(name) for name in report.targets] == ["met", "not shown", "missed"]
    assert report.missed() == ["unsure", "low"]


def test_percentiles_of_a_ramp() -> None:
    assert percentiles([float(number) for number in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_fdatasync_time_is_measured_on_the_folder_that_counts(tmp_path: Path) -> None:
    measured = fdatasync_ms(tmp_path)
    assert 0 < measured["p50"] <= measured["p95"] <= measured["p99"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["bench", "campaign"])
def test_unknown_name_exits_2_and_lists_the_known(command: str) -> None:
    answer = subprocess.run([ROOT / "cinnabar", command, "nonesuch"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "there is no 'nonesuch'; there is:" in answer.stderr
    assert answer.stdout == ""
