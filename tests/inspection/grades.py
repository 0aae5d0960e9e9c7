"""Every tone and every missing part of an imprint, on the simulator's tray: what the grades were chosen from.

`PYTHONPATH=. python -m tests.inspection.grades [SEEDS]` presses the demo's seals in all of them and prints what was
graded how. `test_grades.py` runs a few.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from device_sim.process.faults import Fault, Faults
from device_sim.process.pad import InkPad
from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from server.inspection import tasks
from tests.server.world import contract_pdf

ASSETS: Final = Path(__file__).parents[2] / "dashboard" / "demo" / "assets"
SEALS: Final = ("seal-es.png", "seal-en.png")
DIAMETER_MM: Final = 38.0
TONES: Final = (1.0, 0.9, 0.8, 0.7, 0.65, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.12, 0.08, 0.05, 0.02)
TOUCHING: Final = (0.9, 0.8, 0.7, 0.6, 0.5)
FAULTS: Final = (None, Fault.FAINT_IMPRINT, Fault.CUT_OFF_IMPRINT, Fault.NO_IMPRINT)
_PDF: Final = contract_pdf(pages=1)
_DIGEST: Final = b"g" * 32
_STRIP: Final = bytes(20)


@lru_cache
def _page() -> NDArray[np.uint8]:
    tasks.prepare_page(_PDF, _DIGEST, 1)
    return render_pdf_page(_PDF, 0, dpi=300)


def imprint(seal: str, seed: int, *, ink: float = 1.0, touching: float = 1.0) -> dict[str, Any]:
    """The server's finding for one press in this tone (1 is a fresh pad), with this part of the head's width."""
    page, art = _page(), (ASSETS / seal).read_bytes()
    scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
    scene.lay_page(page)
    before = scene.photograph(_STRIP).full_jpeg
    if ink > 0:
        scene.press(HeadArtwork.from_png(art, DIAMETER_MM), ink=ink, touching=touching)
    after = scene.photograph(_STRIP).full_jpeg
    place = tasks.locate_page(_DIGEST, 1, before).finding.homography
    return tasks.check_imprint(art, DIAMETER_MM, before, after, place).imprint


def faulty(folder: Path, fault: Fault | None, *, level: float = 1.0) -> tuple[float, float]:
    """(ink, touching) of the next press of the simulator's pad filled to `level`, with a named fault or without."""
    faults = Faults()
    pad = InkPad(folder / f"ink-{fault}-{level}", faults)
    pad.fill(level)
    if fault is not None:
        faults.switch(fault)
    return pad.press()


def _ways(folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    yield from ((f"tone {tone:.2f}", {"ink": tone}) for tone in TONES)
    yield "tone 0.00", {"ink": 0.0}
    yield from ((f"touching {part:.1f}", {"touching": part}) for part in TOUCHING)
    for level in (0.25, 0.12, 0.05, 0.03, 0.01):
        ink, touching = faulty(folder, None, level=level)
        yield f"pad {level:.2f} (tone {ink:.2f})", {"ink": ink, "touching": touching}
    for fault in FAULTS:
        ink, touching = faulty(folder, fault)
        yield f"fault {fault}", {"ink": ink, "touching": touching}


def main(seeds: int) -> None:
    """One line a way: how often each grade and answer, and the range of tone and coverage."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, way in _ways(Path(folder)):
            seen = [imprint(seal, seed, **way) for seal in SEALS for seed in range(seeds)]
            grades, answers = (Counter(str(one[key]) for one in seen) for key in ("grade", "answer"))
            ranges = "  ".join(
                f"{key} {min(one[key] for one in seen):.3f}..{max(one[key] for one in seen):.3f}"
                for key in ("tone", "coverage", "score", "agreeing")
            )
            print(f"{name:24} {dict(grades)!s:40} {dict(answers)!s:40} {ranges}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
