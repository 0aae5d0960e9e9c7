"""A step at the device must come from this office's own page: another site must not press its buttons."""

from urllib.parse import urlsplit

from fastapi import Request

from gateway.errors import GatewayError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteRequest(GatewayError):
    """Sec-Fetch-Site or Origin says that another site's page asked."""

    code = "cross_site_request"


def own_page(request: Request) -> None:
    """Dependency of every route. Programs on this machine send neither header and pass; browsers always send one.

    Raises: CrossSiteRequest.
    """
    if request.method in SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign:
        raise CrossSiteRequest(
            "This did not come from the gateway's own page. Nothing was done. Open that page and try again."
        )
