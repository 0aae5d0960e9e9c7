"""The boundary to a device: whole messages in both directions, whatever the carrier."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

OnMessage = Callable[[bytes], None]
"""Called in the event loop, once for each message that arrived whole."""

OnLost = Callable[[], None]
"""Called in the event loop, once, when the carrier is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a carrier waits before the same message goes out again (docs/protocol.md, "Control link")."""

    reply_s: float
    slow_s: float = 3.0
    """For what makes the device photograph, write or move something."""
    tries: int = 4


ON_A_CABLE: Final = Patience(reply_s=0.3)
OVER_THE_AIR: Final = Patience(reply_s=1.0)
"""A message may need 28 packets, and a connection event comes every 7.5 to 50 ms."""


class Transport(Protocol):
    """One carrier. Opening it never changes a device's lock state."""

    @property
    def patience(self) -> Patience: ...

    async def open(self, *, on_message: OnMessage, on_lost: OnLost) -> None:
        """May be called again after a loss. Raises: DeviceUnreachable."""
        ...

    async def send(self, message: bytes) -> None:
        """Raises: DeviceUnreachable."""
        ...

    async def close(self) -> None:
        """Idempotent."""
        ...
