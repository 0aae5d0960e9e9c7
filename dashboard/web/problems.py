"""An error as a page for people: what happened, is the work safe, what next. Who is not signed in goes to the login."""

from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from dashboard.web.rendering import pages_of
from server.core.errors import Problem

NOT_SIGNED_IN = "not_signed_in"


def problem_page(request: Request, problem: Problem) -> Response:
    if problem.code == NOT_SIGNED_IN and request.method == "GET":
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = "/login" if where == "/" else f"/login?next={quote(where, safe='')}"
        return RedirectResponse(target, status_code=303)
    return pages_of(request).page(request, "problem.html", status=problem.status, problem=problem)


def own_path(path: str) -> str:
    """`path` when it leads to this server, else the inbox: a link must not send people elsewhere after login."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
