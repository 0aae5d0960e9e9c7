"""What keepers write at a device: why a job was stopped, what an unapproved imprint was, what is left over.

A note is on record and closes nothing: an alarm stays open until a person decides about it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import DeviceRead, GatewayRead
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.tokens import store
from server.tokens.models import KeeperNote, StampToken
from server.tokens.schemas import NoteIn, NoteRead


def take_note(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, said: NoteIn) -> None:
    """The same note again changes nothing. Raises: NoSuchDevice.

    A job or keeper that this device cannot have had is left out; the words are kept all the same.
    """
    device = devices.device_of_gateway(db, gateway, device_id)
    if store.note(db, device.device_id, str(said.note_id)) is not None:
        return
    token = _token(db, device, said)
    written_by = said.operator_id if identity.names(db, device.tenant_id, [said.operator_id]) else None
    branch_path = token.branch_path if token is not None else device.branch_path
    row_id = run.new_id()
    leaf_hash = entries.record(
        db,
        run,
        EntryType.KEEPER_NOTE,
        tenant_id=device.tenant_id,
        branch_path=branch_path,
        refs={"device": device.device_id, "note": row_id} | _refs(token),
        public={
            name: value
            for name, value in {
                "kind": said.kind.value,
                "stroke": said.stroke,
                "seq": said.seq,
                "at_ms": said.at_ms,
            }.items()
            if value is not None
        },
        private={"text": said.text} | ({"by": str(written_by)} if written_by is not None else {}),
    )
    db.add(
        KeeperNote(
            id=row_id,
            created_at=run.now(),
            tenant_id=device.tenant_id,
            branch_path=branch_path,
            device_id=device.device_id,
            note_id=str(said.note_id),
            kind=said.kind.value,
            text=said.text,
            written_by=written_by,
            request_id=token.request_id if token is not None else None,
            token_id=token.token_id if token is not None else None,
            stroke=said.stroke,
            seq=said.seq,
            written_at=datetime.fromtimestamp(said.at_ms / 1000, UTC),
            leaf_hash=leaf_hash,
        )
    )
    db.flush()


def _token(db: Session, device: DeviceRead, said: NoteIn) -> StampToken | None:
    token = store.token(db, bytes.fromhex(said.token_id)) if said.token_id else None
    return token if token is not None and token.device_id == device.device_id else None


def _refs(token: StampToken | None) -> dict[str, object]:
    if token is None:
        return {}
    return {"request": token.request_id, "token": token.token_id, "seal": token.seal_id}


def notes_of_device(db: Session, scope: Scope, device_id: str, *, most: int = 10) -> list[NoteRead]:
    """Newest first."""
    return _read(db, scope, store.notes_of_device(db, scope, device_id, most))


def notes_of_request(db: Session, scope: Scope, request_id: UUID) -> list[NoteRead]:
    """Oldest first."""
    return _read(db, scope, store.notes_of_request(db, scope, request_id))


def _read(db: Session, scope: Scope, rows: Sequence[KeeperNote]) -> list[NoteRead]:
    names = identity.names(db, scope.tenant_id, {row.written_by for row in rows})
    plain = [name for name in NoteRead.model_fields if name != "by"]
    return [
        NoteRead(
            **{name: getattr(row, name) for name in plain},
            by=names.get(row.written_by, "") if row.written_by is not None else "",
        )
        for row in rows
    ]
