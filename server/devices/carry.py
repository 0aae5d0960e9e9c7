"""A keeper's phone carries a gateway's request over mobile data, and the answer back.

The phone is trusted with nothing but the carrying: the gateway closes each envelope with a MAC under a key of its
secret, an envelope counts once and for five minutes, only the requests of a stamping session may travel, and the answer
has a MAC too, over the envelope's nonce, so that it fits no other question (docs/protocol.md, "Carried by a phone").
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError
from sqlmodel import Session

from firmware_protocol import cbor
from server.core.runtime import Runtime
from server.devices import outbox, store
from server.devices.errors import CarryForbidden, CarryRefused, CarryReplayed, CarryStale
from server.devices.models import CarryNonce, Gateway
from server.devices.schemas import CarriedDown, CarriedOut, EnvelopeIn, GatewayRead

FRESH: Final = timedelta(minutes=5)
MAX_ENVELOPE: Final = 2_100_000
"""Bytes of JSON; a preview has at most 200 KB."""
_KEY_PURPOSE: Final = b"seal/1/carry"
_DEVICE: Final = r"devices/[A-Za-z0-9-]{1,12}"
_ID: Final = r"[A-Za-z0-9-]{1,64}"
_ALLOWED: Final = re.compile(
    rf"hello|{_DEVICE}/(jobs|tokens|permits|spoiled|time|roster|cases/{_ID}(/reminder)?|imprints/{_ID}/[0-9]{{1,5}}"
    r"|sweeps/pages)"
)
_QUERY: Final = re.compile(r"[A-Za-z0-9_=&%.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A genuine, fresh, first-time envelope: what the gateway asks."""

    gateway: GatewayRead
    key: bytes
    nonce: str
    method: str
    path: str
    query: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    content_type: str
    body: bytes


def open_envelope(run: Runtime, data: bytes) -> Opened:
    """Opens its own sessions. Raises: CarryRefused, CarryStale, CarryForbidden, CarryReplayed."""
    envelope = _read(data)
    with run.db.read() as db:
        row = store.gateway(db, envelope.gateway_id)
        key = _key(row) if row is not None and row.active else b""
    said = envelope.model_dump()
    mac = said.pop("mac")
    if row is None or not key or not hmac.compare_digest(_mac(key, list(said.values())), mac):
        raise CarryRefused
    now_ms = round(run.now().timestamp() * 1000)
    if abs(now_ms - envelope.at_ms) > FRESH / timedelta(milliseconds=1):
        raise CarryStale(now_ms=now_ms)
    path, _mark, query = envelope.path.partition("?")
    if not _ALLOWED.fullmatch(path) or not _QUERY.fullmatch(query):
        raise CarryForbidden
    try:
        body = base64.b64decode(envelope.body, validate=True)
    except binascii.Error as error:
        raise CarryRefused from error
    with run.db.write() as db:
        _use_up(db, run, row, bytes.fromhex(envelope.nonce))
    return Opened(
        gateway=GatewayRead.model_validate(row),
        key=key,
        nonce=envelope.nonce,
        method=envelope.method,
        path=path,
        query=query,
        content_type=envelope.content_type,
        body=body,
    )


def close_answer(run: Runtime, opened: Opened, answer: Answer) -> CarriedOut:
    """With everything that waits for this gateway's devices; it counts as sent. Opens its own session."""
    with run.db.write() as db:
        waiting = outbox.pending(db, run.now(), gateway_id=opened.gateway.gateway_id)
        outbox.mark_sent(db, run.now(), waiting)
        down = tuple(CarriedDown(device_id=row.device_id, kind=row.kind, payload=row.payload) for row in waiting)
    body = base64.b64encode(answer.body).decode()
    plain = [message.model_dump(mode="json") for message in down]
    mac = _mac(opened.key, [opened.nonce, answer.status, answer.content_type, body, plain])
    return CarriedOut(status=answer.status, content_type=answer.content_type, body=body, down=down, mac=mac)


def _read(data: bytes) -> EnvelopeIn:
    if len(data) > MAX_ENVELOPE:
        raise CarryRefused
    try:
        return EnvelopeIn.model_validate_json(data)
    except ValidationError as error:
        raise CarryRefused from error


def _use_up(db: Session, run: Runtime, row: Gateway, nonce: bytes) -> None:
    if store.nonce_seen(db, row.gateway_id, nonce):
        raise CarryReplayed
    db.add(CarryNonce(id=run.new_id(), created_at=run.now(), gateway_id=row.gateway_id, nonce=nonce))
    db.flush()


def _key(row: Gateway) -> bytes:
    return hmac.digest(row.secret_hash, _KEY_PURPOSE, "sha256")


def _mac(key: bytes, values: list[Any]) -> str:
    """HMAC-SHA256 over the deterministic CBOR array of the fields as they stand in the JSON."""
    return hmac.digest(key, cbor.encode(values), "sha256").hex()
