"""The ledger in Chromium: its pages at phone and desktop width with axe, and a proof that the browser checks itself."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace

from playwright.sync_api import Page, Route, expect

from dashboard.app import create_app
from server.core.clock import SystemClock
from server.eseals.anchoring import Anchoring
from tests.browser.conftest import DESKTOP, PHONE, TABLET, Site, look, serve
from tests.dashboard.screens.test_checkpoints import Outside
from tests.dashboard.screens.test_ledger_pages import lose_and_contradict

STEPS = ("leaf", "author", "path", "root")


def answers(page: Page) -> dict[str, str | None]:
    """What each step of the proof says, once the module is done."""
    expect(page.locator("[data-checked]")).to_have_count(1)
    return {step: page.locator(f"[data-step={step}]").get_attribute("data-state") for step in STEPS}


def test_every_page_of_the_ledger_fits_and_is_accessible(site: Site) -> None:
    gap, twin = lose_and_contradict(site.office)
    site.company.submitted()
    site.office.deliver()
    auditor = site.signed_in("auditor")
    pages = {
        "ledger-filtered": (f"/ledger?seal={site.company.seal.id}&since=2026-01-01", "Ledger"),
        "ledger-growth": ("/ledger/growth", "Growth of the ledger"),
        "ledger-public": ("/ledger/public", "The ledger for outsiders"),
        "ledger-cases": ("/ledger/cases", "Cases of the ledger"),
        "ledger-gap": (f"/ledger/cases/gaps/{gap}", "Missing reports"),
        "ledger-contradiction": (f"/ledger/cases/aside/{twin}", "Two different reports with one number"),
    }
    for name, (path, heading) in pages.items():
        auditor.set_viewport_size({"width": 390, "height": 844})
        auditor.goto(path)
        expect(auditor.get_by_role("heading", name=heading, level=1)).to_be_visible()
        look(auditor, name)
        auditor.set_viewport_size(DESKTOP)
        look(auditor, name)


def test_checkpoints_say_who_else_saw_them_at_every_width(site: Site) -> None:
    """A real witness key of a partner and one of our own, and the time stamp of the own authority."""
    outside = Outside(site.office, site.company)
    outside.sign(["mine.example"])
    (stamp,) = Anchoring().stamp_due(replace(outside.run, clock=SystemClock()))  # its certificate counts from today
    assert stamp.own
    for url in serve(create_app(outside.run)):
        auditor = replace(site, url=url).signed_in("auditor")
        auditor.goto("/ledger/checkpoints")
        expect(auditor.get_by_text("still lacks 1 outside witness")).to_be_visible()
        look(auditor, "ledger-checkpoints-lacking")
        outside.sign(["theirs.example"])
        auditor.reload()
        expect(auditor.get_by_text("1 outside witness signed the newest checkpoint.")).to_be_visible()
        expect(auditor.get_by_text("only our own word says when")).to_be_visible()
        for size in (PHONE, TABLET, DESKTOP):
            auditor.set_viewport_size(size)  # type: ignore[arg-type]
            look(auditor, "ledger-checkpoints")


def test_the_newest_entries_appear_by_themselves_under_the_chosen_filter(site: Site) -> None:
    auditor = site.signed_in("auditor")
    auditor.goto(f"/ledger?seal={site.company.seal.id}&type=entry.request_submitted")
    expect(auditor.get_by_text("No entry fits what you look for.")).to_be_visible()
    site.company.submitted()
    site.office.deliver()
    expect(auditor.get_by_role("link", name="Approval was asked for")).to_be_visible()
    expect(auditor.get_by_role("combobox", name="Kind")).to_have_value("entry.request_submitted")


def test_the_browser_checks_every_step_of_a_proof(site: Site) -> None:
    auditor = site.signed_in("auditor")
    for kind in ("event.paired", "entry.seal_registered"):
        auditor.goto(f"/ledger?type={kind}")
        auditor.locator(".entries a").first.click()
        expect(auditor.get_by_text("(checked in this browser)")).to_be_visible()
        assert answers(auditor) == dict.fromkeys(STEPS, "good")
    auditor.get_by_text("Every hash on the way").click()
    hashes = auditor.locator("[data-path] code").all_text_contents()
    assert hashes[0] == auditor.url.rsplit("/", 1)[1]
    assert hashes[-1] == auditor.locator("[data-step=path] > code[data-value]").text_content()
    look(auditor, "ledger-proof")


def one_hash_changed(text: str) -> str:
    lines = text.split("\n")
    node = bytearray(base64.b64decode(lines[2]))
    node[7] ^= 1
    lines[2] = base64.b64encode(node).decode()
    return "\n".join(lines)


def another_root(text: str) -> str:
    """A root that nobody signed."""
    return re.sub(r"\n[A-Za-z0-9+/]{43}=\n\n—", "\n" + base64.b64encode(bytes(32)).decode() + "\n\n—", text)


def another_place(text: str) -> str:
    return re.sub(r"\nindex ([0-9]+)\n", lambda found: f"\nindex {int(found[1]) ^ 1}\n", text)


def cut_off(text: str) -> str:
    return text[:40]


def one_byte_changed(leaf: bytes) -> bytes:
    return leaf[:40] + bytes([leaf[40] ^ 1]) + leaf[41:]


def test_what_was_changed_on_the_way_does_not_hold(site: Site) -> None:
    """The server's files, altered between server and browser, one way at a time."""
    auditor = site.signed_in("auditor")
    auditor.goto("/ledger?type=event.paired")
    address = auditor.locator(".entries a").first.get_attribute("href")
    for change, broken in (
        (one_hash_changed, {"path": "bad"}),
        (another_root, {"path": "bad", "root": "bad"}),
        (another_place, {"path": "bad"}),
        (cut_off, {"path": None, "root": None}),
        (one_byte_changed, {"leaf": "bad", "author": "bad", "path": "bad"}),
    ):
        files = "**/*.cose" if change is one_byte_changed else "**/*.tlog-proof"
        auditor.route(files, changing(change))
        auditor.goto(str(address))
        expect(auditor.get_by_text("The proof does not hold.")).to_be_visible()
        assert answers(auditor) == dict.fromkeys(STEPS, "good") | broken, change.__name__
        auditor.unroute(files)
    look(auditor, "ledger-proof-bad")


def changing(change: Callable[..., str | bytes]) -> Callable[[Route], None]:
    """A handler that alters the server's honest answer."""

    def tamper(route: Route) -> None:
        honest = route.fetch()
        changed = change(honest.body() if change is one_byte_changed else honest.text())
        assert changed not in {honest.text(), honest.body()}
        route.fulfill(response=honest, body=changed)

    return tamper


def test_a_browser_without_ed25519_says_what_it_could_not_check(site: Site) -> None:
    auditor = site.signed_in("auditor")
    auditor.add_init_script("SubtleCrypto.prototype.importKey = () => Promise.reject(new Error('NotSupportedError'));")
    auditor.goto("/ledger?type=event.paired")
    auditor.locator(".entries a").first.click()
    expect(auditor.get_by_text("this browser cannot check every signature")).to_be_visible()
    assert answers(auditor) == {"leaf": "good", "author": "cannot", "path": "good", "root": "cannot"}
