"""Every route x every role: who may call it is written here, and a route that is not written here fails."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from fastapi import FastAPI

from server.app import create_api
from server.core.scope import Role
from server.identity import service
from tests.server.world import Client, Company

ALL = frozenset(Role)
ADMIN, AUDITOR, REQUESTER, APPROVER = (
    frozenset({role}) for role in (Role.ADMINISTRATOR, Role.AUDITOR, Role.REQUESTER, Role.APPROVER)
)
KEEPERS = frozenset({Role.KEEPER, Role.ADMINISTRATOR})
ANYBODY, GATEWAY = "anybody", "gateway"

MATRIX: Final[dict[str, frozenset[Role] | str]] = {
    "GET /openapi.json": ANYBODY,
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /metrics": ANYBODY,
    "POST /api/v1/session": ANYBODY,
    "GET /api/v1/session": ALL,
    "POST /api/v1/session/branch": ALL,
    "DELETE /api/v1/session": ALL,
    "GET /api/v1/branches": ADMIN,
    "POST /api/v1/branches": ADMIN,
    "GET /api/v1/people": ADMIN,
    "POST /api/v1/people": ADMIN,
    "POST /api/v1/people/{person_id}/roles": ADMIN,
    "DELETE /api/v1/people/{person_id}/sessions": ADMIN,
    "PUT /api/v1/people/{person_id}/pin": ADMIN,
    "GET /api/v1/people/{person_id}/badges": ADMIN,
    "POST /api/v1/people/{person_id}/badges": ADMIN,
    "GET /api/v1/people/{person_id}/passkeys": ADMIN,
    "GET /api/v1/passkeys": ALL,
    "POST /api/v1/passkeys/{passkey_id}/confirm": ALL,
    "POST /api/v1/passkeys/{passkey_id}/revoke": ALL,
    "POST /api/v1/people/{person_id}/remove": ADMIN,
    "POST /api/v1/badges/{badge_id}/revoke": ADMIN,
    "POST /api/v1/devices/{device_id}/offline": ADMIN,
    "GET /api/v1/devices/{device_id}/sensors": ALL,
    "GET /api/v1/devices/{device_id}/services": ALL,
    "POST /api/v1/devices/{device_id}/services": ADMIN,
    "POST /api/v1/services/{service_id}/confirm": ADMIN,
    "POST /api/v1/services/{service_id}/withdraw": ADMIN,
    "GET /api/v1/deputies": ALL,
    "POST /api/v1/deputies": KEEPERS,
    "POST /api/v1/deputies/{deputy_id}/end": KEEPERS,
    "GET /api/v1/seals": ALL,
    "POST /api/v1/seals": ADMIN,
    "GET /api/v1/seals/{seal_id}": ALL,
    "GET /api/v1/seals/{seal_id}/specimen": ALL,
    "POST /api/v1/seals/{seal_id}/state": ADMIN,
    "PUT /api/v1/seals/{seal_id}/rule": ADMIN,
    "POST /api/v1/seals/{seal_id}/heads": ADMIN,
    "GET /api/v1/gateways": ADMIN,
    "POST /api/v1/gateways": ADMIN,
    "POST /api/v1/gateways/{gateway_id}/secret": ADMIN,
    "GET /api/v1/devices": ALL,
    "GET /api/v1/devices/{device_id}": ALL,
    "PUT /api/v1/devices/{device_id}/name": ADMIN,
    "POST /api/v1/devices/{device_id}/state": ADMIN,
    "GET /api/v1/pairings": ADMIN,
    "POST /api/v1/pairings/{pairing_id}/confirm": ADMIN,
    "POST /api/v1/pairings/{pairing_id}/refuse": ADMIN,
    "GET /api/v1/eseals": ALL,
    "GET /api/v1/eseals/{eseal_id}": ALL,
    "GET /api/v1/eseals/{eseal_id}/sealed.pdf": ALL,
    "POST /api/v1/eseals/{eseal_id}/withdraw": ADMIN,
    "POST /api/v1/requests/{request_id}/eseal": REQUESTER,
    "GET /api/v1/requests/{request_id}/sealed.pdf": ALL,
    "GET /api/v1/inbox": ALL,
    "GET /api/v1/requests": ALL,
    "POST /api/v1/requests": REQUESTER,
    "GET /api/v1/requests/{request_id}": ALL,
    "PUT /api/v1/requests/{request_id}": REQUESTER,
    "POST /api/v1/requests/{request_id}/submit": REQUESTER,
    "POST /api/v1/requests/{request_id}/withdraw": REQUESTER,
    "POST /api/v1/requests/{request_id}/void": ADMIN,
    "GET /api/v1/requests/{request_id}/may-decide": ALL,
    "POST /api/v1/requests/{request_id}/decisions": APPROVER,
    "GET /api/v1/requests/{request_id}/document": ALL,
    "GET /api/v1/requests/{request_id}/pages/{page}": ALL,
    "GET /api/v1/requests/{request_id}/timeline": ALL,
    "GET /api/v1/scans": REQUESTER,
    "GET /api/v1/leases": ALL,
    "GET /api/v1/photos/{sha256}": ALL,
    "GET /api/v1/alarms": ALL,
    "GET /api/v1/reconciliation": AUDITOR,
    "GET /api/v1/reconciliation/{request_id}": AUDITOR,
    "POST /gateway/v1/hello": GATEWAY,
    "POST /gateway/v1/sessions": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/passkeys": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/time": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/roster": GATEWAY,
    "GET /gateway/v1/carry": ANYBODY,
    "POST /gateway/v1/certificate": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/cases/{case_id}": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/cases/{case_id}/reminder": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/imprints/{token_id}/{stroke}": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/photos/wanted": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/labels": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/notes": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/crops/{finding_id}/{digest}": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/spoiled": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/sweeps/pages": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/vouchers": GATEWAY,
    "POST /gateway/v1/carry": GATEWAY,
    "POST /gateway/v1/pairings": GATEWAY,
    "POST /gateway/v1/pairings/{pairing_id}/device": GATEWAY,
    "POST /gateway/v1/pairings/{pairing_id}/event": GATEWAY,
    "GET /gateway/v1/pairings/{pairing_id}": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/scans": GATEWAY,
    "GET /gateway/v1/devices/{device_id}/jobs": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/tokens": GATEWAY,
    "POST /gateway/v1/devices/{device_id}/permits": GATEWAY,
    "HEAD /gateway/v1/blobs/{sha256}": GATEWAY,
    "PUT /gateway/v1/blobs/{sha256}": GATEWAY,
}

BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /api/v1/people/{person_id}/roles": {"role": "auditor", "branch_path": "/"},
    "POST /api/v1/seals/{seal_id}/state": {"state": "suspended", "reason": "a check"},
    "PUT /api/v1/seals/{seal_id}/rule": {"stages": [{"name": "Finance"}]},
    "POST /api/v1/seals/{seal_id}/heads": {"head_id": "a" * 16},
    "PUT /api/v1/people/{person_id}/pin": {"pin": "1234"},
    "POST /api/v1/people/{person_id}/badges": {"badge": "0004711", "name": "card"},
    "POST /api/v1/people/{person_id}/remove": {"reason": "a check"},
    "POST /api/v1/badges/{badge_id}/revoke": {"reason": "a check"},
    "POST /api/v1/passkeys/{passkey_id}/revoke": {"reason": "a check"},
    "POST /api/v1/devices/{device_id}/offline": {"max_offline_strokes": 2},
    "POST /api/v1/devices/{device_id}/services": {"kind": "clear_tamper", "reason": "a check"},
    "PUT /api/v1/devices/{device_id}/name": {"name": "Desk"},
    "POST /api/v1/devices/{device_id}/state": {"state": "suspended", "reason": "a check"},
    "POST /api/v1/requests/{request_id}/withdraw": {"reason": "a check"},
    "POST /api/v1/requests/{request_id}/void": {"reason": "a check"},
    "POST /api/v1/eseals/{eseal_id}/withdraw": {"reason": "a check"},
    "POST /api/v1/requests/{request_id}/decisions": {"approve": True, "digest": "0" * 64, "password": "x"},
}
"""Well-formed bodies, so that a route of another branch answers 404 and not 422."""


def routes(app: FastAPI) -> Iterator[str]:
    for found in _flat(app.routes):
        for method in sorted(found.methods - {"OPTIONS"}):
            if method == "HEAD" and "GET" in found.methods:
                continue
            yield f"{method} {found.path}"


def _flat(found: Any) -> Iterator[Any]:
    """FastAPI keeps an included router as one entry; a plain starlette route (the OpenAPI file) counts too."""
    for route in found:
        if hasattr(route, "original_router"):
            yield from _flat(route.original_router.routes)
        elif hasattr(route, "methods"):
            yield route
        else:
            raise AssertionError(f"a route of an unknown kind: {route!r}")


@pytest.fixture
def app(company: Company) -> FastAPI:
    return create_api(company.run)


def signed_in(app: FastAPI, company: Company, roles: frozenset[Role], branch: str) -> Client:
    """A browser of somebody who holds exactly `roles` in `branch`."""
    run, name = company.run, "-".join(sorted(roles)) + branch.replace("/", "-")
    with run.db.write() as db:
        person = service.add_person(
            db, run, company.everywhere, username=f"x{name}"[:60].strip("-"), name=name, branch_path=branch
        )
        for role in roles:
            service.set_role(db, run, company.everywhere, person_id=person.id, role=role, branch_path=branch)
        opened = service.open_session(db, run, person_id=person.id)
    client = Client(app)
    client.cookies = {"__Host-cinnabar": opened.token}
    return client


def test_every_route_is_in_the_matrix_and_the_other_way_round(app: FastAPI) -> None:
    assert set(routes(app)) == set(MATRIX)


def call(client: Client, route: str, facts: dict[str, str]) -> int:
    method, _space, path = route.partition(" ")
    filled = re.sub(r"{(\w+)}", lambda match: facts[match[1]], path)
    return client.request(method, filled, json=BODIES.get(route)).status_code


@pytest.fixture
def facts(company: Company) -> dict[str, str]:
    """What stands in paths: objects of Madrid."""
    request = company.submitted()
    return {
        "request_id": str(request.id),
        "seal_id": str(company.seal.id),
        "person_id": str(company.clerk.id),
        "pairing_id": str(company.tenant.id),
        "badge_id": str(company.tenant.id),
        "passkey_id": str(company.tenant.id),
        "case_id": str(company.tenant.id),
        "finding_id": str(company.tenant.id),
        "digest": "0" * 64,
        "token_id": "0" * 32,
        "stroke": "1",
        "service_id": str(company.tenant.id),
        "deputy_id": str(company.tenant.id),
        "eseal_id": str(company.tenant.id),
        "gateway_id": "gw-madrid",
        "device_id": "MAD-0001",
        "sha256": "0" * 64,
        "page": "1",
    }


def test_nobody_comes_in_without_signing_in(app: FastAPI, facts: dict[str, str]) -> None:
    guarded = {route for route, who in MATRIX.items() if who != ANYBODY}
    answers = {route: call(Client(app), route, facts) for route in sorted(guarded)}
    assert {route: status for route, status in answers.items() if status != 401} == {}


def test_a_role_opens_its_routes_and_no_others(app: FastAPI, company: Company, facts: dict[str, str]) -> None:
    wrong = {}
    for role in Role:
        client = signed_in(app, company, frozenset({role}), "/spain/madrid/")
        session_routes = [route for route in MATRIX if "/session" in route]
        for route, who in MATRIX.items():
            if who in (ANYBODY, GATEWAY) or route in session_routes:
                continue
            status = call(client, route, facts)
            if (status == 403) == (role in who):
                wrong[f"{role} {route}"] = status
    # The right role, but not the right person or password: that is a 403 too.
    allowed = {
        "requester PUT /api/v1/requests/{request_id}",
        "requester POST /api/v1/requests/{request_id}/submit",
        "requester POST /api/v1/requests/{request_id}/withdraw",
        "approver POST /api/v1/requests/{request_id}/decisions",
    }
    assert set(wrong) <= allowed, wrong


def test_another_branch_is_not_found_even_with_every_role(
    app: FastAPI, company: Company, facts: dict[str, str]
) -> None:
    client = signed_in(app, company, ALL, "/portugal/")
    about_madrid = [route for route in MATRIX if re.search("{(request|seal|person|device)_id}", route)]
    asked = [route for route in about_madrid if MATRIX[route] != GATEWAY]
    bodies_needed = {"PUT /api/v1/requests/{request_id}"}
    answers = {route: call(client, route, facts) for route in asked if route not in bodies_needed}
    assert {route: status for route, status in answers.items() if status != 404} == {}


def test_lists_of_another_branch_are_empty(app: FastAPI, company: Company, facts: dict[str, str]) -> None:
    client = signed_in(app, company, ALL, "/portugal/")
    for path in ("requests", "seals", "devices", "alarms", "leases", "scans", "reconciliation", "gateways"):
        assert client.get(f"/api/v1/{path}").json() == [], path
    assert company.clerk.name not in client.get("/api/v1/people").text


def test_a_session_cookie_opens_no_gateway_route(app: FastAPI, company: Company, facts: dict[str, str]) -> None:
    client = signed_in(app, company, ALL, "/")
    answers = {route: call(client, route, facts) for route, who in MATRIX.items() if who == GATEWAY}
    assert set(answers.values()) == {401}
