"""Pairing, the server's side of `firmware_protocol.pairing`: terms first, then the device's key, then a person's yes.

A device is enrolled once an administrator confirmed the six digits and the device's own signed PAIRED event, which
names the same keys, was admitted. Until then it gets no token.
"""

import hashlib
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor, cose, events, pairing
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event, Paired
from firmware_protocol.labelled import from_map, to_map
from firmware_protocol.orders import Terms
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.errors import BadEvent, KeyIdTaken, NoSuchPairing, NotReleased, PairingOver
from server.devices.fleet import read
from server.devices.keys import issuer_keys
from server.devices.models import Device, DeviceKey, Pairing
from server.devices.publishing import PUBLISH_JOB
from server.devices.schemas import (
    DeviceRead,
    DeviceState,
    GatewayRead,
    PairingDeviceIn,
    PairingOpened,
    PairingRead,
    PairingState,
    PairingTerms,
    TermsOut,
)
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.jobs import service as jobs
from server.ledger import service as ledger
from server.verification.trust import read_bundle

WINDOW: Final = timedelta(seconds=pairing.WINDOW_S)


def start_pairing(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str) -> PairingOpened:
    """Commit to our terms before the device says a word."""
    terms = _terms(run)
    row = Pairing(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=gateway.tenant_id,
        branch_path=gateway.branch_path,
        gateway_id=gateway.gateway_id,
        device_id=device_id,
        terms=cbor.encode(to_map(terms)),
        state=PairingState.WAITING.value,
        expires_at=run.now() + WINDOW,
    )
    db.add(row)
    db.flush()
    return PairingOpened(pairing_id=row.id, commitment=pairing.commitment(terms))


def device_answer(
    db: Session, run: Runtime, gateway: GatewayRead, *, pairing_id: UUID, said: PairingDeviceIn
) -> PairingTerms:
    """Take the device's key and nonce, then open our terms. Said once: a second, different answer ends the pairing.

    Raises: NoSuchPairing, PairingOver, KeyIdTaken.
    """
    row = _running(store.pairing(db, pairing_id, gateway_id=gateway.gateway_id, lock=True), run)
    public_key, nonce = bytes.fromhex(said.public_key), bytes.fromhex(said.nonce)
    if said.device_id != row.device_id or (row.public_key is not None and row.public_key != public_key):
        raise PairingOver
    _refuse_known_key(db, said.device_id, said.generation, public_key)
    terms = _terms_of(row)
    row.public_key, row.device_nonce, row.generation = public_key, nonce, said.generation
    row.digits = pairing.digits(terms, device_id=row.device_id, device_key=public_key, device_nonce=nonce)
    db.add(row)
    return PairingTerms(terms=TermsOut.model_validate(terms))


def pairing_status(db: Session, run: Runtime, gateway: GatewayRead, *, pairing_id: UUID) -> PairingState:
    """Raises: NoSuchPairing."""
    row = store.pairing(db, pairing_id, gateway_id=gateway.gateway_id)
    if row is None:
        raise NoSuchPairing
    return _state(row, run)


def open_pairings(db: Session, run: Runtime, scope: Scope) -> list[PairingRead]:
    """What an administrator can decide now, with the digits to compare."""
    return [PairingRead.model_validate(row) for row in store.open_pairings(db, scope, run.now())]


def confirm_pairing(db: Session, run: Runtime, scope: Scope, *, pairing_id: UUID) -> DeviceRead:
    """An administrator saw the same six digits on the device: its key counts from now on.

    A paired device needs the release that two administrators ordered before.

    Raises: NoSuchPairing, PairingOver, KeyIdTaken, NotReleased.
    """
    row = _running(store.pairing_in(db, scope, pairing_id), run)
    if row.public_key is None or row.state != PairingState.WAITING.value:
        raise PairingOver
    _refuse_known_key(db, row.device_id, row.generation, row.public_key)
    device = store.any_device(db, row.device_id)
    if device is not None and (device.tenant_id != row.tenant_id or device.generation >= row.generation):
        raise KeyIdTaken
    if device is not None and store.is_enrolled(device) and not store.release_ordered(db, device):
        raise NotReleased
    row.state, row.confirmed_by = PairingState.CONFIRMED.value, scope.person_id
    db.add(row)
    key = DeviceKey(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=row.tenant_id,
        device_id=row.device_id,
        generation=row.generation,
        public_key=row.public_key,
        key_id=cose.key_id(row.public_key),
    )
    db.add(key)
    store.forget_heads(db, row.device_id)
    device = _device_of(run, row, device)
    db.add(device)
    db.flush()
    ledger.register_device_key(
        db,
        device_id=row.device_id,
        generation=row.generation,
        public_key=row.public_key,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        now=run.now(),
    )
    return read(db, device)


def refuse_pairing(db: Session, run: Runtime, scope: Scope, *, pairing_id: UUID) -> None:
    """The digits differ: somebody stands between. Raises: NoSuchPairing, PairingOver."""
    row = _running(store.pairing_in(db, scope, pairing_id), run)
    if row.state != PairingState.WAITING.value:
        raise PairingOver
    row.state = PairingState.REFUSED.value
    db.add(row)


def note_paired(db: Session, run: Runtime, event: Event) -> bool:
    """An admitted PAIRED event: the device is enrolled when it took exactly our terms. True when it is."""
    body = event.body
    if not isinstance(body, Paired):
        return False
    for row in store.confirmed_pairings(db, event.header.device_id):
        same = (body.terms_digest, body.public_key) == (pairing.commitment(_terms_of(row)), row.public_key)
        if same and row.generation == event.header.generation:
            _enrol(db, run, row, event)
            return True
    return False


def pairing_event(db: Session, run: Runtime, gateway: GatewayRead, *, pairing_id: UUID, event: bytes) -> PairingState:
    """The device's signed PAIRED, brought by the gateway ahead of the ledger; counts once the digits are confirmed.

    Raises: NoSuchPairing, BadEvent.
    """
    row = store.pairing(db, pairing_id, gateway_id=gateway.gateway_id, lock=True)
    if row is None or row.public_key is None:
        raise NoSuchPairing
    try:
        paired = events.verify(event, keys=cose.keyring(row.public_key))
    except ProtocolError as error:
        raise BadEvent(why=error.code) from error
    note_paired(db, run, paired)
    return _state(row, run)


def _enrol(db: Session, run: Runtime, row: Pairing, event: Event) -> None:
    device = store.any_device(db, row.device_id)
    if device is None or row.public_key is None or row.device_nonce is None:
        return
    row.state, device.state = PairingState.ENROLLED.value, DeviceState.ACTIVE.value
    device.counter, device.paired_seq, device.passkey_seq = event.header.counter, event.header.seq, event.header.seq
    db.add(row)
    db.add(device)
    db.flush()
    jobs.enqueue(db, PUBLISH_JOB, {}, now=run.now())
    identity.people_changed(db, run, device.tenant_id)  # its roster
    transcript = row.terms + row.device_id.encode() + row.public_key + row.device_nonce
    entries.record(
        db,
        run,
        EntryType.DEVICE_ENROLLED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"device": row.device_id, "gateway": row.gateway_id, "pairing": str(row.id)},
        public={
            "public_key": row.public_key,
            "generation": row.generation,
            "firmware": event.header.firmware,
            "counter": event.header.counter,
            "transcript_digest": hashlib.sha256(transcript).digest(),
            "branch": row.branch_path,
            "tenant": row.tenant_id,
        },
        private={"name": device.name, "by": row.confirmed_by},
    )


def _device_of(run: Runtime, row: Pairing, device: Device | None) -> Device:
    """The device's row: a new one, or the known one with its next generation."""
    if device is None:
        return Device(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=row.tenant_id,
            branch_path=row.branch_path,
            gateway_id=row.gateway_id,
            device_id=row.device_id,
            name=row.device_id,
            state=DeviceState.CONFIRMED.value,
            generation=row.generation,
        )
    device.generation, device.state, device.gateway_id = row.generation, DeviceState.CONFIRMED.value, row.gateway_id
    device.heads_known, device.tamper = False, None
    return device


def _refuse_known_key(db: Session, device_id: str, generation: int, public_key: bytes) -> None:
    if store.key_by_id(db, cose.key_id(public_key)) is not None or store.key(db, device_id, generation) is not None:
        raise KeyIdTaken


def _running(row: Pairing | None, run: Runtime) -> Pairing:
    if row is None:
        raise NoSuchPairing
    if _state(row, run) is not PairingState.WAITING:
        raise PairingOver
    return row


def _state(row: Pairing, run: Runtime) -> PairingState:
    state = PairingState(row.state)
    return PairingState.EXPIRED if state is PairingState.WAITING and run.now() >= row.expires_at else state


def _terms(run: Runtime) -> Terms:
    """Our side: who this installation is, from its own trust bundle, and a fresh nonce."""
    anchor = read_bundle((run.settings.home / "trust.cose").read_bytes()).anchor
    return Terms(
        installation_id=anchor.installation_id.bytes,
        issuer_keys=issuer_keys(run),
        recovery_key=anchor.root_key,
        root_key=anchor.root_key,
        server_nonce=run.rng.token_bytes(16),
        trace_host=urlsplit(run.settings.public_url).netloc,
    )


def _terms_of(row: Pairing) -> Terms:
    return from_map(Terms, cbor.decode_map(row.terms))
