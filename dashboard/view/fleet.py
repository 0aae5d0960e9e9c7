"""A device as a row: what it said last, how old that is, in words. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from dashboard.web.words import Word, device_word
from server.core.i18n import N_, _
from server.devices.live import LiveState
from server.devices.schemas import DeviceRead, DeviceState

_LOCK: Final = {
    "locked": Word("lock", "good", N_("Locked")),
    "granted": Word("lock", "wait", N_("Locked, a job is open")),
    "page_seen": Word("lock", "wait", N_("Locked, the page is compared")),
    "unlocked": Word("unlock", "wait", N_("Unlocked for one press")),
    "pressed": Word("stamp", "wait", N_("Pressed")),
    "service": Word("tool", "wait", N_("Being serviced: it stays locked")),
    "sweeping": Word("lock", "wait", N_("Locked, pages are leafed through")),
    "tampered": Word("alert", "bad", N_("Opened or moved: it stays locked")),
    "suspended": Word("pause", "bad", N_("Suspended")),
    "fault": Word("alert", "bad", N_("Fault: it stays locked")),
}
"""The device's states on the wire (firmware_protocol.messages.State)."""


class Fact(NamedTuple):
    """A measurement with its unit, in words."""

    name: str
    value: str


_SENSORS: Final = {
    "battery": (N_("Battery"), "%"),
    "temperature": (N_("Temperature"), "°C"),
    "ink": (N_("Ink, as the device counts it"), "%"),
    "camera": (N_("Camera"), ""),
    "coder": (N_("Code printer"), ""),
    "cover": (N_("Cover in a service"), ""),
    "counter": (N_("Press counter, set anew"), ""),
    "journal-torn": (N_("Bytes cut off by a power cut"), ""),
}
_KELVIN: Final = 273


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """`heard_at` is None when nothing was heard since this server started; `stale_since` when old words are shown."""

    device: DeviceRead
    lock: Word
    paper: Word | None
    cover: Word | None
    counter: int
    waiting_events: int
    heard_at: datetime | None
    stale_since: datetime | None
    online: bool
    facts: tuple[Fact, ...] = ()


def fleet_row(device: DeviceRead, live: LiveState | None, now: datetime) -> FleetRow:
    status = live.status if live is not None else {}
    fresh = live is not None and live.online and live.stale_since is None
    return FleetRow(
        device=device,
        lock=_lock(device, live, fresh=fresh),
        paper=_paper(status) if fresh else None,
        cover=_cover(status) if fresh else None,
        counter=int(status.get("counter", device.counter)),
        waiting_events=max(
            0, int(status.get("last_seq", device.last_seq)) - int(status.get("acked_seq", device.acked_seq))
        ),
        heard_at=live.heard_at if live is not None else device.seen_at,
        stale_since=_stale_since(device, live, now),
        online=fresh,
        facts=_facts(status),
    )


def _stale_since(device: DeviceRead, live: LiveState | None, now: datetime) -> datetime | None:
    if live is None:
        return device.seen_at or now
    if live.stale_since is not None:
        return live.stale_since
    return None if live.online else live.heard_at


def _lock(device: DeviceRead, live: LiveState | None, *, fresh: bool) -> Word:
    if device.state is not DeviceState.ACTIVE:
        return device_word(device.state)
    if live is None or not fresh:
        return Word("silent", "bad", _("Silent"))
    word = _LOCK.get(str(live.status.get("state", "")), Word("lock", "good", N_("Locked")))
    return word._replace(text=_(word.text))


def _paper(status: dict[str, object]) -> Word:
    if not status.get("page_present"):
        return Word("page", "plain", _("No paper"))
    return Word("page", "plain", _("Paper lies still") if status.get("page_still") else _("Paper moves"))


def _cover(status: dict[str, object]) -> Word | None:
    closed = status.get("cover_closed")
    if closed is None:
        return None
    return Word("check", "plain", _("Cover closed")) if closed else Word("alert", "bad", _("Cover open"))


def _facts(status: dict[str, object]) -> tuple[Fact, ...]:
    """Battery, temperature and ink from the device's own words; those it does not have are left out."""
    said = [(name, status.get(name)) for name in ("battery", "temperature", "ink")]
    return tuple(sensor_fact(name, value) for name, value in said if isinstance(value, int))


def sensor_fact(name: str, value: int) -> Fact:
    """`temperature` comes in kelvin (docs/protocol.md, Status)."""
    text, unit = _SENSORS.get(name, (name, ""))
    if name in {"camera", "coder"}:
        return Fact(_(text), _("works") if value else _("does not work"))
    if name == "cover":
        return Fact(_(text), _("Cover open") if value else _("Cover closed"))
    shown = value - _KELVIN if name == "temperature" else value
    return Fact(_(text), f"{shown} {unit}".strip())
