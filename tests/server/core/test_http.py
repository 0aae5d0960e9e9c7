"""Problems as RFC 9457, correlation ids, body caps, health, metrics; and no secret in a log."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import anyio
import pytest
import structlog
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from server.core import errors, http, i18n, logs
from server.core.clock import FixedClock
from server.core.db import Database
from server.core.errors import Conflict, NotFound, Problem, RateLimited, ServerError
from server.core.i18n import N_
from server.core.ids import new_id
from server.core.rng import SeededRng
from server.core.settings import Settings

Ask = Callable[..., Any]


class SelfApproval(Conflict):
    happened = N_("You cannot approve request %(number)s, because you asked for it.")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Any]:
    clock, rng = FixedClock(), SeededRng(3)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    settings = Settings(home=tmp_path, max_upload_bytes=1000)
    yield SimpleNamespace(db=database, clock=clock, rng=rng, settings=settings, new_id=lambda: new_id(clock, rng))
    database.close()


@pytest.fixture
def app(runtime: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/approve")
    def approve() -> None:
        raise SelfApproval(number=17)

    @app.get("/slow-down")
    def slow_down() -> None:
        raise RateLimited(retry_after_s=30)

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("canary-in-message")

    @app.get("/teapot")
    def teapot() -> None:
        raise HTTPException(418)

    @app.post("/form")
    def form(password: Annotated[str, Form()], number: Annotated[int, Form()]) -> int:
        return number

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.get("/who")
    def who(request: Request) -> list[str]:
        return [request.state.correlation_id, i18n.language()]

    def page(request: Request, problem: Problem) -> Response:
        return HTMLResponse(f"<h1>{problem.title}</h1>", status_code=problem.status)

    http.prepare(app, runtime, page=page)
    return app


def test_an_error_says_what_happened_whether_the_work_is_safe_and_what_next(app: FastAPI, ask: Ask) -> None:
    answer = ask(app, "GET", "/approve")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    problem = answer.json()
    assert problem["code"] == "self_approval"
    assert problem["happened"] == "You cannot approve request 17, because you asked for it."
    assert problem["safe"]
    assert problem["next"]
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert problem["type"] == "urn:cinnabar:problem:self_approval"


def test_a_browser_gets_a_page(app: FastAPI, ask: Ask) -> None:
    answer = ask(app, "GET", "/approve", headers={"accept": "text/html"})
    assert (answer.status_code, answer.text) == (409, "<h1>This step does not fit any more</h1>")


def problem_number(answer: Any) -> str:
    return str(answer.json()["instance"]).removeprefix("urn:uuid:")


def test_every_kind_of_failure_is_a_problem(app: FastAPI, ask: Ask) -> None:
    for path, status, code in (
        ("/nowhere", 404, "not_found"),
        ("/teapot", 418, "bad_input"),
        ("/broken", 500, "server_error"),
        ("/slow-down", 429, "rate_limited"),
    ):
        answer = ask(app, "GET", path)
        assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
        assert "canary" not in answer.text
        assert problem_number(answer) == answer.headers["x-request-id"]
    assert ask(app, "DELETE", "/who").status_code == 405
    assert ask(app, "GET", "/slow-down").headers["retry-after"] == "30"


def test_a_malformed_form_is_named_without_its_values(app: FastAPI, ask: Ask) -> None:
    answer = ask(app, "POST", "/form", data={"password": "canary-secret", "number": "canary-number"})
    assert answer.status_code == 422
    assert [item["where"] for item in answer.json()["errors"]] == ["body.number"]
    assert "canary" not in answer.text


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_cap_is_refused(app: FastAPI, ask: Ask, *, announced: bool) -> None:
    async def chunks() -> Any:
        for _chunk in range(20):
            yield b"x" * 100

    content = b"x" * 2000 if announced else chunks()
    answer = ask(app, "POST", "/body", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert ask(app, "POST", "/body", content=b"x" * 1000).json() == 1000


def test_correlation_id_and_language_reach_the_route(app: FastAPI, ask: Ask) -> None:
    number = str(UUID(int=5))
    headers = {"x-request-id": number, "accept-language": "es"}
    assert ask(app, "GET", "/who", headers=headers).json() == [number, "es"]
    made = ask(app, "GET", "/who", headers={"x-request-id": "evil\tvalue", "cookie": "language=zh"}).json()
    assert UUID(made[0]).version == 7
    assert made[1] == "zh"


def test_health_says_ready_only_with_a_database(app: FastAPI, ask: Ask, runtime: Any, tmp_path: Path) -> None:
    assert ask(app, "GET", "/healthz").json() == {"status": "ok"}
    assert ask(app, "GET", "/readyz").json() == {"status": "ready"}
    app.state.runtime = SimpleNamespace(db=Database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}"))
    answer = ask(app, "GET", "/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


def test_metrics_count_routes_not_paths_and_can_be_left_out(app: FastAPI, ask: Ask, runtime: Any) -> None:
    ask(app, "GET", "/who")
    ask(app, "GET", "/nowhere/secret-code")
    text = ask(app, "GET", "/metrics").text
    assert 'cinnabar_requests_total{method="GET",route="/who",status="200"} 1.0' in text
    assert "secret-code" not in text
    public = FastAPI()
    http.prepare(public, runtime, metrics=False)
    assert ask(public, "GET", "/metrics").status_code == 404


def test_openapi_lists_the_errors_a_route_names() -> None:
    listed = errors.errors(SelfApproval, NotFound, Conflict)
    assert set(listed) == {409, 404}
    assert "self_approval" in listed[409]["description"]
    assert "conflict" in listed[409]["description"]


def test_an_error_without_facts_may_hold_a_percent_sign() -> None:
    class Discount(ServerError):
        happened = N_("100 % of it.")

    assert errors.problem_of(Discount(), instance="x").happened == "100 % of it."


@pytest.fixture
def log_text() -> Iterator[Callable[[], str]]:
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level, stderr = root.handlers, root.level, sys.stderr
    sys.stderr = io.StringIO()
    logs.configure("DEBUG", "json")
    yield sys.stderr.getvalue
    root.handlers, sys.stderr = handlers, stderr
    root.setLevel(level)
    structlog.configure(**configuration)


def test_no_secret_reaches_a_log(log_text: Callable[[], str]) -> None:
    log = structlog.get_logger("test")
    pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary\n-----END ENCRYPTED PRIVATE KEY-----"
    log.info("sign_in", password="canary-1", user="ana", nested={"Authorization": "canary-2", "deep": [{"pin": 1234}]})
    log.info("text", message="Authorization: Bearer canary-333333 then password=canary-4&x=1", key=pem)
    log.info("url", url="postgresql://ana:canary-5@host/db", session_id="canary-6", raw=b"canary-7")
    logging.getLogger("library").warning("passphrase: %s", "canary-8")
    log.error("failed", exc_info=ValueError("secret=canary-9"))
    text = log_text()
    assert "canary" not in text
    assert "1234" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines if line["logger"] == "test"] == ["sign_in", "text", "url", "failed"]
    assert lines[0]["user"] == "ana"
    assert "ana" not in lines[2]["url"]
    assert datetime.fromisoformat(lines[0]["timestamp"]).tzinfo == UTC


def test_a_log_line_carries_the_request_number(app: FastAPI, ask: Ask, log_text: Callable[[], str]) -> None:
    answer = ask(app, "GET", "/broken")
    lines = [json.loads(line) for line in log_text().splitlines()]
    assert answer.headers["x-request-id"] in {line.get("request") for line in lines}


def test_who_goes_away_in_mid_body_is_no_error(app: FastAPI, log_text: Callable[[], str]) -> None:
    said = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(said, {"type": "http.disconnect"})

    async def send(_message: dict[str, Any]) -> None: ...

    scope = {"type": "http", "method": "POST", "path": "/body", "headers": [], "query_string": b"", "app": app}
    anyio.run(app, scope | {"client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http"}, receive, send)
    told = [json.loads(line)["event"] for line in log_text().splitlines()]
    assert [event for event in told if event in ("client_gone", "unexpected_error")] == ["client_gone"]
