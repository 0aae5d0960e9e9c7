"""A whole stamping in memory: keys, trust bundle, request, decision, tokens, device events, log, bundle members.

Everything is signed by the real code; a test may change any step before the leaves go into the log.
"""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol import cbor, events, orders, tokens, trace
from firmware_protocol.events import Body, Event, Header
from firmware_protocol.orders import Permit
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import SealClaims, Token
from firmware_protocol.trace import TraceCode
from server.ledger import checkpoint, entry_codec, merkle
from server.ledger.entry_codec import Entry, Opening
from server.ledger.entry_types import EntryType
from server.ledger.proof import InclusionProof
from server.verification import bundle, leaves, trust
from server.verification.manifest import Record
from server.verification.trust import Anchor, DeviceKey, DeviceStatus, IssuerKey, Withdrawal

NOW = 1_790_000_000
DEVICE = "CN-000000001"
HEAD = bytes.fromhex("a1a2a3a4a5a6a7a8")
LOG = "seal.example.com/log"
PHOTO = b"\xff\xd8\xff\xe0 a photo of stroke %d, %s \xff\xd9"


@dataclass
class Key:
    """An Ed25519 key from seeded randomness."""

    private: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)


@dataclass
class Keys:
    rng: random.Random
    demo: bool = False
    known: dict[str, Key] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Key:
        if name not in self.known:
            self.known[name] = self._fresh(name)
        return self.known[name]

    def _fresh(self, name: str) -> Key:
        while True:
            key = Key(Ed25519PrivateKey.from_private_bytes(self.rng.randbytes(32)))
            if name != "root" or trust.is_demo_root(key.public_key) == self.demo:
                return key


@dataclass
class Log:
    """Leaves in memory, and the tiles of their tree."""

    leaves: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> bytes:
        self.leaves.append(leaf)
        return leaf

    def members(self, key: Key, name: str) -> dict[str, bytes]:
        tree = merkle.Tree()
        tiles: dict[tuple[int, int], bytes] = {}
        for tile in tree.append([merkle.leaf_hash(leaf) for leaf in self.leaves]):
            tiles[tile.level, tile.index] = tile.data
        head = checkpoint.sign(name, tree.size, tree.root(), key=key)
        out = {"checkpoint": head.note.encode()}
        for index, leaf in enumerate(self.leaves):
            path = merkle.inclusion_proof(index, tree.size, lambda level, at: tiles[level, at])
            text = InclusionProof(index=index, path=tuple(path), checkpoint=head).text()
            leaf_hash = merkle.leaf_hash(leaf).hex()
            out |= {f"entries/{leaf_hash}.cose": leaf, f"proofs/{leaf_hash}.tlog-proof": text.encode()}
        return out


@dataclass
class StoryMaker:
    """Call `stamp()` for the usual story, then `bundle()`; or the steps one by one."""

    rng: random.Random
    demo: bool = False
    keys: Keys = field(init=False)
    log: Log = field(default_factory=Log)
    others: dict[str, bytes] = field(default_factory=dict)  # openings, decisions, photos, document
    request: str = ""
    document: bytes = b""
    canonical: bytes = b""
    token_id: bytes = b""
    plan: tuple[tuple[int, int], ...] = ()
    version: int = 3
    expires: int = NOW + 86_400
    issued: int = NOW - 100  # the trust bundle, and with it the list of withdrawn codes
    withdrawals: tuple[Withdrawal, ...] = ()
    withdrawn_codes: bytes = b""
    codes: list[bytes] = field(default_factory=list)
    photos: list[bytes] = field(default_factory=list)
    status: DeviceStatus = DeviceStatus.ACTIVE
    authorities: tuple[bytes, ...] = ()
    witnesses: tuple[trust.WitnessKey, ...] = ()
    _seq: int = 0
    _previous: bytes = events.FIRST_PREVIOUS
    _counter: int = 40

    def __post_init__(self) -> None:
        self.keys = Keys(self.rng, self.demo)
        self.request = str(UUID(bytes=self.rng.randbytes(16), version=4))
        self.document = b"%PDF-1.7 a contract " + self.rng.randbytes(40).hex().encode()
        self.requester, self.approver = (str(UUID(bytes=self.rng.randbytes(16))) for _ in range(2))
        self.canonical = cbor.encode({0: "seal/1/request", 2: self.request})
        self.token_id = self.rng.randbytes(16)

    @property
    def document_digest(self) -> bytes:
        return hashlib.sha256(self.document).digest()

    @property
    def request_digest(self) -> bytes:
        return hashlib.sha256(self.canonical).digest()

    def stamp(self, strokes: int = 2) -> "StoryMaker":
        """Request, decision, token, `strokes` strokes, record."""
        self.submit(strokes=strokes)
        self.decide()
        token = self.token(strokes=strokes)
        self.grant(token, strokes=strokes)
        for stroke in range(1, strokes + 1):
            self.stroke(stroke)
        self.event(events.Closed(token_id=self.token_id, strokes_used=strokes, cause=events.Cause.USED_UP))
        return self.file()

    def entry(
        self, kind: EntryType, *, refs: Mapping[str, Any], public: Mapping[str, Any], private: Mapping[str, Any]
    ) -> bytes:
        openings: dict[str, Opening] = {
            label: entry_codec.opening(value, salt=self.rng.randbytes(16)) for label, value in private.items()
        }
        leaf = entry_codec.sign(
            Entry(
                entry_type=kind,
                version=1,
                entry_id=UUID(bytes=self.rng.randbytes(16)),
                time_ms=(NOW - 1000 + len(self.log.leaves)) * 1000,
                refs=dict(refs),
                commitments={label: one.commitment() for label, one in openings.items()},
                public=dict(public),
            ),
            key=self.keys["entry"],
        )
        if openings:
            self.others[f"openings/{merkle.leaf_hash(leaf).hex()}.json"] = leaves.write_openings(openings)
        return self.log.add(leaf)

    def submit(self, *, strokes: int = 2) -> bytes:
        return self.entry(
            EntryType.REQUEST_SUBMITTED,
            refs={"request": self.request, "document": self.document_digest.hex()},
            public={"request_digest": self.request_digest, "strokes": strokes, "spares": 1, "form": "paper"},
            private={"canonical": self.canonical, "requester": self.requester, "title": "Contract"},
        )

    def decide(self, *, approved: bool = True, digest: bytes | None = None, by: str = "") -> bytes:
        of = digest or self.request_digest
        payload = cbor.encode(["seal/1/decision", of, b"approver", 1, self.rng.randbytes(16), approved])
        leaf = self.entry(
            EntryType.DECISION,
            refs={"request": self.request},
            public={
                "request_digest": of,
                "stage": 1,
                "approved": approved,
                "complete": approved,
                "assertion_digest": hashlib.sha256(payload).digest(),
            },
            private={"approver": by or self.approver},
        )
        self.others[f"decisions/{merkle.leaf_hash(leaf).hex()}.bin"] = payload
        return leaf

    def token(self, *, strokes: int = 2, document: bytes | None = None) -> bytes:
        signed = tokens.issue(
            Token(
                device_id=DEVICE,
                issued_at=NOW - 900,
                not_before=NOW - 900,
                expires_at=NOW - 300,
                token_id=self.token_id,
                nonce=self.rng.randbytes(16),
                exi_s=120,
                seal=SealClaims(
                    slot=0,
                    max_strokes=strokes,
                    policy=0,
                    epoch=1,
                    window_s=60,
                    document_digest=document or self.document_digest,
                    head_id=HEAD,
                ),
            ),
            key=self.keys["token"],
        )
        self.entry(
            EntryType.TOKEN_ISSUED,
            refs={"request": self.request, "device": DEVICE, "token": self.token_id},
            public={
                "token_digest": hashlib.sha256(signed).digest(),
                "strokes": strokes,
                "request_digest": self.request_digest,
            }
            | ({"plan": [list(sheet) for sheet in self.plan]} if self.plan else {}),
            private={},
        )
        return self.log.add(signed)

    def grant(self, token: bytes, *, strokes: int = 2) -> bytes:
        digest = hashlib.sha256(token).digest()
        return self.event(events.Grant(token_id=self.token_id, token_digest=digest, max_strokes=strokes))

    def stroke(self, stroke: int, *, document: bytes | None = None, page: int = 1, moved: int = 1) -> bytes:
        before, nonce = self.photo(stroke, "before"), self.rng.randbytes(16)
        preview = hashlib.sha256(b"preview" + before).digest()
        self.event(
            events.PageSeen(
                token_id=self.token_id, stroke=stroke, preview_digest=preview, photo_digest=before, stroke_nonce=nonce
            )
        )
        permit = orders.sign(
            Permit(
                device_id=DEVICE,
                token_id=self.token_id,
                stroke=stroke,
                page=page,
                page_digest=orders.page_digest(document or self.document_digest, page),
                photo_digest=before,
                stroke_nonce=nonce,
            ),
            key=self.keys["token"],
        )
        self.log.add(permit)
        permit_digest = hashlib.sha256(permit).digest()
        self.event(events.Intent(token_id=self.token_id, stroke=stroke, permit_digest=permit_digest, page=page))
        self._counter += moved
        code = self.code()
        self.codes.append(code)
        after = self.photo(stroke, "after")
        return self.event(
            events.Done(
                token_id=self.token_id,
                stroke=stroke,
                preview_digest=hashlib.sha256(b"preview" + after).digest(),
                photo_digest=after,
                trace_code=code,
            )
        )

    def label(self, stroke: int, *, code: bytes | None = None) -> bytes:
        """The sheet with the label of that stroke on it was photographed."""
        return self.event(
            events.Label(
                token_id=self.token_id,
                copy=stroke,
                trace_code=code or self.codes[stroke - 1],
                photo_digest=self.photo(stroke, "label"),
            )
        )

    def code(self, *, key: str = "device", document: bytes | None = None) -> bytes:
        code = TraceCode(
            use=self.token_id[:8],
            document=(document or self.document_digest)[:16],
            counter=self._counter,
            head=HEAD[:4],
        )
        return trace.sign(code, key=self.keys[key])

    def photo(self, stroke: int, when: str) -> bytes:
        data = PHOTO % (stroke, when.encode()) + self.rng.randbytes(8)
        digest = hashlib.sha256(data).digest()
        self.others[f"photos/{digest.hex()}.jpg"] = data
        self.photos.append(digest)
        return digest

    def event(self, body: Body, *, key: str = "device", previous: bytes | None = None) -> bytes:
        self._seq += 1
        header = Header(
            device_id=DEVICE,
            generation=1,
            seq=self._seq,
            boot=1,
            event_type=events.type_of(body),
            uptime_ms=1000 * self._seq,
            counter=self._counter,
            head_id=HEAD,
            firmware="sim 1",
            previous=previous or self._previous,
            time_ms=(NOW - 800 + self._seq) * 1000,
        )
        leaf = events.sign(Event(header=header, body=body), key=self.keys[key])
        self._previous = events.chain_hash(leaf)
        return self.log.add(leaf)

    def file(self) -> "StoryMaker":
        self.record = Record(
            document=self.document_digest,
            leaves=tuple(merkle.leaf_hash(leaf) for leaf in self.log.leaves),
            photos=tuple(self.photos),
        )
        self.entry(
            EntryType.RECORD_FILED,
            refs={"request": self.request, "document": self.document_digest.hex()},
            public={"record_digest": self.record.digest(), "class": "contract", "strokes": len(self.codes)},
            private={"title": "Contract"},
        )
        return self

    def trust_bundle(self, *, version: int | None = None) -> bytes:
        keys = [(Purpose.ENTRY, "entry"), (Purpose.TOKEN, "token"), (Purpose.CHECKPOINT, "log")]
        keys += [(Purpose.BUNDLE, "bundle"), (Purpose.TRACE, "trace")]
        anchor = trust.sign_anchor(
            Anchor(
                installation_id=UUID(int=7),
                name="Example Holdings",
                host="seal.example.com",
                demo=self.demo,
                number=1,
                issued=NOW - 5000,
                expires=NOW + 3650 * 86_400,
                root_key=self.keys["root"].public_key,
                keys=tuple(
                    IssuerKey(
                        purpose=purpose, public_key=self.keys[name].public_key, valid_from=NOW - 5000, valid_until=None
                    )
                    for purpose, name in keys
                ),
                log_name=LOG,
                authorities=self.authorities,
                witnesses=self.witnesses,
            ),
            root=self.keys["root"],
        )
        device = DeviceKey(
            device_id=DEVICE,
            generation=1,
            public_key=self.keys["device"].public_key,
            status=self.status,
            since=NOW - 4000,
        )
        return trust.issue(
            anchor,
            key=self.keys["bundle"],
            version=version or self.version,
            issued=self.issued,
            expires=self.expires,
            devices=[device],
            withdrawals=self.withdrawals,
            withdrawn_codes=self.withdrawn_codes,
        )

    def members(self) -> dict[str, bytes]:
        return {
            **self.log.members(self.keys["log"], LOG),
            **self.others,
            "document.pdf": self.document,
            "trust.cose": self.trust_bundle(),
        }

    def bundle(self) -> bytes:
        return bundle.build(self.members(), request=self.request, record=self.record)
