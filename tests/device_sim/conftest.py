import io
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw

from firmware_protocol import messages
from tests.device_sim.rig import Rig
from tests.device_sim.world import World


@pytest.fixture
def world() -> World:
    """A paired device with its head mounted, nothing on the tray."""
    return World()


@pytest.fixture
def seen(world: World) -> messages.Captured:
    """A page that lies there, photographed for the first of two strokes."""
    world.grant()
    world.lay()
    return world.capture()


@pytest.fixture(scope="module")
def head_png() -> bytes:
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).ellipse((5, 5, 295, 295), outline=0, width=20)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory, head_png: bytes) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("device"))
    rig.start("--seed", "7")
    rig.pair()
    rig.mount_head(head_png)
    yield rig
    rig.stop()


@pytest.fixture
def rig(_running: Rig) -> Rig:
    """A running, paired device; what the test before left open is closed."""
    _running.keeper("/fault", {"name": "none"})
    _running.ask(messages.RelockRequest(close_grant=True))
    _running.keeper("/take-away", {})
    _running.ask(messages.HelloRequest())
    _running.heard.clear()
    return _running
