import pytest

from tests.device_sim.world import World


@pytest.fixture
def world() -> World:
    """A paired device with its head mounted, nothing on the tray."""
    return World()
