"""A step that changes something must come from our own page: Sec-Fetch-Site, else Origin, on top of SameSite=Strict.

Calls with a bearer secret carry no cookie, so nobody can make a browser send them; they pass.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from server.identity.errors import CrossSiteRequest

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def same_origin(request: Request) -> None:
    """FastAPI dependency for every route that a browser may call.

    Raises: CrossSiteRequest.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise CrossSiteRequest
        return
    origin = request.headers.get("origin")
    if origin is None:
        if request.cookies:
            raise CrossSiteRequest  # every browser of the last years sends one of the two with a POST
        return
    if urlsplit(origin).netloc != request.headers.get("host", ""):
        raise CrossSiteRequest
