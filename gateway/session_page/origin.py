"""A step at the device must come from this office's own page: another site must not press its buttons."""

from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from gateway.errors import GatewayError

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_TEXT: Final = "This did not come from the gateway's own page. Nothing was done. Open that page and try again."


class CrossSiteRequest(GatewayError):
    """Sec-Fetch-Site or Origin says that another site's page asked."""

    code = "cross_site_request"


def own_page(request: Request) -> None:
    """Dependency of every route. Programs on this machine send neither header and pass; browsers always send one.

    Raises: CrossSiteRequest.
    """
    local = _name(request.app.state.gateway.settings.listen) in LOOPBACK
    if local and _name(request.headers.get("host", "")) not in LOOPBACK:
        raise CrossSiteRequest(_TEXT)  # a site may point its own name at this machine (DNS rebinding)
    if request.method in SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign:
        raise CrossSiteRequest(_TEXT)


def own_picture(request: Request) -> None:
    """Also for reading: what makes the device look must not run in another site's page. Raises: CrossSiteRequest."""
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise CrossSiteRequest(_TEXT)


def _name(address: str) -> str:
    """The host of HOST:PORT, without its port."""
    return urlsplit(f"//{address}").hostname or ""
