"""Codes that strangers print on paper: read as bytes, never trusted, never in our way."""

import ssl
from urllib.parse import quote, urlsplit

import httpx
import pytest

from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import trace
from server.inspection.vision.codes import read_codes
from tests.attacks.documents import with_code
from tests.fixtures.running import finish, started

HOSTILE = "HTTPS://EVIL.EXAMPLE/V/<script>alert(1)</script>'; DROP TABLE request; --${jndi:x}%0d%0aSet-Cookie:a=b"


def test_a_page_with_a_hostile_code_is_stamped_and_ours_is_still_read(stage: Stage) -> None:
    pdf = with_code(stage.contract.pdf, stage.contract.page, HOSTILE)
    request = started(stage, pdf=pdf, page=stage.contract.page)
    finish(stage, request, pdf=pdf, page=stage.contract.page)
    auditor = stage.person("auditor")

    def judged() -> dict[str, str] | None:
        strokes = auditor.get("after-photo", f"/api/v1/requests/{request}/timeline")["strokes"]
        finding: dict[str, str] | None = strokes[0]["imprint_finding"]
        return finding

    finding = until("after-photo", "the check of the after-photo", judged, timeout_s=30)
    assert finding["reason"] not in ("no_code", "other_code"), finding
    stroke = auditor.get("after-photo", f"/api/v1/requests/{request}/timeline")["strokes"][0]["stroke"]
    photo = auditor.send("photo", "GET", f"/api/v1/photos/{stroke['after_photo']}").content
    ours = trace.url(bytes.fromhex(stroke["trace_code"]), host=urlsplit(stage.company.server.ready["public"]).netloc)
    for wanted in (ours.encode(), HOSTILE.encode()):
        assert wanted in [
            code.payload for code in read_codes(photo, accept=lambda found, wanted=wanted: found == wanted)
        ]


@pytest.mark.parametrize("payload", [HOSTILE, "A" * 4000, "..%2f..%2fetc%2fpasswd", "\x00\x1b[2J", "你好"])
def test_the_public_page_answers_unknown_and_says_nothing_of_it_back(stage: Stage, payload: str) -> None:
    context = ssl.create_default_context(cafile=str(stage.company.home / "tls" / "ca.pem"))
    with httpx.Client(base_url=stage.company.server.ready["public"], verify=context, trust_env=False) as client:
        never = client.get("/V/NOTACODE")
        answer = client.get("/V/" + quote(payload, safe=""))
    assert (answer.status_code, never.status_code) == (200, 200)
    assert answer.content == never.content
