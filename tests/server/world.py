"""A small company for the tests of the business slices: real database, keys, blobs, ledger queue and sandbox."""

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import structlog
from fastapi import FastAPI
from fpdf import FPDF

from dashboard.cli.init import create_installation
from server.approvals import service as approvals
from server.approvals.schemas import PlaceIn, RequestIn, RequestRead
from server.blobs.store import open_blobs
from server.core.clock import FixedClock, SystemClock
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.rng import SeededRng, SystemRng
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.core.settings import Settings
from server.identity import service as identity
from server.identity.schemas import PersonRead, TenantRead
from server.jobs.sandbox import Workers
from server.seals import service as seals
from server.seals.schemas import ApprovalRule, SealRead, Stage

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
PIN = "4711"
HEAD = bytes.fromhex("0102030405060708")


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with keys and trust bundle, made once; each test brings its own database and blobs."""
    settings = Settings(home=tmp_path_factory.mktemp("installation") / "home", demo=True, log_level="WARNING")
    create_installation(settings, clock=SystemClock(), rng=SystemRng())
    return settings


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()


@pytest.fixture(scope="session")
def keys(installation: Settings) -> KeyStore:
    return KeyStore.open(installation)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def run(  # noqa: PLR0917 - pytest gives fixtures by name
    installation: Settings,
    keys: KeyStore,
    workers: Workers,
    clock: FixedClock,
    database_url: str,
    tmp_path: Path,
    seed: int,
) -> Iterator[Runtime]:
    database = Database(database_url)
    rng = SeededRng(seed)
    yield Runtime(
        settings=installation,
        db=database,
        clock=clock,
        rng=rng,
        keys=keys,
        blobs=open_blobs((tmp_path / "blobs").as_uri(), keys=keys, rng=rng, clock=clock),
        workers=workers,
        log=structlog.stdlib.get_logger("test"),
    )
    database.close()


@dataclass(frozen=True, slots=True)
class Company:
    """Madrid asks and keeps; headquarters approves; Lisbon is the other branch."""

    run: Runtime
    tenant: TenantRead
    admin: PersonRead
    clerk: PersonRead
    keeper: PersonRead
    boss: PersonRead
    second_boss: PersonRead
    auditor: PersonRead
    stranger: PersonRead
    seal: SealRead

    def scope(self, person: PersonRead) -> Scope:
        path = min((role.branch_path for role in person.roles), key=len)
        roles = frozenset(role.role for role in person.roles)
        return Scope(tenant_id=self.tenant.id, branch_path=path, person_id=person.id, roles=roles)

    @property
    def everywhere(self) -> Scope:
        return Scope.system(self.tenant.id)

    def draft(self, *, form: dict[str, Any] | None = None, pdf: bytes | None = None) -> RequestRead:
        prepared = approvals.prepare(self.run, pdf or contract_pdf())
        fields = {"seal_id": self.seal.id, "title": "Supply contract", "places": (SPOT,), "copies": 2} | (form or {})
        with self.run.db.write() as db:
            return approvals.create(db, self.run, self.scope(self.clerk), prepared=prepared, form=RequestIn(**fields))

    def submitted(self, **options: Any) -> RequestRead:
        draft = self.draft(**options)
        with self.run.db.write() as db:
            return approvals.submit(db, self.run, self.scope(self.clerk), request_id=draft.id)

    def approved(self, **options: Any) -> RequestRead:
        return self.decide(self.boss, self.submitted(**options))

    def decide(self, person: PersonRead, request: RequestRead, *, approve: bool = True) -> RequestRead:
        with self.run.db.write() as db:
            return approvals.decide(
                db,
                self.run,
                self.scope(person),
                request_id=request.id,
                approve=approve,
                seen_digest=request.digest or b"",
            )


SPOT = PlaceIn(page=1, x_mm=140, y_mm=230)
_VOCABULARY = [
    "tenant",
    "landlord",
    "rent",
    "month",
    "deposit",
    "notice",
    "premises",
    "repair",
    "insurance",
    "party",
    "written",
    "term",
    "court",
    "Madrid",
    "delivery",
    "goods",
    "invoice",
    "payment",
    "interest",
    "quality",
    "warranty",
    "transport",
    "supplier",
    "buyer",
    "order",
    "price",
    "tax",
    "annex",
    "signature",
    "copy",
    "date",
    "clause",
]
_BRANCHES = {"/spain/": "Spain", "/spain/madrid/": "Madrid", "/portugal/": "Portugal"}
_PEOPLE = {
    "admin": ("/", [Role.ADMINISTRATOR]),
    "clerk": ("/spain/madrid/", [Role.REQUESTER]),
    "keeper": ("/spain/madrid/", [Role.KEEPER]),
    "boss": ("/", [Role.APPROVER]),
    "second_boss": ("/", [Role.APPROVER]),
    "auditor": ("/", [Role.AUDITOR]),
    "stranger": ("/portugal/", [Role.REQUESTER, Role.APPROVER, Role.ADMINISTRATOR, Role.KEEPER, Role.AUDITOR]),
}
ONE_APPROVER = ApprovalRule(stages=(Stage(name="Finance"),))


@pytest.fixture
def company(run: Runtime) -> Company:
    with run.db.write() as db:
        tenant = identity.create_tenant(db, run, name="Azulejos del Sur")
        system = Scope.system(tenant.id)
        for path, name in _BRANCHES.items():
            identity.add_branch(db, run, system, path=path, name=name)
        people = {}
        for username, (path, roles) in _PEOPLE.items():
            person = identity.add_person(db, run, system, username=username, name=username.title(), branch_path=path)
            for role in roles:
                person = identity.set_role(db, run, system, person_id=person.id, role=role, branch_path=path)
            people[username] = person
        seal = seals.register_seal(
            db,
            run,
            system,
            name="Contract seal 02",
            legal_name="Azulejos del Sur S.A.",
            branch_path="/spain/madrid/",
            artwork_png=artwork(),
            diameter_mm=38,
            rule=ONE_APPROVER,
        )
        seals.register_head(db, run, system, seal_id=seal.id, head_id=HEAD)
    return Company(run=run, tenant=tenant, seal=seal, **people)


@pytest.fixture
def with_passwords(company: Company) -> Company:
    """The same people, able to sign in."""
    with company.run.db.write() as db:
        for name in _PEOPLE:
            person = getattr(company, name)
            identity.set_password(db, company.run, company.everywhere, person_id=person.id, password=PASSWORD)
        identity.set_pin(db, company.run, company.everywhere, person_id=company.keeper.id, pin=PIN)
    return company


def artwork() -> bytes:
    """The round seal of the Spanish demo company."""
    return (Path(__file__).parents[2] / "dashboard" / "demo" / "assets" / "seal-es.png").read_bytes()


def contract_pdf(*, amount: str = "1.200,00 EUR", pages: int = 2) -> bytes:
    pdf = FPDF()
    pdf.set_creation_date(START)
    for number in range(1, pages + 1):
        pdf.add_page()
        pdf.set_font("helvetica", size=12)
        words = random.Random(number)
        for line in range(20):
            said = " ".join(words.choices(_VOCABULARY, k=9))
            pdf.cell(
                0, 9, f"{number}.{line} {said}, {amount if line == 12 else words.randrange(1000)}", new_x="LMARGIN"
            )
            pdf.ln(9)
    return bytes(pdf.output())


class Client:
    """Calls an app in this process over HTTP, cookies kept, as one browser or gateway."""

    def __init__(self, app: FastAPI, headers: dict[str, str] | None = None) -> None:
        self._app = app
        self._headers = {"origin": "https://localhost"} | (headers or {})
        self.cookies: dict[str, str] = {}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="https://localhost", headers=self._headers, cookies=self.cookies
            ) as client:
                response = await client.request(method, path, **options)
                self.cookies = dict(client.cookies)
                return response

        return anyio.run(call)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def moved(run: Runtime, **changes: Any) -> Runtime:
    """The same runtime with other parts."""
    return dataclasses.replace(run, **changes)
