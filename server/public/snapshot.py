"""The signed snapshot: all that the public pages know. Written by the worker role, read by the public role.

COSE_Sign1 with the installation's bundle key. Map: 1 kind (3), 2 made (ms), 3 trust bundle, 4 checkpoint note,
5 seals [[id, organisation, name, state, state since ms, codes since ms]], 6 codes [[hash, short code, seal id, form,
time ms, pages, copy, copies, page, status, withdrawn ms, [[page, line, position, letters, salt, digest]], imprints,
short code of the label]],
7 sealed PDFs [digest].
No person, title, amount, counterparty or photo is in it.
"""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import ProtocolError
from firmware_protocol.purposes import Purpose
from server.public.places import Place
from server.verification.trust import BundleBroken, TrustBundle, read_bundle

KIND: Final = 3
MAX_BYTES: Final = 256 * 1024 * 1024


class SnapshotBroken(Exception):
    """The bytes are no snapshot of the installation that this process serves."""


class Form(IntEnum):
    PAPER = 1
    ELECTRONIC = 2


class Status(IntEnum):
    KNOWN = 1
    WITHDRAWN = 2
    NOT_CONFIRMED = 3  # it is not certain that the press happened; a person decides


class SealState(IntEnum):
    ACTIVE = 1
    SUSPENDED = 2
    DISPUTED = 3
    DESTROYED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSeal:
    public_id: str
    organisation: str
    name: str
    state: SealState
    state_since_ms: int
    codes_since_ms: int  # from then on every use carries a code


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCode:
    """What a stranger may learn about one code."""

    code_hash: bytes  # SHA-256 of the signed code
    short_code: str
    seal_id: str  # public id
    form: Form
    time_ms: int
    pages: int
    copy: int
    copies: int
    page: int
    status: Status = Status.KNOWN
    withdrawn_ms: int = 0
    places: tuple[Place, ...] = ()
    imprints: int = 1  # on its sheet, that this code stands for
    label_code: str = ""  # short code on the label of its sheet, if there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    made_ms: int
    trust: bytes
    checkpoint: str
    seals: tuple[PublicSeal, ...] = ()
    codes: tuple[PublicCode, ...] = ()
    sealed: tuple[bytes, ...] = ()  # SHA-256 of every PDF that was sealed


@dataclass(frozen=True, slots=True)
class Reader:
    """A snapshot whose signature holds, ready for look-ups."""

    snapshot: Snapshot
    trust: TrustBundle
    by_hash: dict[bytes, PublicCode] = field(repr=False)
    by_short: dict[str, PublicCode] = field(repr=False)
    seals: dict[str, PublicSeal] = field(repr=False)
    sealed: frozenset[bytes] = field(repr=False)

    def typed(self, canonical_short_code: str) -> PublicCode | None:
        """The code with this short code, as `trace.normalise_short_code` writes it."""
        return self.by_short.get(canonical_short_code)


def public_id(seal_id: bytes) -> str:
    """The seal's id on public pages: 16 hex digits that say nothing about its UUID."""
    return hashlib.sha256(b"seal/1/public" + seal_id).hexdigest()[:16]


def sign(snapshot: Snapshot, *, key: SigningKey) -> bytes:
    body = {
        1: KIND,
        2: snapshot.made_ms,
        3: snapshot.trust,
        4: snapshot.checkpoint,
        5: [
            [s.public_id, s.organisation, s.name, int(s.state), s.state_since_ms, s.codes_since_ms]
            for s in snapshot.seals
        ],
        6: [_code_row(code) for code in snapshot.codes],
        7: list(snapshot.sealed),
    }
    return cose.sign1(cbor.encode(body), key=key, purpose=Purpose.BUNDLE)


def read(data: bytes, *, root: bytes) -> Reader:
    """The snapshot, when the bundle key of an installation under `root` signed it. Raises: SnapshotBroken."""
    if len(data) > MAX_BYTES:
        raise SnapshotBroken("too long")
    try:
        claimed = _parse(cose.parse1(data).payload)
        trust = read_bundle(claimed.trust)
        cose.verify1(data, keys=trust.keys_for(Purpose.BUNDLE), purpose=Purpose.BUNDLE)
    except (ProtocolError, BundleBroken, ValueError, TypeError, KeyError) as error:
        raise SnapshotBroken(str(error)) from error
    if trust.root_key != root:
        raise SnapshotBroken("it is of another installation")
    return Reader(
        snapshot=claimed,
        trust=trust,
        by_hash={code.code_hash: code for code in claimed.codes},
        by_short={code.short_code: code for code in claimed.codes},
        seals={seal.public_id: seal for seal in claimed.seals},
        sealed=frozenset(claimed.sealed),
    )


def _code_row(code: PublicCode) -> list[Any]:
    places = [[p.page, p.line, p.position, p.letters, p.salt, p.digest] for p in code.places]
    when = [code.time_ms, code.pages, code.copy, code.copies, code.page]
    return [
        code.code_hash,
        code.short_code,
        code.seal_id,
        int(code.form),
        *when,
        int(code.status),
        code.withdrawn_ms,
        places,
        code.imprints,
        code.label_code,
    ]


def _parse(payload: bytes) -> Snapshot:
    body = cbor.decode_map(payload)
    if set(body) != set(range(1, 8)) or body[1] != KIND:
        raise SnapshotBroken("not a snapshot")
    return Snapshot(
        made_ms=int(body[2]),
        trust=bytes(body[3]),
        checkpoint=str(body[4]),
        seals=tuple(_seal(*row) for row in body[5]),
        codes=tuple(_code(*row) for row in body[6]),
        sealed=tuple(map(bytes, body[7])),
    )


def _seal(*row: Any) -> PublicSeal:  # noqa: ANN401 - a CBOR row
    public, organisation, name, state, since, codes_since = row
    return PublicSeal(
        public_id=public,
        organisation=organisation,
        name=name,
        state=SealState(state),
        state_since_ms=since,
        codes_since_ms=codes_since,
    )


def _code(*row: Any) -> PublicCode:  # noqa: ANN401 - a CBOR row
    code_hash, short_code, seal_id, form, time_ms, pages, copy, copies, page, status, withdrawn_ms, places = row[:12]
    imprints, label_code = row[12:] or (1, "")  # a snapshot written before there were labels has neither
    names = ("page", "line", "position", "letters", "salt", "digest")
    return PublicCode(
        code_hash=code_hash,
        short_code=short_code,
        seal_id=seal_id,
        form=Form(form),
        time_ms=time_ms,
        pages=pages,
        copy=copy,
        copies=copies,
        page=page,
        status=Status(status),
        withdrawn_ms=withdrawn_ms,
        places=tuple(Place(**dict(zip(names, place, strict=True))) for place in places),
        imprints=imprints,
        label_code=label_code,
    )
