"""The request's page is its cover sheet: a code that a scanner at the device starts the job with."""

from segno import make_qr

from tests.dashboard.screens.conftest import Visitor
from tests.server.world import Company


def test_an_approved_request_shows_its_number_as_a_code_and_one_not_approved_does_not(
    visitor: Visitor, company: Company
) -> None:
    waiting, asked = company.submitted(), company.approved()
    visitor.sign_in("clerk")
    path = f"/requests/{asked.id}/job.svg"
    assert path in visitor.get(f"/requests/{asked.id}").text
    assert "job.svg" not in visitor.get(f"/requests/{waiting.id}").text
    picture = visitor.get(path)
    assert picture.headers["content-type"] == "image/svg+xml"
    assert make_qr(asked.short, error="m").svg_inline(scale=4, border=4, light="white").split("<path")[-1][:200] in (
        picture.text
    )


def test_nobody_outside_its_branch_gets_the_code(visitor: Visitor, company: Company) -> None:
    asked = company.approved()
    assert visitor.get(f"/requests/{asked.id}/job.svg").status_code != 200
