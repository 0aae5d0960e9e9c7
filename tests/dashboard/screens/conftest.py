import pytest

from dashboard.app import create_app
from server.identity import service as identity
from server.identity.guard import SESSION_COOKIE
from tests.server.office import gateway, office
from tests.server.world import (
    Client,
    Company,
    clock,
    company,
    installation,
    keys,
    run,
    with_passwords,
    workers,
)

__all__ = ["clock", "company", "gateway", "installation", "keys", "office", "run", "with_passwords", "workers"]


class Visitor(Client):
    """A browser without JavaScript, as far as the server can tell."""

    def __init__(self, company: Company) -> None:
        self.company = company
        super().__init__(create_app(company.run), {"accept": "text/html", "sec-fetch-site": "same-origin"})

    def sign_in(self, username: str) -> None:
        """A session as after the login, without the slow password check."""
        run = self.company.run
        with run.db.write() as db:
            opened = identity.open_session(db, run, person_id=getattr(self.company, username).id)
        self.cookies = {SESSION_COOKIE: opened.token}


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)
