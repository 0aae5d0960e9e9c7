"""What is left of a story for a stranger: files in a folder, each fetched the way its reader would, and checked."""

import contextlib
import hashlib
import io
import json
import os
import ssl
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from dashboard.cli import ROOT, fsck
from dashboard.demo.callers import Json
from dashboard.demo.story import Stage, Step
from dashboard.demo.waiting import StoryFailed, until
from firmware_protocol import events, trace
from firmware_protocol.errors import ProtocolError
from server.core.settings import Settings
from server.verification import roots
from server.verification.trust import read_bundle

FILES: Final = (
    "summary.json",
    "document.pdf",
    "before.jpg",
    "after.jpg",
    "sealed.pdf",
    "evidence.zip",
    "verify.html",
    "trust.cose",
)


@dataclass(slots=True)
class Outcome:
    """The files of one story, and what was checked about them."""

    out: Path
    checks: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, data: bytes) -> bytes:
        (self.out / name).write_bytes(data)
        return data


def closing(outcome: Outcome) -> tuple[Step, ...]:
    """The steps after the ledger has everything; they write into `outcome.out`."""
    return (
        Step("after-photo", inspected),
        Step("electronic seal", lambda stage: sealed(stage, outcome)),
        Step("evidence bundle", lambda stage: bundled(stage, outcome)),
        Step("public page", lambda stage: asked_in_public(stage, outcome)),
        Step("verify offline", lambda stage: verified(stage, outcome)),
        Step("check the log", lambda stage: replayed(stage, outcome)),
    )


def inspected(stage: Stage) -> str:
    """The after-photo against specimen and code; the request is complete."""
    auditor = stage.person("auditor")
    path = f"/api/v1/requests/{stage.request_id}"

    def judged() -> Json | None:
        strokes = auditor.get("after-photo", f"{path}/timeline")["strokes"]
        finding: Json | None = strokes[0]["imprint_finding"] if strokes else None
        return finding

    finding = until("after-photo", "the check of the after-photo", judged, timeout_s=30)
    if finding["reason"] != "photo_agrees":
        raise StoryFailed("after-photo", f"{finding['answer']}: {finding['reason']}")
    until("after-photo", "the request being complete", lambda: auditor.get("after-photo", path)["state"] == "done")
    return f"imprint {finding['answer']}, code on the paper is the one the device signed"


def sealed(stage: Stage, outcome: Outcome) -> str:
    """The same PDF with an electronic seal."""
    clerk = stage.person("clerk")
    path = f"/api/v1/requests/{stage.request_id}"
    made = clerk.post("electronic seal", f"{path}/eseal")
    data = clerk.send("electronic seal", "GET", f"{path}/sealed.pdf").content
    outcome.write("sealed.pdf", data)
    outcome.facts["eseal_id"] = made["id"]
    return f"{len(data) // 1024} KB, SHA-256 {hashlib.sha256(data).hexdigest()[:12]} on record"


def bundled(stage: Stage, outcome: Outcome) -> str:
    """The evidence bundle and what is in it."""
    path = f"/api/v1/requests/{stage.request_id}/evidence.zip"
    auditor = stage.person("auditor")
    got = until("evidence bundle", "the filing reaching the ledger", lambda: auditor.if_ready("evidence bundle", path))
    data = outcome.write("evidence.zip", got)
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    document = outcome.write("document.pdf", members["document.pdf"])
    _pin(outcome.write("trust.cose", members["trust.cose"]), stage.contract.company)
    outcome.facts |= {"document_sha256": hashlib.sha256(document).hexdigest(), "members": len(members)}
    bodies = [body for name, leaf in members.items() if name.startswith("entries/") if (body := _event_body(leaf))]
    seen = next((body for body in bodies if isinstance(body, events.PageSeen)), None)
    done = next((body for body in bodies if isinstance(body, events.Done)), None)
    if seen is None or done is None:
        raise StoryFailed("evidence bundle", "the bundle has no PAGE_SEEN or no DONE")
    for name, digest in (("before.jpg", seen.photo_digest), ("after.jpg", done.photo_digest)):
        outcome.write(name, members[f"photos/{digest.hex()}.jpg"])
    outcome.facts["trace_code"] = done.trace_code
    outcome.facts["log"] = _checkpoint(members["checkpoint"].decode())
    return f"{len(members)} members, {len(data) // 1024} KB"


def asked_in_public(stage: Stage, outcome: Outcome) -> str:
    """Scan the photo of the paper as a stranger would, and open the address in it."""
    url = _scan((outcome.out / "after.jpg").read_bytes(), outcome.facts["trace_code"])
    short = trace.short_code(trace.parse_url(url))
    context = ssl.create_default_context(cafile=str(stage.company.home / "tls" / "ca.pem"))
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:

        def known() -> httpx.Response | None:
            try:
                answer = client.get(url, headers={"Accept-Language": stage.contract.language})
            except httpx.TransportError:
                return None
            return answer if answer.is_success and short in answer.text else None

        page = until("public page", "the public page knowing the code", known, timeout_s=30)
    outcome.write("verify.html", page.content)
    outcome.facts["trace_url"] = url
    return f"{url[:48]}... answers, {len(page.content)} bytes, no JavaScript"


def verified(_stage: Stage, outcome: Outcome) -> str:
    """The command anybody can run; the demo's own root is pinned on this machine. No network, no database."""
    targets = {
        "evidence.zip": str(outcome.out / "evidence.zip"),
        "sealed.pdf": str(outcome.out / "sealed.pdf"),
        "code": str(outcome.facts["trace_url"]),
        "after.jpg": str(outcome.out / "after.jpg"),
    }
    for name, target in targets.items():
        answer = _cinnabar("verify", target, "--json")
        outcome.checks[name] = answer["outcome"]
    return ", ".join(f"{name}: {result}" for name, result in outcome.checks.items())


def replayed(stage: Stage, outcome: Outcome) -> str:
    """`cinnabar fsck --policy`: every hash again from raw bytes, and a reason for every right that was given."""
    found = fsck.check(Settings.load(stage.company.home), policy=True)
    if not found.good:
        raise StoryFailed("check the log", fsck.as_text(found))
    outcome.checks["fsck"] = "justified"
    return f"{found.size} entries: whole, and every token, permit and service has its reason"


def summary(stage: Stage, outcome: Outcome) -> None:
    """DIR/summary.json."""
    content = {
        "request": {"id": stage.request_id, "short": stage.request.get("short", "")},
        "device": stage.device_id,
        "seal": str(stage.players.seal_id),
        "eseal": outcome.facts.get("eseal_id"),
        "document_sha256": outcome.facts.get("document_sha256"),
        "trace_url": outcome.facts.get("trace_url"),
        "log": outcome.facts.get("log"),
        "ms": stage.ms,
        "checks": outcome.checks,
        "demo": True,
    }
    outcome.write("summary.json", json.dumps(content, indent=1).encode() + b"\n")


def _pin(trust_bundle: bytes, name: str) -> None:
    """From now on `cinnabar verify` on this machine knows this DEMO root, and says DEMO wherever it counts."""
    root = read_bundle(trust_bundle).root_key
    roots.pin(roots.folders(os.environ)[0], root=root, name=f"DEMO {name}", demo=True, bundle=trust_bundle)


def _event_body(leaf: bytes) -> events.Body | None:
    try:
        return events.peek(leaf).body
    except ProtocolError:
        return None


def _checkpoint(note: str) -> Json:
    origin, size, root, *_rest = note.split("\n")
    return {"origin": origin, "size": int(size), "root": root}


def _scan(photo: bytes, signed_code: bytes) -> str:
    """The address in the QR that the device says it printed; a page may carry other codes."""
    from server.inspection.vision.codes import read_codes

    for found in read_codes(photo):
        text = found.payload.decode("ascii", "replace")
        with contextlib.suppress(ProtocolError):
            if trace.parse_url(text) == signed_code:
                return text
    raise StoryFailed("public page", "no trace code can be read from the after-photo")


def _cinnabar(*arguments: str) -> Json:
    run = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "dashboard.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    if run.returncode != 0:
        raise StoryFailed("verify offline", f"exit {run.returncode} for {arguments[1][:60]}: {run.stdout}{run.stderr}")
    answer: Json = json.loads(run.stdout)
    return answer


__all__ = ["FILES", "Outcome", "closing", "summary"]
