"""Who signed an entry: the key, since when it counts, and who registered it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel import Session

from dashboard.view.evidence import signer_of
from firmware_protocol import cbor, cose
from firmware_protocol.errors import ProtocolError
from firmware_protocol.purposes import Purpose
from server.core.i18n import _
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.core.trustfile import TrustFile
from server.identity import service as identity
from server.ledger import browsing, entry_codec
from server.ledger import service as ledger
from server.ledger.browsing import Wanted
from server.ledger.entry_types import EntryType
from server.ledger.schemas import EntryRead, LeafKind
from server.verification.trust import read_anchor

_PURPOSES = {
    LeafKind.EVENT: Purpose.EVENT,
    LeafKind.TOKEN: Purpose.TOKEN,
    LeafKind.PERMIT: Purpose.PERMIT,
    LeafKind.ENTRY: Purpose.ENTRY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """`public_key` is None for a key that this installation does not know any more."""

    who: str
    purpose: str
    public_key: bytes | None
    since: datetime | None
    registered_by: str
    enrolment: bytes | None  # leaf hash of the entry that registered the key


def signer(db: Session, run: Runtime, scope: Scope, entry: EntryRead, *, may_open: bool) -> Signer:
    """`may_open`: whether the reader may see names behind commitments."""
    if entry.kind is LeafKind.EVENT:
        return _device(db, run, scope, entry, may_open=may_open)
    purpose, key_id = _PURPOSES[entry.kind], _key_id(entry.leaf)
    for key in read_anchor(TrustFile(run.settings.home).anchor()).keys:
        if key.purpose is purpose and cose.key_id(key.public_key) == key_id:
            return Signer(
                who=signer_of(entry, run),
                purpose=purpose,
                public_key=key.public_key,
                since=datetime.fromtimestamp(key.valid_from, UTC),
                registered_by=_("the offline root, in the trust bundle"),
                enrolment=None,
            )
    return Signer(
        who=signer_of(entry, run), purpose=purpose, public_key=None, since=None, registered_by="", enrolment=None
    )


def _device(db: Session, run: Runtime, scope: Scope, entry: EntryRead, *, may_open: bool) -> Signer:
    device_id, generation = entry.device_id or "", entry.generation or 0
    enrolled = _enrolment(db, scope, device_id, generation)
    return Signer(
        who=signer_of(entry, run),
        purpose=Purpose.EVENT,
        public_key=browsing.signing_key(db, scope, device_id=device_id, generation=generation),
        since=enrolled.admitted_at if enrolled else None,
        registered_by=_by(db, scope, enrolled) if enrolled and may_open else "",
        enrolment=enrolled.leaf_hash if enrolled else None,
    )


def _enrolment(db: Session, scope: Scope, device_id: str, generation: int) -> EntryRead | None:
    """The entry that registered this generation's key."""
    wanted = Wanted(refs=(f"device:{device_id}",), kind=LeafKind.ENTRY, entry_type=EntryType.DEVICE_ENROLLED)
    for found in browsing.page(db, scope, wanted).entries:
        if entry_codec.peek(found.leaf).public.get("generation") == generation:
            return found
    return None


def _by(db: Session, scope: Scope, enrolled: EntryRead) -> str:
    opened = ledger.openings(db, scope, enrolled.leaf_hash).get("by")
    said = cbor.decode(opened.value) if opened else None
    if not isinstance(said, str):
        return ""
    person_id = UUID(said)
    return identity.names(db, scope.tenant_id, [person_id]).get(person_id, said)


def _key_id(leaf: bytes) -> bytes:
    try:
        return cose.parse1(leaf).key_id
    except ProtocolError:
        return b""
