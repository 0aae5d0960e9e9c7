"""`cinnabar-gateway support-bundle`: what somebody who helps needs to see, and nothing that opens a door.

Settings are shown by an allow-list, so that a field of tomorrow is hidden until somebody decides about it. From every
other text the secrets that this gateway knows are cut out by value, and what looks like one by form.
"""

import io
import json
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.logs import SECRET_WORDS

REMOVED: Final = "[removed]"
SHOWN: Final = frozenset({"gateway_id", "ca_file", "certificate_file", "listen", "demo", "auto"})
SHOWN_URLS: Final = frozenset({"server_url", "mqtt_url"})
SHOWN_OF_A_DEVICE: Final = frozenset({"control", "usb", "ble", "bulk", "device_id", "vid", "pid", "name", "address"})
LOGS: Final = ("gateway.log.1", "gateway.log")
SHORTEST_SECRET: Final = 4
"""A shorter value would cut holes into every word."""
_WORDS: Final = "|".join(SECRET_WORDS)
_FORMS: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]+"),
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),
)
_NAMED: Final = re.compile(
    rf"""(?i)(["']?\b(?:[a-z_]*_)?(?:{_WORDS})\b["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}}\]]+)"""
)
"""A name that may stand before a secret, and what stands behind it."""


def build(home: Path, *, report: dict[str, Any]) -> bytes:
    """The zip. `report`: what the doctor found. Works without a readable gateway.json, too."""
    try:
        settings = (home / "gateway.json").read_text(errors="replace")
    except OSError as error:
        settings = json.dumps({"unreadable": str(error.strerror)})
    secrets = _secrets_in(settings)
    members = {
        "settings.json": json.dumps(_shown_settings(settings), indent=1),
        "doctor.json": json.dumps(report, indent=1),
        "outbox.json": json.dumps(_outbox(home / "outbox.db"), indent=1),
    }
    for name in LOGS:
        path = home / "logs" / name
        if path.is_file():
            members[f"logs/{name}"] = path.read_text(errors="replace")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), without_secrets(text, secrets))
    return buffer.getvalue()


def without_secrets(text: str, secrets: list[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        for spelling in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(spelling, REMOVED)
    for form in _FORMS:
        text = form.sub(REMOVED, text)
    return _NAMED.sub(rf'\1"{REMOVED}"', text)


def _secrets_in(settings: str) -> list[str]:
    """Every value of gateway.json that is not on the allow-list."""
    try:
        facts = json.loads(settings)
    except ValueError:
        return []
    found: list[str] = []
    if isinstance(facts, dict):
        for name, value in facts.items():
            if name in SHOWN_URLS:
                found += [part for part in (urlsplit(str(value)).username, urlsplit(str(value)).password) if part]
            elif name not in SHOWN | {"devices"}:
                found += _texts(value)
        for device in facts.get("devices") or ():
            found += [text for name in set(device) - SHOWN_OF_A_DEVICE for text in _texts(device[name])]
    return [secret for secret in found if len(secret) >= SHORTEST_SECRET]


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def _shown_settings(settings: str) -> Any:  # noqa: ANN401 - JSON
    try:
        facts = json.loads(settings)
    except ValueError:
        return "gateway.json is not JSON; it is left out"
    if not isinstance(facts, dict):
        return "gateway.json is no object; it is left out"
    shown = {name: value if name in SHOWN else REMOVED for name, value in facts.items() if name != "devices"}
    for name in SHOWN_URLS & facts.keys():
        parts = urlsplit(str(facts[name]))
        shown[name] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    shown["devices"] = [_shown_device(device) for device in facts.get("devices") or ()]
    return shown


def _shown_device(device: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (_shown_device(value) if isinstance(value, dict) else value) if name in SHOWN_OF_A_DEVICE else REMOVED
        for name, value in device.items()
    }


def _outbox(path: Path) -> dict[str, Any]:
    """Counts for each device; the reports themselves are not taken along."""
    if not path.is_file():
        return {"outbox": "none yet"}
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            events = database.execute(
                "SELECT device, generation, count(*), min(seq), max(seq) FROM event GROUP BY device, generation"
            ).fetchall()
            photos = database.execute(
                "SELECT device, uploaded, count(*) FROM photo GROUP BY device, uploaded"
            ).fetchall()
        finally:
            database.close()
    except sqlite3.Error as error:
        return {"unreadable": str(error)}
    names = ("device", "generation", "waiting", "first", "last")
    return {
        "events": [dict(zip(names, row, strict=True)) for row in events],
        "photos": [dict(zip(("device", "uploaded", "count"), row, strict=True)) for row in photos],
    }
