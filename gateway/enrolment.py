"""`cinnabar-gateway enrol`: from the secret that headquarters showed once to a box that may connect."""

import hashlib
import json
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.clock import SystemClock
from gateway.errors import BadConfiguration
from gateway.private_file import write_private
from gateway.settings import GatewaySettings
from gateway.uplink.certificate import CertificateKeeper
from gateway.uplink.head_office import HeadOffice

FETCH_TIMEOUT_S: Final = 10.0


async def enrol(home: Path, *, gateway_id: str, server_url: str, secret: str, fingerprint: str) -> dict[str, Any]:
    """Pin headquarters' authority, fetch this gateway's certificate, write HOME/gateway.json.

    `fingerprint`: SHA-256 of the authority as `cinnabar init` and the /trust page show it. Devices that gateway.json
    already names stay. Raises: BadConfiguration, HeadOfficeRefused, HeadOfficeUnreachable.
    """
    write_private(home / "ca.pem", await _authority(server_url, fingerprint))
    kept = _kept(home / "gateway.json")
    facts = kept | {"gateway_id": gateway_id, "server_url": server_url, "secret": secret, "ca_file": "ca.pem"}
    settings = GatewaySettings.model_validate({"mqtt_url": "mqtts://unknown", **facts})
    settings = settings.model_copy(
        update={"ca_file": str(home / "ca.pem"), "certificate_file": str(home / settings.certificate_file)}
    )
    head_office = HeadOffice(settings)
    try:
        answer = await CertificateKeeper(settings, head_office, SystemClock()).renew()
    finally:
        await head_office.close()
    facts["mqtt_url"] = answer["mqtt_url"]
    write_private(home / "gateway.json", json.dumps(facts, indent=1).encode() + b"\n")
    return {"gateway_id": gateway_id, "mqtt_url": answer["mqtt_url"], "expires_ms": answer["expires_ms"]}


async def _authority(server_url: str, fingerprint: str) -> bytes:
    """Headquarters' authority in PEM, if it is the one that a person compared.

    Fetched from a server that nobody has vouched for yet, so only the fingerprint counts. Raises: BadConfiguration.
    """
    if urlsplit(server_url).scheme != "https":
        raise BadConfiguration(f"{server_url} must begin with https://.")
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    try:
        async with httpx.AsyncClient(verify=blind, trust_env=False, timeout=FETCH_TIMEOUT_S) as client:
            answer = await client.get(server_url.rstrip("/") + "/trust/ca.pem")
        certificate = x509.load_pem_x509_certificate(answer.raise_for_status().content)
    except (httpx.HTTPError, ValueError) as error:
        raise BadConfiguration(f"{server_url} does not answer as headquarters would. Check the address.") from error
    found = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    if found != fingerprint.replace(":", "").replace(" ", "").lower():
        raise BadConfiguration(
            "The authority at this address has another fingerprint than you gave. Nothing was sent. Read it from the "
            "server's own screen; if it differs still, somebody stands between."
        )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _kept(path: Path) -> dict[str, Any]:
    """What an earlier gateway.json said. Raises: BadConfiguration."""
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadConfiguration(f"{path} is not JSON. Correct it or move it away.") from error
    return facts
