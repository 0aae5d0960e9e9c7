"""Every screen in Chromium, at phone and desktop width, with axe; the story from request to evidence in between."""

import re
from uuid import UUID

from playwright.sync_api import Page, expect

from server.approvals import service as approvals
from tests.browser.conftest import DESKTOP, PASSWORD, Site, look, stamp
from tests.server.world import contract_pdf


def test_a_request_is_asked_for_approved_and_stamped_on_screen(site: Site) -> None:
    clerk = site.visitor()
    clerk.goto("/")
    expect(clerk).to_have_url(re.compile("/login$"))
    look(clerk, "login")
    clerk.get_by_label("User name").fill("clerk")
    clerk.get_by_label("Password").fill("not the password")
    clerk.get_by_role("button", name="Sign in").click()
    expect(clerk.get_by_role("alert")).to_contain_text("The name or the password is not right.")
    look(clerk, "login-wrong")
    clerk.get_by_label("Password").fill(PASSWORD)
    clerk.get_by_role("button", name="Sign in").click()
    expect(clerk.get_by_role("heading", name="Inbox")).to_be_visible()
    look(clerk, "inbox-empty")

    _ask(clerk)
    number = clerk.url.rsplit("/", 1)[1]
    expect(clerk.get_by_text("You can't approve your own request.")).to_be_visible()
    expect(clerk.get_by_role("link", name="Approve", exact=True)).to_have_count(0)
    look(clerk, "request-own")

    site.office.deliver()
    boss = site.signed_in("boss")
    look(boss, "inbox-approver")
    expect(boss.get_by_role("button", name="Approve")).to_have_count(0)
    boss.get_by_role("link", name="Supply contract").click()
    look(boss, "request-to-decide")
    boss.goto(f"/requests/{number}/text")
    expect(boss.get_by_text("1.200,00 EUR").first).to_be_visible()
    look(boss, "request-text")
    boss.goto(f"/requests/{number}")
    boss.get_by_role("link", name="Approve").click()
    look(boss, "decide")
    boss.get_by_label("Your password").fill("wrong")
    boss.get_by_role("button", name="Approve").click()
    expect(boss.get_by_role("alert")).to_contain_text("Nothing was decided.")
    boss.get_by_label("Your password").fill(PASSWORD)
    boss.get_by_role("button", name="Approve").click()
    expect(boss.get_by_text("Approved, and not used yet.")).to_be_visible()
    look(boss, "request-approved")
    with site.office.run.db.read() as db:
        asked = approvals.request(db, site.office.run, site.company.everywhere, UUID(number))
    stamp(site.office, asked)
    expect(boss.get_by_text("Stamped 2 of 2")).to_be_visible()  # the stream told the open page
    boss.reload()
    expect(boss.get_by_text("Text on this page differs from what was approved.")).to_be_visible()
    look(boss, "request-stamped")
    boss.set_viewport_size(DESKTOP)
    look(boss, "request-stamped")
    boss.goto(f"/requests/{number}/reconciliation")
    expect(boss.get_by_role("heading", name="Do the counts agree?")).to_be_visible()
    look(boss, "reconciliation")


def test_devices_seals_and_ledger(site: Site) -> None:
    site.office.deliver()
    admin = site.signed_in("admin")
    for path, heading in (
        ("/devices", "Devices"),
        ("/devices/MAD-0001", "MAD-0001"),
        ("/devices/add", "Add device"),
        ("/seals", "Seals"),
        (f"/seals/{site.company.seal.id}", "Contract seal 02"),
        ("/ledger", "Ledger"),
        ("/trust", "Trust this server"),
    ):
        admin.goto(path)
        expect(admin.get_by_role("heading", name=heading, level=1)).to_be_visible()
        look(admin, path.strip("/").replace("/", "-")[:20])
    admin.goto("/ledger?about=device:MAD-0001")
    admin.get_by_role("link", name="The device accepted the pairing").click()
    expect(admin.get_by_text("(checked in this browser)")).to_be_visible()
    look(admin, "entry")
    admin.goto("/ledger/" + "0" * 64)
    expect(admin.get_by_role("heading", name="Not found")).to_be_visible()
    look(admin, "not-found")
    admin.set_viewport_size(DESKTOP)
    for path in ("/", "/devices", "/ledger", f"/seals/{site.company.seal.id}"):
        admin.goto(path)
        look(admin, path.strip("/").replace("/", "-")[:20] or "inbox")


def _ask(clerk: Page) -> None:
    """The form and the place, ending on the request's page."""
    clerk.get_by_role("link", name="New request").click()
    look(clerk, "new")
    _fill(clerk, name="letter.docx", content=b"PK\x03\x04word/document.xml")
    expect(clerk.get_by_role("alert")).to_be_visible()
    look(clerk, "new-refused")
    _fill(clerk, name="contract.pdf", content=contract_pdf())
    expect(clerk.get_by_role("heading", name="Where does the seal go?")).to_be_visible()
    clerk.locator("#page-1 .tap-picture").click(position={"x": 200, "y": 300})
    expect(clerk.get_by_text("2 imprints on each copy")).to_be_visible()
    look(clerk, "place")
    clerk.get_by_role("button", name="Ask for approval").click()
    expect(clerk.get_by_text("Waiting for approval")).to_be_visible()


def _fill(clerk: Page, *, name: str, content: bytes) -> None:
    clerk.get_by_label("PDF, JPG or PNG").set_input_files({"name": name, "mimeType": "", "buffer": content})
    clerk.get_by_label("Title").fill("Supply contract")
    clerk.get_by_label("Reason").fill("The supplier starts on Monday.")
    clerk.get_by_label("Other party").fill("Aceros Ejemplo S.L.")
    clerk.get_by_label("Amount").fill("EUR 1,200.00")
    clerk.get_by_label("Contract seal 02").check()
    clerk.get_by_role("button", name="Next: place the seal").click()
