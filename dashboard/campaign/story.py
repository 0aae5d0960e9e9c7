"""`campaign story`: kill -9 of every process at every step of a stamping; the counts must agree afterwards.

One company lives through the whole campaign. For each pair of step and victim there is a new request; the victim dies
a drawn moment after the step began; the keeper goes on. At the end the device's mechanical counter, the ledger and the
requests must say the same, and `fsck` must find nothing.
"""

import contextlib
import json
import random  # noqa: TID251 - one seeded source for the whole campaign
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashboard.cli import ROOT
from dashboard.demo import mishaps, paper, story
from dashboard.demo.story import OPENING, Stage
from dashboard.demo.waiting import StoryFailed, until
from dashboard.figures import Options, Report

STEPS: Final = ("token", "lay page", "press", "ledger")
QUICK: Final = 2
LONGEST_MS: Final = 400
"""The victim dies at most this long after the step began; a whole stroke takes about twice as long."""


def run(options: Options) -> Report:
    """Raises: StoryFailed, when a story cannot even begin."""
    rng = random.Random(options.seed)
    pairs = [(step, victim) for step in STEPS for victim in mishaps.VICTIMS]
    chosen = rng.sample(pairs, QUICK) if options.quick else pairs
    with tempfile.TemporaryDirectory(prefix="cinnabar-campaign-") as folder:
        return _campaign(Path(folder), chosen, rng)


def _campaign(folder: Path, chosen: list[tuple[str, str]], rng: random.Random) -> Report:
    stage = story.new_stage(paper.bundled("en"), folder, lambda *_: None)
    notes: list[str] = []
    tries = 0
    try:
        story.play(stage, OPENING)
        for step, victim in chosen:
            tries += _one(stage, step, victim, rng.randrange(LONGEST_MS), notes)
        found = accounts(stage)
    finally:
        stage.close()
        stage.company.stop()
    notes += found.wrong
    return Report(
        figures={"violations": len(notes), "tries": tries},
        counts={"kills": len(chosen), **found.counts},
        targets={"violations": ("<=", 0)},
        notes=tuple(notes),
    )


def _one(stage: Stage, step: str, victim: str, delay_ms: int, notes: list[str]) -> int:
    """One request with one death in it; the number of tries the keeper needed."""
    for act in (story.request, story.approve):
        until("campaign", "the office working again", lambda act=act: _works(act, stage), timeout_s=30)  # type: ignore[misc]
    acts = {each.name: each.act for each in story.STAMPING}
    death = threading.Timer(delay_ms / 1000, _die, (stage, victim))
    with contextlib.suppress(StoryFailed):  # what follows the death may fail; what matters is how it ends
        for name in STEPS[: STEPS.index(step)]:
            acts[name](stage)
    death.start()
    with contextlib.suppress(StoryFailed):
        acts[step](stage)
    death.join()
    try:
        tries = mishaps.go_on(stage)
        stage.beside.post("campaign", "/take-away")
    except StoryFailed as error:
        notes.append(f"{victim} killed {delay_ms} ms into '{step}': {error.why}")
        return 0
    return tries


def _works(act: Callable[[Stage], str], stage: Stage) -> bool:
    """What died a moment ago may still be starting."""
    try:
        act(stage)
    except StoryFailed:
        return False
    return True


def _die(stage: Stage, victim: str) -> None:
    """Somebody starts it again at once, as systemd or the office would."""
    mishaps.kill(stage, victim)
    mishaps.revive(stage, victim)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Device, ledger and requests side by side; `wrong` says what does not agree."""

    counts: dict[str, int]
    wrong: list[str]


def accounts(stage: Stage) -> Accounts:
    """Waits until the ledger has everything. Raises: StoryFailed, when it does not get it."""
    story.into_ledger(stage)
    auditor = stage.person("auditor")
    sheet = auditor.get_every("accounts", "/api/v1/reconciliation", "request_id")
    pressed = sum(row["pressed"] for row in sheet)
    unsure = sum(row["not_confirmed"] for row in sheet)
    counter = stage.at_gateway.device("accounts")["counter"]
    wrong = [f"counter {counter}, ledger {pressed} + {unsure} not confirmed"] if counter != pressed + unsure else []
    wrong += [f"{row['short']}: {row['pressed']} pressed of {row['approved']}" for row in sheet if _too_many(row)]
    if found := fsck(stage.company.home):
        wrong.append(found)
    counts = {"strokes": counter, "recorded": pressed, "not_confirmed": unsure, "requests": len(sheet)}
    return Accounts(counts, wrong)


def _too_many(row: dict[str, int]) -> bool:
    """More imprints than were approved and a spare allows."""
    return row["pressed"] > row["approved"] + 1


def fsck(home: Path) -> str:
    answer = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "dashboard.cli", "fsck", "--policy", "--home", str(home), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if answer.returncode == 0 else f"fsck: {json.loads(answer.stdout or '{}') or answer.stderr}"
