"""What devices and gateways say right now, in the memory of one web process; old words are marked with their age."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from server.core.clock import Clock

STALE_AFTER: Final = timedelta(seconds=10)
"""Gateways repeat a device's state every 5 s (docs/protocol.md, "MQTT")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """The last words of a device. `stale_since`: when they stopped being fresh, None while they are."""

    device_id: str
    gateway_id: str
    status: dict[str, Any]
    online: bool
    heard_at: datetime
    stale_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGateway:
    gateway_id: str
    state: str  # ready, lost
    birth: int
    session_url: str
    heard_at: datetime


class LiveDevices:
    """Thread-safe. `on_change` is called with a device id (or gateway id) after its state changed."""

    def __init__(self, clock: Clock, *, on_change: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._on_change = on_change
        self._devices: dict[str, LiveState] = {}
        self._gateways: dict[str, LiveGateway] = {}
        self._lock = threading.Lock()

    def hear_device(self, gateway_id: str, device_id: str, words: dict[str, Any]) -> None:
        """`words`: the JSON of `up/state`: the device's Status, `at_ms`, `online`."""
        state = LiveState(
            device_id=device_id,
            gateway_id=gateway_id,
            status={key: value for key, value in words.items() if key not in {"at_ms", "online"}},
            online=bool(words.get("online", True)),
            heard_at=self._clock.now(),
        )
        with self._lock:
            before = self._devices.get(device_id)
            self._devices[device_id] = state
        if before is None or before.status != state.status or before.online != state.online:
            self._changed(device_id)

    def hear_gateway(self, gateway_id: str, words: dict[str, Any]) -> None:
        """`words`: the JSON of `status`. A late will of an earlier birth is ignored."""
        birth = int(words.get("birth", 0))
        said = LiveGateway(
            gateway_id=gateway_id,
            state=str(words.get("state", "lost")),
            birth=birth,
            session_url=str(words.get("session_url", "")),
            heard_at=self._clock.now(),
        )
        with self._lock:
            before = self._gateways.get(gateway_id)
            if before is not None and birth < before.birth:
                return
            if not said.session_url and before is not None:
                said = replace(said, session_url=before.session_url)
            self._gateways[gateway_id] = said
        self._changed(gateway_id)

    def device(self, device_id: str) -> LiveState | None:
        """None: nothing heard since this process started."""
        with self._lock:
            state = self._devices.get(device_id)
            gateway = self._gateways.get(state.gateway_id) if state else None
        if state is None:
            return None
        if gateway is not None and gateway.state != "ready":
            return replace(state, online=False, stale_since=min(gateway.heard_at, state.heard_at + STALE_AFTER))
        if self._clock.now() - state.heard_at > STALE_AFTER:
            return replace(state, stale_since=state.heard_at)
        return state

    def gateway(self, gateway_id: str) -> LiveGateway | None:
        with self._lock:
            return self._gateways.get(gateway_id)

    def _changed(self, name: str) -> None:
        if self._on_change is not None:
            self._on_change(name)
