"""The fields of an entry in words: what they are called, and values that people can read or follow. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dashboard.view.evidence import Fact
from dashboard.web.words import entry_word
from firmware_protocol.events import EventType
from server.core.i18n import N_, _

_NAMES: Final = {
    "time": N_("Time"),
    "request": N_("Request"),
    "seal": N_("Seal"),
    "head": N_("Seal head"),
    "head_id": N_("Seal head"),
    "document": N_("Document"),
    "device": N_("Device"),
    "device_id": N_("Device"),
    "gateway": N_("Gateway"),
    "person": N_("Person"),
    "branch": N_("Branch"),
    "path": N_("Branch"),
    "by": N_("Done by"),
    "second": N_("Confirmed by"),
    "approver": N_("Approver"),
    "requester": N_("Requester"),
    "keeper": N_("Keeper"),
    "custodian": N_("Custodian"),
    "stands_for": N_("Stands for"),
    "name": N_("Name"),
    "title": N_("Title"),
    "reason": N_("Reason"),
    "counterparty": N_("Other party"),
    "amount": N_("Amount"),
    "state": N_("State"),
    "kind": N_("Kind"),
    "role": N_("Role"),
    "roles": N_("Roles"),
    "method": N_("Signed in with"),
    "approved": N_("Approved"),
    "outcome": N_("Outcome"),
    "stage": N_("Stage"),
    "stages": N_("Stages"),
    "copies": N_("Copies"),
    "pages": N_("Pages"),
    "page": N_("Page"),
    "strokes": N_("Imprints"),
    "stroke": N_("Imprint number"),
    "max_strokes": N_("Imprints, at most"),
    "strokes_used": N_("Imprints made"),
    "spares": N_("Spare imprints"),
    "mode": N_("Way of stamping"),
    "answer": N_("Finding"),
    "verdict": N_("Verdict"),
    "slot": N_("Slot"),
    "generation": N_("Key generation"),
    "seq": N_("Report number"),
    "count": N_("How many"),
    "reasons": N_("Reasons"),
    "boot": N_("Start number"),
    "event_type": N_("Kind of report"),
    "uptime_ms": N_("Milliseconds since its start"),
    "counter": N_("Press counter"),
    "firmware": N_("Firmware"),
    "model": N_("Model"),
    "previous": N_("Hash of the report before"),
    "cause": N_("Cause"),
    "sensor": N_("Sensor"),
    "value": N_("Value"),
    "operator": N_("Person at the device (short id)"),
    "public_key": N_("Public key"),
    "photo_digest": N_("Fingerprint of the photo"),
    "preview_digest": N_("Fingerprint of the small photo"),
    "document_digest": N_("Fingerprint of the document"),
    "request_digest": N_("Fingerprint of the request"),
    "artwork_digest": N_("Fingerprint of the artwork"),
    "specimen_digest": N_("Fingerprint of the specimen"),
    "token_id": N_("Permission number"),
    "token": N_("Permission number"),
    "trace_code": N_("Trace code"),
    "code": N_("Trace code"),
    "not_before_ms": N_("Counts from"),
    "expires_ms": N_("Ends"),
    "since_ms": N_("Since"),
    "from_ms": N_("From"),
    "until_ms": N_("Until"),
    "time_ms": N_("Time"),
    "stored": N_("Report in the ledger"),
    "other": N_("The other report"),
    "from_seq": N_("From report"),
    "to_seq": N_("To report"),
    "decision": N_("Decision"),
    "credential": N_("Way to sign in"),
    "complete": N_("The last decision that was missing"),
    "nonce": N_("Used once (random)"),
    "stroke_nonce": N_("Used once (random)"),
    "assertion": N_("What was signed"),
    "assertion_digest": N_("Fingerprint of what was signed"),
    "canonical": N_("The request as it was agreed to"),
    "policy_version": N_("Version of the rule"),
    "rule": N_("The rule"),
    "rule_digest": N_("Fingerprint of the rule"),
    "requester_may_keep": N_("The requester may stamp"),
    "page_check": N_("When the page is compared"),
    "form": N_("Form"),
    "installation": N_("Installation"),
    "installation_id": N_("Installation"),
    "origin": N_("Name of the ledger"),
    "host": N_("Host name"),
    "keys": N_("Keys"),
    "root_key": N_("Offline root"),
    "trust_digest": N_("Fingerprint of the trust file"),
    "demo": N_("For demonstration only"),
    "tenant": N_("Company (number)"),
    "attested_by": N_("Attested by"),
    "granted": N_("Given"),
    "finding": N_("Finding"),
    "photo": N_("Photo"),
    "report": N_("What was measured"),
    "report_digest": N_("Fingerprint of what was measured"),
    "window_s": N_("Seconds for one press"),
    "token_digest": N_("Fingerprint of the permission"),
    "permit_digest": N_("Fingerprint of the permit"),
    "short_name": N_("Short name"),
}
_LINKS: Final = {
    "request": "/requests/{}",
    "seal": "/seals/{}",
    "device": "/devices/{}",
    "device_id": "/devices/{}",
    "stored": "/ledger/{}",
}
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DURATIONS: Final = {"uptime_ms"}
SHOWN_HEX: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One field. `raw`: its name in the entry; `at`: a time, shown in the reader's zone; `code`: monospaced."""

    name: str
    raw: str
    value: str
    kept: str
    href: str = ""
    at: datetime | None = None
    code: bool = False


def lines(facts: Sequence[Fact], *, known: Mapping[str, str]) -> list[Line]:
    """`known`: ids of people and seals to the names that this reader may see."""
    return [_line(fact, known) for fact in facts]


def ids_in(facts: Sequence[Fact]) -> list[str]:
    """Every UUID that stands in the facts, to look up names for."""
    return [found for fact in facts if fact.kept != "closed" for found in _UUID.findall(fact.value)]


def field_name(raw: str) -> str:
    """`keys.time` is one of several things under one name."""
    group, dot, part = raw.partition(".")
    if dot:
        return f"{field_name(group)}: {part.replace('_', ' ')}"
    return _(_NAMES[raw]) if raw in _NAMES else raw.replace("_", " ")


def _line(fact: Fact, known: Mapping[str, str]) -> Line:
    value = _UUID.sub(lambda found: known.get(found[0], found[0]), fact.value)
    if fact.name == "event_type" and value in EventType.__members__:
        value = entry_word(EventType[value])
    if fact.name == "stage" and value.isdigit():
        value = str(int(value) + 1)  # people count from one
    plain = {"True": _("yes"), "False": _("no"), "None": "-", "": "-"}.get(value, value)
    link = _LINKS.get(fact.name, "") if fact.kept == "open" and fact.value else ""
    return Line(
        name=field_name(fact.name),
        raw=fact.name,
        value=plain,
        kept=fact.kept,
        href=link.format(fact.value) if "," not in fact.value else "",
        at=_time(fact),
        code=" " not in plain and len(plain) >= SHOWN_HEX and fact.kept != "closed",
    )


def _time(fact: Fact) -> datetime | None:
    if fact.name == "time":
        return datetime.fromisoformat(fact.value)
    if fact.name.endswith("_ms") and fact.name not in _DURATIONS and fact.value.isdigit():
        return datetime.fromtimestamp(int(fact.value[:14]) / 1000, UTC)
    return None
