"""The boundary to a device: whole messages in both directions, whatever the carrier."""

from collections.abc import Callable
from typing import Protocol

OnMessage = Callable[[bytes], None]
"""Called in the event loop, once for each message that arrived whole."""

OnLost = Callable[[], None]
"""Called in the event loop, once, when the carrier is gone."""


class Transport(Protocol):
    """One carrier. Opening it never changes a device's lock state."""

    async def open(self, *, on_message: OnMessage, on_lost: OnLost) -> None:
        """Raises: DeviceUnreachable."""
        ...

    async def send(self, message: bytes) -> None:
        """Raises: DeviceUnreachable."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...
