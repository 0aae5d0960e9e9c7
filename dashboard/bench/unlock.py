"""`bench unlock`: how long a keeper waits, through real processes on loopback; bulk link at 1 MB/s.

unlock_*: token request to latch free, continuous stamping. unlock_checked_*: page laid to latch free, with preview,
page check and permit. Both without the durable writes on their way: counted syncs times this disk's measured fdatasync.
Hops are cumulative from the flow's beginning, as the gateway timed them, with nothing subtracted.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

from dashboard.demo import mishaps, paper, story
from dashboard.demo.callers import Json
from dashboard.demo.story import OPENING, Stage
from dashboard.demo.waiting import StoryFailed, until
from dashboard.figures import Options, Report, fdatasync_ms, percentiles

RUNS: Final = 40
QUICK_RUNS: Final = 4
UNLOCK_SYNCS: Final = 3
"""Server commit of the token; device journal GRANT and INTENT."""
CHECKED_SYNCS: Final = 7
"""Device: preview, photo, their folder, PAGE_SEEN, INTENT; gateway: outbox; server: one commit."""


def run(options: Options) -> Report:
    """Raises: StoryFailed."""
    runs = QUICK_RUNS if options.quick else RUNS
    with tempfile.TemporaryDirectory(prefix="cinnabar-bench-") as name:
        folder = Path(name)
        stage = story.new_stage(paper.bundled("en"), folder, lambda *_: None)
        try:
            story.play(stage, OPENING)
            memory = _server_rss_mb(stage)
            unlock = [_without_check(stage) for _ in range(runs)]
            checked = [_with_check(stage) for _ in range(runs)]
        finally:
            stage.close()
            stage.company.stop()
        sync = fdatasync_ms(folder)
    return _report(unlock, checked, sync, memory)


def _without_check(stage: Stage) -> Json:
    """One imprint in continuous stamping: the grant itself frees the latch."""
    story.request(stage, stamping="continuous")
    story.approve(stage)
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    story.unlock_right(stage)
    hops = _ready(stage)["unlock"]
    _finish(stage)
    return dict(hops)


def _with_check(stage: Stage) -> Json:
    story.request(stage)
    story.approve(stage)
    story.unlock_right(stage)
    story.lay_page(stage)
    hops = _ready(stage)["checked"]
    _finish(stage)
    return dict(hops)


def _ready(stage: Stage) -> Json:
    def ready() -> Json | None:
        device = stage.at_gateway.device("bench")
        return device if device["session"]["step"] == "ready" else None

    hops: Json = until("bench", "the latch being free", ready)["hops"]
    return hops


def _finish(stage: Stage) -> None:
    story.press(stage)
    story.into_ledger(stage)
    stage.beside.post("bench", "/take-away")


def _server_rss_mb(stage: Stage) -> float:
    """Resident memory of supervisor, roles and their sandboxes, idle."""
    pids = [stage.company.server.pid]
    for pid in pids:
        pids += mishaps.children(pid)
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                kilobytes += int(line.split()[1])
    return round(kilobytes / 1024, 1)


def _report(unlock: list[Json], checked: list[Json], sync: dict[str, float], memory: float) -> Report:
    granted = percentiles([hops["granted"] for hops in unlock])
    unlocked = percentiles([hops["unlocked"] for hops in checked])
    if not granted or not unlocked:
        raise StoryFailed("bench", "nothing was measured")
    figures: dict[str, Any] = {
        "unlock_p95_ms": round(granted["p95"] - UNLOCK_SYNCS * sync["p50"], 2),
        "unlock_checked_p95_ms": round(unlocked["p95"] - CHECKED_SYNCS * sync["p50"], 2),
        "server_rss_mb": memory,
        "fdatasync_ms": sync,
        "unlock_raw_ms": granted,
        "unlock_checked_raw_ms": unlocked,
        "hops": {name: percentiles([hops[name] for hops in flow]) for flow in (unlock, checked) for name in flow[0]},
    }
    return Report(
        figures=figures,
        counts={"unlocks": len(unlock), "checked": len(checked)},
        targets={"unlock_p95_ms": ("<=", 60), "unlock_checked_p95_ms": ("<=", 900), "server_rss_mb": ("<=", 600)},
        notes=(f"subtracted: {UNLOCK_SYNCS} and {CHECKED_SYNCS} syncs of {sync['p50']} ms",),
    )
