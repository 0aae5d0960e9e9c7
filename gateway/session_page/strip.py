"""What is always visible: lock, cover, paper, camera, links, battery, time left; and the banner."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.session_page.screen import Fact
from gateway.session_page.translation import N_, Translate

STALE_AFTER_MS: Final = 10_000
LOW_BATTERY: Final = 20
LOW_INK: Final = 15
"""Per cent; some 50 imprints before it runs dry."""
_LOCK: Final = {
    "locked": Fact(text=N_("Locked"), tone="good"),
    "granted": Fact(text=N_("Locked, a job is open"), tone="good"),
    "page_seen": Fact(text=N_("Locked, the page is compared"), tone="wait"),
    "unlocked": Fact(text=N_("Unlocked for one press"), tone="go"),
    "pressed": Fact(text=N_("Pressed"), tone="wait"),
    "tampered": Fact(text=N_("Opened or moved: it stays locked"), tone="bad"),
    "suspended": Fact(text=N_("Suspended"), tone="bad"),
    "service": Fact(text=N_("Open for service"), tone="wait"),
    "sweeping": Fact(text=N_("Locked, pages are leafed through"), tone="good"),
    "fault": Fact(text=N_("Fault: it stays locked"), tone="bad"),
}


def strip(device: Mapping[str, Any], state: Mapping[str, Any], _: Translate, *, now_ms: int) -> tuple[Fact, ...]:
    """The line that is always visible."""
    if not device.get("online"):
        facts = [Fact(text=_("Device not connected"), tone="bad")]
    else:
        facts = [*_device(device, _, now_ms=now_ms), *_supplies(device, _)]
    if state.get("uplink"):
        facts.append(Fact(text=_("Headquarters reached"), tone="good"))
    elif state.get("carried"):
        facts.append(Fact(text=_("Headquarters through this phone"), tone="wait"))
    else:
        facts.append(Fact(text=_("No link to headquarters"), tone="wait"))
    if device["operator"] is not None:
        facts.append(Fact(text=str(device["operator"].get("name", ""))))
    return tuple(facts)


def _device(device: Mapping[str, Any], _: Translate, *, now_ms: int) -> list[Fact]:
    lock = _LOCK.get(str(device.get("state")), _LOCK["locked"])
    present, still = device.get("page_present"), device.get("page_still")
    facts = [
        Fact(text=_(lock.text), tone=lock.tone),
        Fact(text=_("Page lies still") if still else _("Page moves") if present else _("No page")),
        Fact(text=_("Cover closed")) if device.get("cover_closed") else Fact(text=_("Cover open"), tone="bad"),
        Fact(text=_("Camera fails"), tone="bad") if device.get("camera_failed") else Fact(text=_("Camera ready")),
    ]
    if now_ms - int(device.get("seen_ms", 0)) > STALE_AFTER_MS:
        facts.append(Fact(text=_("silent for a while"), tone="wait"))
    until = int(device["session"]["until_ms"])
    if until > now_ms and device["session"]["busy"]:
        left = max(1, round((until - now_ms) / 60_000))
        facts.append(Fact(text=_("%(n)s min left") % {"n": left}, tone="wait" if left <= 1 else "plain"))
    return facts


def _supplies(device: Mapping[str, Any], _: Translate) -> list[Fact]:
    facts = []
    battery, ink = device.get("battery"), device.get("ink")
    if battery is not None:
        low = battery <= LOW_BATTERY
        facts.append(Fact(text=_("Battery %(n)s %%") % {"n": battery}, tone="wait" if low else "plain"))
    if ink is not None and ink <= LOW_INK:
        facts.append(Fact(text=_("Ink is low: %(n)s %%") % {"n": ink}, tone="wait"))
    return facts


def banner(state: Mapping[str, Any], _: Translate) -> str:
    """What to say while the link is down; empty while it is up."""
    if state.get("uplink"):
        return ""
    waiting = state.get("waiting", {})
    counts = {"events": int(waiting.get("events", 0)), "photos": int(waiting.get("photos", 0))}
    if state.get("carried"):
        return (
            _(
                "Working through this phone. Keep this page open. %(events)s reports and %(photos)s photos will be "
                "sent later; nothing is lost."
            )
            % counts
        )
    return (
        _(
            "Working through the office gateway. %(events)s reports and %(photos)s photos will be sent later; "
            "nothing is lost."
        )
        % counts
    )
