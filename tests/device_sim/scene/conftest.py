from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import HeadArtwork, Scene, SceneSettings

ASSETS = Path(__file__).parents[3] / "dashboard" / "demo" / "assets"


@pytest.fixture(scope="session")
def assets() -> Path:
    return ASSETS


@pytest.fixture(scope="session")
def last_page() -> NDArray[np.uint8]:
    """Page 2 of the English contract, RGB, 200 dpi."""
    return render_pdf_page((ASSETS / "office-lease-en.pdf").read_bytes(), 1)


@pytest.fixture(scope="session")
def head() -> HeadArtwork:
    return HeadArtwork.from_png((ASSETS / "seal-en.png").read_bytes(), 40.0)


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    def make(seed: int = 1, **settings: float) -> Scene:
        return Scene(settings=SceneSettings(**settings), rng=np.random.default_rng(seed))  # type: ignore[arg-type]

    return make
