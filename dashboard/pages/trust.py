"""/trust: the local certificate authority, its fingerprint, and how each system is told to trust it. Needs no login."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboard.web.rendering import pages_of
from server.core import tls
from server.identity.guard import MaybeSession, Run

router = APIRouter(include_in_schema=False)


@router.get("/trust")
def show_trust(request: Request, run: Run, session: MaybeSession) -> Response:
    return pages_of(request).page(
        request,
        "trust.html",
        me=session,
        fingerprint=tls.ca_fingerprint(run.settings),
        host=run.settings.host,
    )


@router.get("/trust/ca.pem")
def download_authority(run: Run) -> Response:
    """The public certificate, as files that phones and computers offer to install."""
    return Response(
        tls.ca_certificate_pem(run.settings),
        media_type="application/x-x509-ca-cert",
        headers={"Content-Disposition": 'attachment; filename="cinnabar-ca.crt"'},
    )
