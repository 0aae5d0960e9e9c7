"""The grade of an imprint: how dark it is beside a fresh one, and how much of it is there; for every fault, end to end
of the vision. `grades.py` is the long form.
"""

from pathlib import Path

import pytest

from device_sim.process.faults import Fault
from server.devices.ink import FAINT_SHARE
from server.inspection.vision.grade import FAINT_TONE
from tests.inspection.grades import SEALS, faulty, imprint


@pytest.mark.parametrize(
    ("fault", "grade", "answer"),
    [
        (Fault.FAINT_IMPRINT, "faint", "ambiguous"),
        (Fault.CUT_OFF_IMPRINT, "cut_off", "ambiguous"),
        (Fault.NO_IMPRINT, "missing", "missing"),
    ],
)
def test_each_fault_of_a_press_has_its_grade(tmp_path: Path, seed: int, fault: Fault, grade: str, answer: str) -> None:
    ink, touching = faulty(tmp_path, fault)
    found = imprint(SEALS[seed % len(SEALS)], seed, ink=ink, touching=touching)
    assert (found["grade"], found["answer"]) == (grade, answer), f"seed {seed}: {found}"


@pytest.mark.parametrize(("level", "grade"), [(0.25, "clear"), (0.03, "faint")])
def test_a_pad_that_runs_dry_is_seen_on_the_paper(tmp_path: Path, seed: int, level: float, grade: str) -> None:
    ink, touching = faulty(tmp_path, None, level=level)
    found = imprint(SEALS[seed % len(SEALS)], seed, ink=ink, touching=touching)
    assert (found["grade"], found["answer"]) == (grade, "genuine"), f"seed {seed}: {found}"
    assert found["tone"] == pytest.approx(ink, abs=0.08)
    assert found["coverage"] > 0.99


def test_the_ink_trend_ends_where_an_imprint_is_graded_faint() -> None:
    assert FAINT_SHARE == FAINT_TONE
