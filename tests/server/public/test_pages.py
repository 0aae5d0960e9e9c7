"""What a stranger sees: four outcomes, one word to compare, nothing about people; hostile codes are unknown ones."""

import random
import re

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fpdf import FPDF

from firmware_protocol import trace
from firmware_protocol.purposes import Purpose
from server.public.places import lines_of
from server.public.tries import LOOKS_A_MINUTE, WRONG_WORDS
from server.verification.trust import DeviceStatus
from tests.server.public.site import HOST, PAGES, Site
from tests.server.verification.story_maker import Key

MOST_BYTES = 15_000
HEADINGS = {
    "known": "This code is real. Does your paper match?",
    "withdrawn": "Withdrawn on 21 Nov 2026, 12:00 UTC. Do not rely on this paper.",
    "not_confirmed": "We can't confirm this now. Do not rely on it yet.",
    "disputed": "We can't confirm this now. Do not rely on it yet.",
    "unrecorded": "We can't confirm this now. Do not rely on it yet.",
}


def heading(response: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", response.text, re.DOTALL)
    assert found is not None
    return found[1].strip()


@pytest.mark.parametrize("name", sorted(HEADINGS))
@pytest.mark.parametrize("change", [str, str.lower])
def test_each_kind_of_code_has_its_answer_in_capitals_or_not(site: Site, name: str, change: object) -> None:
    assert callable(change)
    answer = site.client().get(change(site.url(name)))
    assert answer.status_code == 200
    assert heading(answer) == HEADINGS[name]
    assert len(answer.content) <= MOST_BYTES


def test_the_facts_to_compare_and_nothing_else(site: Site) -> None:
    page = site.client().get(site.url("known")).text
    for fact in ("Azulejos del Sur S.A.", "Contract seal 02", "21 Nov 2026, 12:00 UTC", "3 pages", "1 of 2", "page 3"):
        assert fact in page
    assert trace.short_code(site.codes["known"]) in page
    assert "codes can be copied" in page
    assert "green" not in page
    assert 'class="verdict known"' in page


def test_a_label_says_how_many_imprints_it_stands_for(site: Site) -> None:
    label = site.client().get(site.url("label")).text
    assert "3 on this sheet; the one code on its label stands for all of them" in label
    assert "Code on the label" not in label
    under = site.client().get(site.url("under")).text
    assert trace.short_code(site.codes["label"]) in under
    assert "Code on the label" in under
    assert "on this sheet" not in site.client().get(site.url("known")).text


def test_every_answer_is_fenced_in(site: Site) -> None:
    client = site.client()
    for path in ("/", site.url("known"), "/V/nonsense", "/checkpoint", "/trust.cose", "/absent"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "set-cookie" not in headers
        assert headers["cache-control"] == "no-store"


def test_no_page_runs_a_script_or_styles_in_place(site: Site) -> None:
    client = site.client()
    for path in ("/", site.url("known"), f"/seal/{site.seal_id()}"):
        assert not re.search(r"<script|<style|style=|\bon[a-z]+=|javascript:", client.get(path).text)


HOSTILE = [
    "nonsense",
    "A" * 250,
    "A" * 5000,
    "%00%00",
    "..%2f..%2fetc",
    "%3Cscript%3E",
    "7" * 210,
    "é" * 60,
    "{{7*7}}",
    "%ff",
]


def test_hostile_codes_get_the_very_same_answer(site: Site, rng: random.Random) -> None:
    client = site.client()
    stranger = Key(Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)))
    forged = trace.url(site.signed(counter=1, key=stranger), host=HOST).split("/V/")[1]
    known = bytearray(site.codes["known"])
    known[rng.randrange(len(known))] ^= 1 << rng.randrange(8)
    flipped = trace.url(bytes(known), host=HOST).split("/V/")[1]
    answers = {client.get(f"/V/{code}").text for code in [*HOSTILE, forged, flipped]}
    assert len(answers) == 1
    assert "We did not issue this code." in answers.pop()


def test_a_typed_short_code_leads_to_the_same_answer(site: Site) -> None:
    client = site.client()
    short = trace.short_code(site.codes["known"])
    sent = client.get("/v", params={"code": short.lower().replace("-", " ")})
    assert (sent.status_code, sent.headers["location"]) == (303, f"/V/{short}")
    assert heading(client.get(sent.headers["location"])) == HEADINGS["known"]
    wrong = short[:-1] + ("0" if short[-1] != "0" else "1")
    assert heading(client.get("/v", params={"code": wrong})) == "We did not issue this code."
    assert client.get("/v").headers["location"] == "/"


def word_asked_for(page: str) -> str:
    """What stands at the place that the page asks about, in capitals: case does not matter."""
    found = re.search(r"On page (\d+), in line (\d+) of the text: which is word number (\d+)\?", page)
    assert found is not None
    number, line, position = map(int, found.groups())
    return lines_of(PAGES[number - 1])[line - 1][position - 1][0].upper() + "."


def compare(site: Site, word: str, *, place: int = 0, name: str = "known") -> httpx.Response:
    form = {"code": trace.short_code(site.codes[name]), "place": str(place), "word": word}
    return site.client().post("/v/compare", data=form)


def test_the_right_word_turns_the_page_green(site: Site) -> None:
    page = site.client().get(site.url("known")).text
    answer = compare(site, word_asked_for(page))
    assert heading(answer).startswith("It matches")
    assert 'class="verdict good"' in answer.text


def test_each_of_the_three_places_can_be_compared(site: Site) -> None:
    page = site.client().get(site.url("known")).text
    asked = set()
    for place in range(3):
        answer = compare(site, word_asked_for(page), place=place)
        assert heading(answer).startswith("It matches")
        asked.add(word_asked_for(page))
        page = answer.text
    assert len(asked) == 3


def test_a_wrong_word_is_no_match_and_guessing_ends_soon(site: Site) -> None:
    right = word_asked_for(site.client().get(site.url("known")).text)
    for _ in range(WRONG_WORDS):
        answer = compare(site, "guess")
        assert (answer.status_code, heading(answer)[:8]) == (200, "No match")
        assert right.strip(".").lower() not in answer.text.lower()
    locked = compare(site, right)
    assert locked.status_code == 429
    assert heading(locked) == "There were too many wrong words for this code."


def test_only_a_known_code_can_be_compared(site: Site) -> None:
    assert heading(compare(site, "Supply", name="withdrawn")) == HEADINGS["withdrawn"]
    assert heading(compare(site, "Supply", place=0, name="unrecorded")) == "We did not issue this code."


def test_too_many_looks_are_slowed_down(site: Site) -> None:
    client = site.client()
    for _ in range(LOOKS_A_MINUTE):
        assert client.get("/V/nonsense").status_code == 200
    slowed = client.get("/V/nonsense", headers={"accept": "text/html"})
    assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "60")
    assert "too many checks" in slowed.text


@pytest.mark.parametrize("state", ["active", "suspended", "disputed", "destroyed"])
def test_every_seal_has_a_status_page(site: Site, state: str) -> None:
    answer = site.client().get(f"/seal/{site.seal_id(state)}")
    assert answer.status_code == 200
    assert {"active": "in use", "destroyed": "destroyed"}.get(state, state) in heading(answer)
    assert site.client().get("/seal/0000000000000000").status_code == 404


def test_a_stolen_device_key_speaks_no_more(site: Site) -> None:
    site.status = DeviceStatus.COMPROMISED
    site.publish()
    assert "stolen" in site.client().get(site.url("known")).text
    assert heading(site.client().get(site.url("withdrawn"))) == HEADINGS["withdrawn"]


def test_a_demo_says_demo_on_every_page(site: Site) -> None:
    for path in ("/", site.url("known"), f"/seal/{site.seal_id()}", "/absent"):
        page = site.client().get(path, headers={"accept": "text/html"}).text
        assert "DEMO - not a real record" in page
        assert 'class="is-demo"' in page


def test_what_the_public_role_gives_out_for_checking_offline(site: Site) -> None:
    client = site.client()
    assert client.get("/checkpoint").text.startswith("localhost:8444/log\n12\n")
    assert client.get("/trust.cose").headers["content-type"].startswith("application/cose")
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/metrics").status_code == 404


def test_a_snapshot_signed_by_another_key_is_not_taken(site: Site) -> None:
    before = site.client().get(site.url("known")).text
    site.publish(key=Purpose.ENTRY)
    assert site.client().get(site.url("known")).text == before
    site.path.write_bytes(b"garbage")
    assert site.client().get(site.url("known")).text == before


def test_an_older_snapshot_never_replaces_a_newer_one(site: Site) -> None:
    site.client().get("/checkpoint")
    site.codes["unrecorded"], site.codes["withdrawn"] = site.codes["withdrawn"], site.codes["unrecorded"]
    site.publish(made_ms=1)
    assert heading(site.client().get(site.url("unrecorded"))) == HEADINGS["withdrawn"]


def test_without_a_snapshot_nothing_is_confirmed(site: Site) -> None:
    site.path.unlink()
    answer = site.client().get(site.url("known"), headers={"accept": "text/html"})
    assert answer.status_code == 503
    assert "Do not rely on the paper until then." in answer.text
    assert site.client().get("/readyz").status_code == 503


def test_the_language_follows_the_browser_and_the_link(site: Site) -> None:
    client = site.client()
    assert '<html lang="es">' in client.get("/", headers={"accept-language": "es-ES,es;q=0.9"}).text
    assert '<html lang="zh-Hans">' in client.get(f"{site.url('known')}?lang=zh").text
    assert '<html lang="en">' in client.get("/?lang=xx").text
    linked = client.get("/?lang=es").text
    assert 'name="lang" value="es"' in linked
    assert 'action="/v/pdf?lang=es"' in linked


def test_a_pdf_without_a_seal_is_told_from_garbage(site: Site) -> None:
    page = FPDF()
    page.add_page()
    plain = {"file": ("a.pdf", bytes(page.output()), "application/pdf")}
    assert heading(site.client().post("/v/pdf", files=plain)) == "There is no electronic seal in this file."
    garbage = {"file": ("a.pdf", b"garbage", "application/pdf")}
    assert "can't confirm this file" in heading(site.client().post("/v/pdf", files=garbage))
