"""Screens where a person decides: a doubtful page while a keeper waits, presses without a comparison."""

import re

from playwright.sync_api import expect

from server.approvals.schemas import RequestRead
from server.events import service as events
from server.tokens import service as tokens
from tests.browser.conftest import DESKTOP, Site, look
from tests.server.tokens.doubt import doubtful_photo
from tests.server.world import contract_pdf


def ask(site: Site, asked: RequestRead, *, nonce: bytes = b"n" * 16) -> str:
    """The device photographs a page with a speck on it; the case that opens."""
    office = site.office
    token = office.token(asked)
    photo = doubtful_photo(office, nonce=nonce)
    event = office.page_seen(token.token_id, 1, photo, nonce=nonce)
    answer = tokens.ask_permit(
        office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=photo
    )
    office.deliver()  # the ledger grows: open pages hear of it
    return answer.case_id


def project(site: Site) -> None:
    office = site.office
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        events.project(office.run, first=first, last=last)


def test_a_second_person_answers_while_the_keeper_waits(site: Site) -> None:
    asked = site.company.approved(form={"copies": 1})
    boss = site.signed_in("boss")
    expect(boss.get_by_role("heading", name="A keeper waits for your answer")).to_have_count(0)
    ask(site, asked)
    row = boss.get_by_role("link", name="Is this the approved page?")
    expect(row).to_be_visible()  # without a reload
    expect(boss).to_have_title(re.compile(r"^\(1\) "))
    look(boss, "inbox-doubt")
    row.click()
    expect(boss.get_by_role("heading", name="Is this the approved page?")).to_be_visible()
    expect(boss.get_by_alt_text("On the photo").first).to_be_visible()
    look(boss, "case")
    boss.get_by_label("Because").fill("A speck of dust on the glass; the text is the same.")
    boss.get_by_role("button", name="Stamp anyway").click()
    expect(boss.get_by_text("Boss said: stamp it.")).to_be_visible()
    look(boss, "case-answered")
    site.office.deliver()
    boss.goto(f"/requests/{asked.id}")
    expect(boss.get_by_role("link", name="A second person said: stamp it")).to_be_visible()
    look(boss, "request-case")


def test_who_stamps_sees_the_question_and_no_buttons(site: Site) -> None:
    case_id = ask(site, site.company.approved(form={"copies": 1}))
    keeper = site.signed_in("keeper")
    keeper.goto(f"/cases/{case_id}")
    expect(keeper.get_by_role("button", name="Stamp anyway")).to_have_count(0)
    expect(keeper.get_by_text("an approver or another keeper can")).to_be_visible()


def test_presses_without_a_comparison_wait_for_a_decision(site: Site) -> None:
    office = site.office
    asked = site.company.approved(form={"stamping": "continuous", "copies": 1})
    token = office.token(asked)
    office.grant(token)
    office.page_seen(token.token_id, 1, b"before")
    office.press(token, 1)
    office.close(token, 1)
    project(site)
    auditor = site.signed_in("auditor", viewport=DESKTOP)
    auditor.get_by_role("link", name="1 press waits for a person's decision").click()
    look(auditor, "reviews")
    auditor.get_by_role("link", name=re.compile("Supply contract")).click()
    expect(auditor.get_by_text("Not checked before the press")).to_be_visible()
    auditor.get_by_label("Because").fill("Both photos show the approved page.")
    auditor.get_by_role("button", name="In order", exact=True).click()
    expect(auditor.get_by_text("Auditor decided: in order.")).to_be_visible()
    look(auditor, "review-decided")
    auditor.goto(f"/requests/{asked.id}")
    expect(auditor.get_by_text("Page not checked")).to_be_visible()
    expect(auditor.get_by_text("Auditor decided: in order.")).to_be_visible()
    look(auditor, "request-unchecked")


def test_a_request_says_how_it_is_stamped(site: Site) -> None:
    clerk = site.signed_in("clerk")
    clerk.goto("/requests/new")
    look(clerk, "new-request-ways")
    clerk.get_by_label("PDF, JPG or PNG").set_input_files(
        {"name": "annexes.pdf", "mimeType": "application/pdf", "buffer": contract_pdf(pages=3)}
    )
    clerk.get_by_label("Across the edges", exact=False).first.check()
    clerk.get_by_label("to page").fill("3")
    clerk.get_by_label("The pages are bound or stapled").check()
    clerk.get_by_label("Leaf through every page").check()
    clerk.get_by_label("Reason").fill("Annexes that belong together")
    clerk.get_by_role("button", name="Next: place the seal").click()
    clerk.wait_for_url("**/place")
    request_id = clerk.url.split("/")[-2]
    clerk.goto(f"/requests/{request_id}")
    expect(clerk.get_by_text("Across the edges of pages 1 to 3, fanned out")).to_be_visible()
    expect(clerk.get_by_text("The pages are bound or stapled.")).to_be_visible()
    expect(clerk.get_by_text("Every page is leafed through under the camera first.")).to_be_visible()
    look(clerk, "request-straddle")


def test_an_administrator_sets_what_stamping_with_a_seal_needs(site: Site) -> None:
    admin = site.signed_in("admin")
    admin.goto(f"/seals/{site.company.seal.id}")
    admin.get_by_label("Imprints without headquarters, at most").fill("2")
    admin.get_by_label("Leaf through every page before stamping").check()
    admin.get_by_role("button", name="Save the rule").click()
    expect(admin.get_by_label("Imprints without headquarters, at most")).to_have_value("2")
    look(admin, "seal-stamping")
    assert site.company.submitted().leaf_through
