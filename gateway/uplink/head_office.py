"""What the gateway asks headquarters over HTTPS (docs/protocol.md, "Gateway API")."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.carry import Carry, may_be_carried
from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable, PhotoBroken
from gateway.settings import GatewaySettings

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
UPLOAD_CHUNK: Final = 262_144
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """What headquarters saw on the page: match, doubtful or wrong."""

    answer: str
    reason: str
    stroke: int
    page: int
    permit_sent: bool
    text: str
    differences: tuple[Json, ...]
    case_id: str
    """Not empty: a second person is asked about this photo."""
    stage: str
    """Straddle: what the photo was taken for, cover or fan."""
    finding_id: str = ""


class HeadOffice:
    """One connection pool. Every call raises HeadOfficeUnreachable or HeadOfficeRefused."""

    def __init__(self, settings: GatewaySettings, *, carry: Carry | None = None) -> None:
        """`carry`: a phone's mobile data, for when this office has no way of its own."""
        self._carry = carry
        context = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        self._client = httpx.AsyncClient(
            base_url=settings.server_url.rstrip("/") + "/gateway/v1",
            headers={"Authorization": f"Bearer {settings.secret}"},
            timeout=TIMEOUT,
            verify=context,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def hello(self, gateway_id: str, version: str, devices: list[Json]) -> Json:
        return await self._post("hello", {"gateway_id": gateway_id, "version": version, "devices": devices})

    async def certificate(self, request: bytes) -> Json:
        """`request`: PKCS#10, PEM."""
        return await self._post("certificate", {"request": request.decode()})

    async def sign_in(self, device_id: str, username: str, pin: str) -> Json:
        return await self._post("sessions", {"device_id": device_id, "username": username, "pin": pin})

    async def sign_in_badge(self, device_id: str, badge: str) -> Json:
        return await self._post("sessions", {"device_id": device_id, "badge": badge})

    async def sign_in_passkey(self, device_id: str, event: bytes) -> Json:
        """`event`: the device's signed OPERATOR."""
        return await self._post("sessions", {"device_id": device_id, "event": event.hex()})

    async def register_passkey(
        self, device_id: str, *, operator_id: str, rp_id: str, authenticator_data: bytes
    ) -> Json:
        body = {"operator_id": operator_id, "rp_id": rp_id, "authenticator_data": authenticator_data.hex()}
        return await self._post(f"devices/{device_id}/passkeys", body)

    async def roster(self, device_id: str) -> Json:
        answer: Json = await self._send("GET", f"devices/{device_id}/roster")
        return answer

    async def jobs(self, device_id: str, *, operator_id: str = "") -> list[Json]:
        query = {"operator_id": operator_id} if operator_id else {}
        jobs: list[Json] = await self._send("GET", f"devices/{device_id}/jobs", params=query)
        return jobs

    async def voucher(self, device_id: str, *, request_id: str, operator_id: str) -> Json:
        body = {"request_id": request_id, "operator_id": operator_id}
        return await self._post(f"devices/{device_id}/vouchers", body)

    async def token(self, device_id: str, *, request_id: str, nonce: bytes, operator_id: str) -> Json:
        body = {"request_id": request_id, "nonce": nonce.hex(), "operator_id": operator_id}
        return await self._post(f"devices/{device_id}/tokens", body)

    async def permit(self, device_id: str, *, event: bytes, preview: bytes) -> PageAnswer:
        answer = await self._seen(f"devices/{device_id}/permits", event, preview)
        return PageAnswer(
            answer=answer["answer"],
            reason=answer["reason"],
            stroke=answer["stroke"],
            page=answer["page"],
            permit_sent=answer["permit_sent"],
            text=answer.get("text", ""),
            differences=tuple(answer.get("differences", ())),
            case_id=answer.get("case_id") or "",
            stage=answer.get("stage") or "",
            finding_id=answer.get("finding_id") or "",
        )

    async def crop(self, device_id: str, finding_id: str, digest: str) -> bytes:
        """One enlarged picture of a difference; `digest`: hex, as the permit's answer names it."""
        response = await self._raw("GET", f"devices/{device_id}/crops/{finding_id}/{digest}")
        return response.content

    async def case(self, device_id: str, case_id: str) -> Json:
        answer: Json = await self._send("GET", f"devices/{device_id}/cases/{case_id}")
        return answer

    async def remind(self, device_id: str, case_id: str) -> list[str]:
        """Tell those who may answer that somebody waits, each once; their names."""
        answer = await self._post(f"devices/{device_id}/cases/{case_id}/reminder", {})
        return [str(name) for name in answer["names"]]

    async def imprint(self, device_id: str, token_id: str, stroke: int) -> Json:
        """`token_id`: hex."""
        answer: Json = await self._send("GET", f"devices/{device_id}/imprints/{token_id}/{stroke}")
        return answer

    async def spoiled(self, device_id: str, *, event: bytes, preview: bytes) -> Json:
        return await self._seen(f"devices/{device_id}/spoiled", event, preview)

    async def swept(self, device_id: str, *, event: bytes, preview: bytes) -> Json:
        return await self._seen(f"devices/{device_id}/sweeps/pages", event, preview)

    async def label(self, device_id: str, label: Json) -> None:
        """`label`: {token_id, stroke, label_id, printer, outcome: printed, stuck or spoiled}."""
        await self._send("POST", f"devices/{device_id}/labels", json=label)

    async def note(self, device_id: str, said: Json) -> None:
        """A keeper's words: {note_id, kind, text, at_ms, token_id?, stroke?, seq?, operator_id?}."""
        await self._send("POST", f"devices/{device_id}/notes", json=said)

    async def scan(self, device_id: str, *, event: bytes, photo: bytes) -> Json:
        files = {"event": ("event.cose", event, "application/cose"), "photo": ("photo.jpg", photo, "image/jpeg")}
        answer: Json = await self._send("POST", f"devices/{device_id}/scans", files=files)
        return answer

    async def signed_time(self, device_id: str, boot_nonce: bytes) -> bytes:
        answer = await self._post(f"devices/{device_id}/time", {"boot_nonce": boot_nonce.hex()})
        return bytes.fromhex(answer["time"])

    async def pairing(self, device_id: str) -> Json:
        return await self._post("pairings", {"device_id": device_id})

    async def pairing_device(self, pairing_id: str, facts: Json) -> Json:
        return await self._post(f"pairings/{pairing_id}/device", facts)

    async def pairing_event(self, pairing_id: str, event: bytes) -> Json:
        return await self._post(f"pairings/{pairing_id}/event", {"event": event.hex()})

    async def pairing_state(self, pairing_id: str) -> str:
        answer = await self._send("GET", f"pairings/{pairing_id}")
        return str(answer["state"])

    async def photos_wanted(self, device_id: str) -> list[bytes]:
        """Digests of photos that events announced and that never arrived."""
        answer: Json = await self._send("GET", f"devices/{device_id}/photos/wanted")
        return [bytes.fromhex(digest) for digest in answer["digests"]]

    async def upload(self, digest: bytes, path: Path) -> None:
        """Resumable: asks how much is there, sends the rest. Raises: PhotoBroken, when it is not here any more."""
        url = f"blobs/{digest.hex()}"
        try:
            file = path.open("rb")  # before anything is awaited: a receipt may take its name away meanwhile
        except FileNotFoundError as error:
            raise PhotoBroken(digest) from error
        with file:
            size = os.fstat(file.fileno()).st_size
            head = await self._raw("HEAD", url)
            offset = int(head.headers.get("Upload-Offset", "0"))
            file.seek(offset)
            while offset < size:
                chunk = file.read(UPLOAD_CHUNK)
                headers = {"Upload-Offset": str(offset), "Upload-Length": str(size)}
                answer = await self._raw("PUT", url, content=chunk, headers=headers)
                offset = int(answer.headers["Upload-Offset"])
                file.seek(offset)

    async def _seen(self, path: str, event: bytes, preview: bytes) -> Json:
        """A signed event, and the preview that it names."""
        files = {
            "event": ("event.cose", event, "application/cose"),
            "preview": ("preview.jpg", preview, "image/jpeg"),
        }
        answer: Json = await self._send("POST", path, files=files)
        return answer

    async def _post(self, path: str, body: Json) -> Json:
        answer: Json = await self._send("POST", path, json=body)
        return answer

    async def _send(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - JSON
        response = await self._raw(method, path, **request)
        return response.json() if response.content else {}

    async def _raw(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx arguments
        built = self._client.build_request(method, path, **request)
        try:
            response = await self._client.send(built)
        except httpx.HTTPError as error:
            if self._carry is None or not self._carry.present or not may_be_carried(_inner(built)):
                raise HeadOfficeUnreachable(type(error).__name__) from error
            response = await self._by_phone(built)
        if response.is_success:
            return response
        if response.status_code >= 500:
            raise HeadOfficeUnreachable(f"error {response.status_code}")
        raise _refusal(response)

    async def _by_phone(self, request: httpx.Request) -> httpx.Response:
        """Raises: HeadOfficeUnreachable."""
        if self._carry is None:
            raise HeadOfficeUnreachable("no phone")
        answered = await self._carry.send(
            request.method,
            _inner(request),
            content_type=request.headers.get("content-type", ""),
            body=await request.aread(),
        )
        headers = {"content-type": answered.content_type}
        return httpx.Response(answered.status, headers=headers, content=answered.body, request=request)


def _inner(request: httpx.Request) -> str:
    """The path below /gateway/v1/, with its query."""
    return request.url.raw_path.decode().partition("/gateway/v1/")[2]


def _refusal(response: httpx.Response) -> HeadOfficeRefused:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    sentences = [str(problem[key]) for key in ("happened", "safe", "next") if problem.get(key)]
    detail = " ".join(sentences) or str(
        problem.get("detail") or f"Headquarters said no (error {response.status_code})."
    )
    return HeadOfficeRefused(status=response.status_code, code=str(problem.get("code", "refused")), detail=detail)
