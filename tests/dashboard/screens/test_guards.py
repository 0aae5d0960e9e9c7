"""What every page promises: who may see it, what browsers may run on it, and how errors speak."""

import re

from server.identity import service as identity
from tests.dashboard.screens.conftest import Visitor
from tests.server.world import Company

PAGES = ["/", "/requests/new", "/devices", "/devices/add", "/seals", "/ledger", "/live", "/ledger/checkpoint"]


def test_nobody_sees_a_page_before_signing_in(visitor: Visitor) -> None:
    for path in PAGES:
        answer = visitor.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login"), path


def test_no_answer_allows_inline_code_frames_or_other_sites(visitor: Visitor) -> None:
    visitor.sign_in("admin")
    for path in ("/login", "/trust", "/nowhere", "/seals"):
        answer = visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=\"|\sstyle=", answer.text)
        assert not re.search(r"(src|href)=\"https?://(?!localhost)", answer.text)


def test_every_page_of_a_demo_says_so(visitor: Visitor) -> None:
    visitor.sign_in("admin")
    for path in ("/login", "/", "/trust", "/ledger", "/nowhere"):
        answer = visitor.get(path, follow_redirects=True)
        assert 'aria-label="DEMO"' in answer.text


def test_assets_have_an_address_that_never_changes_its_content(visitor: Visitor) -> None:
    address = re.search(r'href="(/static/[0-9a-f]{16}/app\.css)"', visitor.get("/login").text)
    assert address
    answer = visitor.get(address[1])
    assert "immutable" in answer.headers["cache-control"]
    assert visitor.get("/static/0000000000000000/app.css").status_code == 404


def test_another_site_cannot_decide_in_my_name(visitor: Visitor, with_passwords: Company) -> None:
    visitor.sign_in("boss")
    asked = with_passwords.submitted()
    body = {"answer": "approve", "digest": (asked.digest or b"").hex(), "password": "correct horse battery"}
    answer = visitor.post(f"/requests/{asked.id}/decide", data=body, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert visitor.post(f"/requests/{asked.id}/decide", data=body).status_code == 303


def test_an_error_says_what_happened_whether_work_is_safe_and_what_next(visitor: Visitor) -> None:
    visitor.sign_in("clerk")
    page = visitor.get("/devices/NOBODY")
    assert page.status_code == 404
    assert "There is nothing here, or it belongs to another branch." in page.text
    assert "Nothing was changed by this step." in page.text
    problem = visitor.get("/api/v1/devices/NOBODY", headers={"accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == "no_such_device"


def test_the_login_leads_only_to_this_server(visitor: Visitor, with_passwords: Company) -> None:
    for hostile in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        visitor.cookies.clear()
        answer = visitor.post("/login", data={"username": "boss", "password": "correct horse battery", "next": hostile})
        assert answer.headers["location"] == "/"


def test_a_sign_in_link_works_once(visitor: Visitor, company: Company) -> None:
    with company.run.db.write() as db:
        token = identity.make_login_link(db, company.run, person_id=company.boss.id, next_path="/seals")
    assert visitor.get(f"/login/link/{token}").headers["location"] == "/seals"
    assert visitor.get("/seals").status_code == 200
    assert visitor.get(f"/login/link/{token}").status_code == 401


def test_a_clerk_sees_no_pairing_and_a_stranger_no_request(visitor: Visitor, company: Company) -> None:
    asked = company.submitted()
    visitor.sign_in("clerk")
    assert visitor.get("/devices/add").status_code == 403
    assert visitor.get(f"/requests/{asked.id}").status_code == 200
    visitor.cookies.clear()
    visitor.sign_in("stranger")
    for part in ("", "/pages/1.png", "/document.pdf", "/text", "/reconciliation", "/decide"):
        assert visitor.get(f"/requests/{asked.id}{part}").status_code == 404


def test_the_reader_chooses_the_language(visitor: Visitor) -> None:
    visitor.sign_in("boss")
    for language, word in (("es", "Bandeja"), ("zh", "待办"), ("en", "Inbox")):
        visitor.cookies.pop("language", None)  # the jar would keep both; a browser replaces the old one
        visitor.get(f"/language/{language}")
        page = visitor.get("/").text
        assert f'<html lang="{language}">' in page
        assert word in page


def test_a_photo_is_shown_only_where_the_request_names_it(visitor: Visitor, company: Company) -> None:
    visitor.sign_in("boss")
    asked, other = company.submitted(), company.seal.artwork_digest.hex()
    assert visitor.get(f"/requests/{asked.id}/photos/{other}.jpg").status_code == 404
