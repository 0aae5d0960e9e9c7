"""Signing in, staying in, being thrown out."""

from datetime import timedelta

import pytest

from server.app import create_api
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.core.scope import Role
from server.identity import service
from server.identity.errors import LinkUsed, WrongPin
from server.identity.limits import PER_NAME, LoginLimits
from tests.fixtures.databases import on_both
from tests.server.world import PASSWORD, PIN, Client, Company

pytestmark = on_both


def sign_in(client: Client, username: str, password: str = PASSWORD) -> int:
    return client.post("/api/v1/session", json={"username": username, "password": password}).status_code


def test_sign_in_and_out(with_passwords: Company) -> None:
    client = Client(create_api(with_passwords.run))
    assert client.get("/api/v1/session").json()["code"] == "not_signed_in"
    answer = client.post("/api/v1/session", json={"username": "clerk", "password": PASSWORD})
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("__Host-cinnabar=", "HttpOnly", "Secure", "SameSite=strict", "Path=/"))
    me = client.get("/api/v1/session").json()
    assert (me["person"]["username"], me["scope"]["branch_path"]) == ("clerk", "/spain/madrid/")
    assert PASSWORD not in str(me)
    assert client.request("DELETE", "/api/v1/session").status_code == 204
    assert client.get("/api/v1/session").status_code == 401


def test_wrong_password_and_unknown_name_look_alike(with_passwords: Company) -> None:
    client = Client(create_api(with_passwords.run))
    answers = [
        client.post("/api/v1/session", json={"username": name, "password": "wrong password here"}).json()
        for name in ("clerk", "nobody")
    ]
    assert [answer.pop("instance") != "" for answer in answers] == [True, True]
    assert answers[0] == answers[1]


def test_guessing_is_slowed_down(with_passwords: Company) -> None:
    client = Client(create_api(with_passwords.run))
    codes = [sign_in(client, "clerk", "wrong password") for _try in range(PER_NAME + 1)]
    assert codes == [401] * PER_NAME + [429]
    assert sign_in(client, "clerk") == 429
    assert sign_in(client, "boss") == 201


def test_a_session_idles_out_sooner_for_approvers(with_passwords: Company, clock: FixedClock, run: Runtime) -> None:
    app = create_api(run)
    boss, clerk = Client(app), Client(app)
    assert (sign_in(boss, "boss"), sign_in(clerk, "clerk")) == (201, 201)
    clock.advance(timedelta(minutes=16))
    assert boss.get("/api/v1/session").status_code == 401
    assert clerk.get("/api/v1/session").status_code == 200
    clock.advance(timedelta(minutes=29))
    assert clerk.get("/api/v1/session").status_code == 200  # the call before kept it awake
    clock.advance(timedelta(minutes=31))
    assert clerk.get("/api/v1/session").status_code == 401


def test_an_administrator_signs_somebody_out_everywhere(with_passwords: Company, run: Runtime) -> None:
    app = create_api(run)
    admin, clerk = Client(app), Client(app)
    assert (sign_in(admin, "admin"), sign_in(clerk, "clerk")) == (201, 201)
    ended = admin.request("DELETE", f"/api/v1/people/{with_passwords.clerk.id}/sessions")
    assert ended.json() == {"ended": 1}
    assert clerk.get("/api/v1/session").status_code == 401


def test_a_role_taken_away_counts_from_the_next_call(with_passwords: Company, run: Runtime) -> None:
    client = Client(create_api(run))
    assert sign_in(client, "admin") == 201
    assert client.get("/api/v1/people").status_code == 200
    with run.db.write() as db:
        service.set_role(
            db,
            run,
            with_passwords.everywhere,
            person_id=with_passwords.admin.id,
            role=Role.ADMINISTRATOR,
            branch_path="/",
            held=False,
        )
    assert client.get("/api/v1/people").status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://localhost"}, 204),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 204),
    ],
)
def test_another_site_cannot_act_in_your_name(with_passwords: Company, headers: dict[str, str], status: int) -> None:
    app = create_api(with_passwords.run)
    client = Client(app)
    assert sign_in(client, "clerk") == 201
    stranger = Client(app)
    stranger._headers = headers
    stranger.cookies = client.cookies
    assert stranger.request("DELETE", "/api/v1/session").status_code == status


def test_a_cookie_without_any_origin_is_refused(with_passwords: Company) -> None:
    client = Client(create_api(with_passwords.run))
    assert sign_in(client, "clerk") == 201
    client._headers = {}
    assert client.request("DELETE", "/api/v1/session").json()["code"] == "cross_site_request"


def test_a_login_link_works_once_and_not_for_ever(company: Company, run: Runtime, clock: FixedClock) -> None:
    with run.db.write() as db:
        token = service.make_login_link(db, run, person_id=company.boss.id, next_path="/inbox")
        late = service.make_login_link(db, run, person_id=company.boss.id, next_path="//evil.example")
    with run.db.write() as db:
        opened, path = service.use_login_link(db, run, token=token)
        assert path == "/inbox"
    with run.db.read() as db:
        found = service.session_of(db, run, opened.token)
        assert found is not None
        assert found.person.id == company.boss.id
    with pytest.raises(LinkUsed), run.db.write() as db:
        service.use_login_link(db, run, token=token)
    clock.advance(timedelta(hours=2))
    with pytest.raises(LinkUsed), run.db.write() as db:
        service.use_login_link(db, run, token=late)


def test_a_pin_is_for_keepers_of_this_branch(with_passwords: Company, run: Runtime) -> None:
    limits = LoginLimits()

    def check(username: str, pin: str, branch: str = "/spain/madrid/") -> str:
        with run.db.read() as db:
            return service.check_pin(
                db,
                tenant_id=with_passwords.tenant.id,
                branch_path=branch,
                username=username,
                pin=pin,
                limits=limits,
                place="MAD-0001",
            ).username

    assert check("keeper", PIN) == "keeper"
    for username, pin, branch in [
        ("keeper", "0000", "/spain/madrid/"),
        ("keeper", PIN, "/portugal/"),
        ("boss", PIN, "/spain/madrid/"),
    ]:
        with pytest.raises(WrongPin):
            check(username, pin, branch)
