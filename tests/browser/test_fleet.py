"""Services by two people, rosters, badges and deputies on screen: in Chromium, with axe, at phone and desktop width."""

import re

import pytest
from playwright.sync_api import expect

from firmware_protocol.events import Tamper
from server.core.scope import Role
from server.devices import service as devices
from server.events import service as event_service
from server.identity import service as identity
from tests.browser.conftest import DESKTOP, PASSWORD, Site, look
from tests.fixtures.authenticator import Authenticator

BADGE = "0004711815"


@pytest.fixture
def two_admins(site: Site) -> Site:
    run = site.office.run
    with run.db.write() as db:
        person = identity.add_person(
            db,
            run,
            site.company.everywhere,
            username="second",
            name="Second Admin",
            branch_path="/",
            password=PASSWORD,
        )
        identity.set_role(
            db, run, site.company.everywhere, person_id=person.id, role=Role.ADMINISTRATOR, branch_path="/"
        )
    return site


def test_two_administrators_clear_an_alarm(two_admins: Site) -> None:
    office = two_admins.office
    office.pen.write(Tamper(sensor="cover"))
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        event_service.project(office.run, first=first, last=last)
    admin = two_admins.signed_in("admin")
    admin.goto("/devices/MAD-0001")
    expect(admin.get_by_text("Its cover was opened.")).to_be_visible()
    look(admin, "device-tampered")
    admin.locator("select[name=kind]").select_option("change_head")
    admin.get_by_label("Why?").fill("A first try.")
    admin.get_by_role("button", name="Propose it").click()
    expect(admin.get_by_role("alert")).to_contain_text("A change of heads needs its slot and the head")
    look(admin, "device-service-refused")
    admin.locator("select[name=kind]").select_option("clear_tamper")
    admin.get_by_label("Why?").fill("The cleaner opened it; we looked inside.")
    admin.get_by_role("button", name="Propose it").click()
    expect(admin.get_by_text("A second administrator confirms it on this page.")).to_be_visible()
    expect(admin.get_by_role("button", name="Confirm the service")).to_have_count(0)
    look(admin, "device-service-proposed")
    second = two_admins.signed_in("second", viewport=DESKTOP)
    second.goto("/devices/MAD-0001")
    second.get_by_label("Your password").fill("not the password")
    second.get_by_role("button", name="Confirm the service").click()
    expect(second.get_by_role("alert")).to_contain_text("This step needs your password again")
    second.get_by_label("Your password").fill(PASSWORD)
    second.get_by_role("button", name="Confirm the service").click()
    expect(second.get_by_text("Ordered, on its way to the device")).to_be_visible()
    look(second, "device-service-ordered")
    with office.run.db.read() as db:
        (order,) = devices.services(db, office.run, two_admins.company.everywhere, device_id="MAD-0001")
    assert (order.proposed_by, order.confirmed_by) == (two_admins.company.admin.id, _person(two_admins, "second"))


def _person(site: Site, username: str) -> object:
    with site.office.run.db.read() as db:
        person = identity.person_named(db, username)
    return person.id if person is not None else None


def _made_at_the_device(site: Site, credential_id: bytes) -> None:
    company = site.company
    with site.office.run.db.write() as db:
        identity.register_passkey(
            db,
            site.office.run,
            tenant_id=company.tenant.id,
            person_id=company.keeper.id,
            rp_id="gateway.example.com",
            authenticator_data=Authenticator(rp_id="gateway.example.com", credential_id=credential_id).made(),
            device_id="MAD-0001",
            gateway_id="gw-madrid",
        )


def test_a_passkey_waits_for_its_owners_word(site: Site) -> None:
    _made_at_the_device(site, b"first")
    keeper = site.signed_in("keeper")
    keeper.locator("details.menu summary").click()
    keeper.get_by_role("link", name="My passkeys").click()
    expect(keeper.get_by_text("Made at device MAD-0001, gateway gw-madrid")).to_be_visible()
    look(keeper, "passkey-waits")
    keeper.get_by_role("button", name="Refuse passkey").click()
    expect(keeper.get_by_text("No passkey yet.")).to_be_visible()
    _made_at_the_device(site, b"second")
    keeper.reload()
    keeper.get_by_role("button", name="Confirm passkey").click()
    expect(keeper.get_by_role("button", name="Remove passkey")).to_be_visible()
    look(keeper, "passkey")
    _made_at_the_device(site, b"third")
    admin = site.signed_in("admin", viewport=DESKTOP)
    admin.goto(f"/people/{site.company.keeper.id}")
    expect(admin.get_by_text("Confirm it: I asked this person")).to_be_visible()
    look(admin, "person-passkeys")
    admin.get_by_role("button", name="Confirm passkey").click()
    expect(admin.get_by_role("button", name="Remove passkey")).to_have_count(2)
    admin.get_by_label("Why does it not count any more?").first.fill("the phone was lost")
    admin.get_by_role("button", name="Remove passkey").first.click()
    expect(admin.get_by_role("button", name="Remove passkey")).to_have_count(1)


def test_a_keeper_gets_a_pin_and_a_badge_and_names_a_deputy(site: Site) -> None:
    admin = site.signed_in("admin")
    admin.goto("/people")
    look(admin, "people")
    admin.get_by_text("Add a person").click()
    admin.get_by_label("User name").fill("NOT ALLOWED")
    admin.get_by_label("Name", exact=True).fill("Nora Neu")
    admin.get_by_role("button", name="Add the person").click()
    expect(admin.get_by_role("alert")).to_contain_text("A user name has small letters")
    admin.get_by_label("User name").fill("nora")
    admin.get_by_label("Name", exact=True).fill("Nora Neu")
    admin.get_by_label("Branch").select_option("/spain/madrid/")
    admin.get_by_label("Role").select_option("keeper")
    admin.get_by_role("button", name="Add the person").click()
    expect(admin.get_by_role("heading", name="Nora Neu")).to_be_visible()
    look(admin, "person-new")
    admin.get_by_label("PIN").fill("2580")
    admin.get_by_role("button", name="Save the PIN").click()
    expect(admin.get_by_label("New PIN")).to_be_visible()
    admin.get_by_label("Hold the badge to the reader").fill(BADGE)
    admin.keyboard.press("Enter")  # as a reader does
    expect(admin.get_by_role("button", name="Revoke the badge")).to_be_visible()
    assert BADGE not in admin.content()
    look(admin, "person")
    keeper = site.signed_in("keeper")
    keeper.goto("/devices/MAD-0001")
    expect(keeper.get_by_text("Nora Neu")).to_be_visible()
    keeper.get_by_role("link", name="Name a deputy").click()
    look(keeper, "deputy-new")
    keeper.get_by_label("Who stands in").select_option(label="Clerk")
    keeper.get_by_label("Last day").fill("2020-01-01")
    keeper.get_by_role("button", name="Name the deputy").click()
    expect(keeper.get_by_role("alert")).to_contain_text("A deputy's time ends after it begins")
    keeper.get_by_label("Who stands in").select_option(label="Clerk")
    keeper.get_by_role("button", name="Name the deputy").click()
    expect(keeper.get_by_text(re.compile("Clerk for Keeper"))).to_be_visible()
    expect(keeper.get_by_text("deputy until")).to_be_visible()
    look(keeper, "device-deputy")
    keeper.get_by_role("button", name="End it now").click()
    expect(keeper.get_by_text("deputy until")).to_have_count(0)
    admin.get_by_label("Why does the account end?").fill("left the company")
    admin.get_by_role("button", name="End the account").click()
    expect(admin.get_by_text("This account ended.")).to_be_visible()
    keeper.reload()
    expect(keeper.get_by_text("Nora Neu")).to_have_count(0)
    keeper.goto(f"/seals/{site.company.seal.id}")
    look(keeper, "seal-deputies")
