"""A server gone bad: it signs with its real keys, and enters into the log, what nobody approved.

Every method's defaults are what an honest server writes; a test changes one thing.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from firmware_protocol import orders, tokens
from firmware_protocol.orders import Permit
from firmware_protocol.purposes import Purpose
from server.approvals import request as canonical_request
from server.approvals.request import Canonical, CanonicalPlace
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.identity import entries
from server.identity.entries import EntryType
from server.identity.schemas import PersonRead
from server.ledger import service as ledger
from server.ledger.replay import check as replay
from server.ledger.replay.check import Unjustified
from server.ledger.schemas import LeafKind
from server.seals import service as seals
from server.seals.schemas import ApprovalRule
from tests.server.office import Office
from tests.server.world import HEAD, Company

BRANCH = "/spain/madrid/"
DOCUMENT = hashlib.sha256(b"a contract").digest()


@dataclass(kw_only=True)
class Asked:
    canonical: Canonical

    @property
    def id(self) -> UUID:
        return self.canonical.request_id

    @property
    def digest(self) -> bytes:
        return canonical_request.digest(canonical_request.encode(self.canonical))


@dataclass
class Forger:
    office: Office

    @property
    def company(self) -> Company:
        return self.office.company

    @property
    def run(self) -> Runtime:
        return self.office.run

    def record(self, entry_type: EntryType, *, at: timedelta = timedelta(0), **parts: Any) -> None:
        """`at`: how much later than now the entry says it is."""
        later = replace(self.run, clock=FixedClock(self.run.now() + at))
        with self.run.db.write() as db:
            entries.record(db, later, entry_type, tenant_id=self.company.tenant.id, branch_path=BRANCH, **parts)

    def password(self, person: PersonRead) -> None:
        public = {"method": "password", "attested_by": "server"}
        self.record(EntryType.CREDENTIAL_ENROLLED, refs={"person": person.id}, public=public)

    def rule(self, rule: ApprovalRule) -> None:
        with self.run.db.write() as db:
            seals.set_rule(db, self.run, self.company.everywhere, seal_id=self.company.seal.id, rule=rule)

    def ask(self, *, version: int = 1, **changes: Any) -> Asked:
        facts: dict[str, Any] = {
            "tenant_id": self.company.tenant.id,
            "request_id": self.run.new_id(),
            "revision": 1,
            "seal_id": self.company.seal.id,
            "heads": (HEAD,),
            "documents": (DOCUMENT,),
            "pages": 1,
            "places": (CanonicalPlace(page=1, x=1400, y=2300),),
            "copies": 2,
            "spares": 0,
            "mode": "before",
            "not_before": None,
            "expires_at": self.run.now() + timedelta(days=7),
            "place": BRANCH,
            "amount": "",
            "counterparty": "",
            "requester_id": self.company.clerk.id,
            "keeper_id": None,
            "policy_version": version,
            "title": "Contract",
            "reason": "",
            "form": "paper",
            "stamping": "page_by_page",
            "first_page": None,
            "last_page": None,
            "bound": False,
            "sweep": False,
        }
        asked = Asked(canonical=Canonical(**(facts | changes)))
        public = {
            "request_digest": asked.digest,
            "policy_version": version,
            "branch": BRANCH,
            "strokes": asked.canonical.copies,
            "spares": asked.canonical.spares,
        }
        private = {"canonical": canonical_request.encode(asked.canonical)}
        self.record(EntryType.REQUEST_SUBMITTED, refs=self._about(asked), public=public, private=private)
        return asked

    def decide(
        self,
        asked: Asked,
        person: PersonRead,
        *,
        stage: int = 0,
        approved: bool = True,
        at: timedelta = timedelta(0),
        digest: bytes | None = None,
        signed_by: PersonRead | None = None,
    ) -> None:
        digest, nonce = digest or asked.digest, self.run.rng.token_bytes(16)
        payload = canonical_request.decision_payload(
            request_digest=digest, approver_id=(signed_by or person).id, stage=stage, nonce=nonce, approved=approved
        )
        public = {
            "request_digest": digest,
            "stage": stage,
            "approved": approved,
            "method": "password, attested by the server",
            "assertion_digest": canonical_request.digest(payload),
            "nonce": nonce,
        }
        private = {"approver": person.id, "assertion": payload}
        self.record(EntryType.DECISION, at=at, refs=self._about(asked), public=public, private=private)

    def token(
        self,
        asked: Asked,
        *,
        strokes: int = 2,
        keeper: PersonRead | None = None,
        document: bytes = DOCUMENT,
        head: bytes = HEAD,
        policy: int = 0,
        at: timedelta = timedelta(0),
        counter: int | None = None,
        accounted: bool = True,
    ) -> bytes:
        """The token's id."""
        keeper = keeper or self.company.keeper
        begins, token_id = int((self.run.now() + at).timestamp()), self.run.rng.token_bytes(16)
        claims = tokens.Token(
            device_id=self.office.pen.device_id,
            issued_at=begins,
            not_before=begins,
            expires_at=begins + 600,
            token_id=token_id,
            nonce=bytes(16) if counter is None else None,
            exi_s=570 if counter is None else None,
            seal=tokens.SealClaims(
                slot=1,
                max_strokes=strokes,
                policy=policy,
                epoch=0,
                window_s=30,
                document_digest=document,
                head_id=head,
                operator=keeper.operator,
                voucher_counter=counter,
            ),
        )
        signed = tokens.issue(claims, key=self.run.keys.signer(Purpose.TOKEN))
        self._leaf(LeafKind.TOKEN, signed)
        refs = self._about(asked) | {"device": self.office.pen.device_id, "token": token_id, "head": head}
        public: dict[str, object] = {
            "token_digest": hashlib.sha256(signed).digest(),
            "strokes": strokes,
            "request_digest": asked.digest,
        }
        if accounted:
            self.record(EntryType.TOKEN_ISSUED, at=at, refs=refs, public=public, private={"keeper": keeper.id})
        return token_id

    def finding(self, answer: str) -> UUID:
        finding_id = self.run.new_id()
        self.record(EntryType.PAGE_FINDING, refs={"finding": finding_id}, public={"answer": answer})
        return finding_id

    def anyway(self, finding_id: UUID, by: PersonRead) -> None:
        public = {"verdict": "anyway"}
        self.record(EntryType.VERDICT, refs={"finding": finding_id}, public=public, private={"by": by.id})

    def permit(self, token_id: bytes, finding_id: UUID, *, stroke: int = 1, document: bytes = DOCUMENT) -> None:
        order = Permit(
            device_id=self.office.pen.device_id,
            token_id=token_id,
            stroke=stroke,
            page=1,
            page_digest=orders.page_digest(document, 1),
            photo_digest=bytes(32),
            stroke_nonce=self.run.rng.token_bytes(16),
        )
        signed = orders.sign(order, key=self.run.keys.signer(Purpose.PERMIT))
        self._leaf(LeafKind.PERMIT, signed)
        refs = {"token": token_id, "finding": finding_id}
        public = {"permit_digest": hashlib.sha256(signed).digest(), "stroke": stroke}
        self.record(EntryType.PERMIT_ISSUED, refs=refs, public=public)

    def service(self, first: PersonRead, second: PersonRead, *, proposed: bool = True) -> None:
        refs = {"device": self.office.pen.device_id, "service": self.run.new_id()}
        if proposed:
            public = {"kind": "clear_tamper"}
            self.record(EntryType.SERVICE_PROPOSED, refs=refs, public=public, private={"by": first.id})
        ordered = {
            "kind": "clear_tamper",
            "order_digest": self.run.rng.token_bytes(32),
            "operators": [first.operator, second.operator],
        }
        private = {"by": first.id, "second": second.id}
        self.record(EntryType.SERVICE_ORDERED, refs=refs, public=ordered, private=private)

    def unjustified(self) -> list[Unjustified]:
        self.office.deliver()
        with self.run.db.read() as db:
            return list(replay.check(db))

    def said(self) -> str:
        return "\n".join(one.what for one in self.unjustified())

    def _about(self, asked: Asked) -> dict[str, object]:
        return {"request": asked.id, "seal": asked.canonical.seal_id, "document": asked.canonical.documents[0]}

    def _leaf(self, kind: LeafKind, leaf: bytes) -> None:
        with self.run.db.write() as db:
            ledger.enqueue(
                db,
                kind=kind,
                leaf=leaf,
                tenant_id=self.company.tenant.id,
                branch_path=BRANCH,
                now=self.run.now(),
            )
