"""A public site in this process: an installation's own keys, one device, three seals, four kinds of code."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI

from firmware_protocol import trace
from firmware_protocol.purposes import Purpose
from firmware_protocol.trace import TraceCode
from server.core.rng import SeededRng
from server.core.runtime import Runtime
from server.core.trustfile import TrustFile
from server.jobs.sandbox import Workers
from server.public import source
from server.public.app import create_app
from server.public.places import WordBox, choose
from server.public.snapshot import Form, PublicCode, PublicSeal, SealState, Snapshot, Status, public_id, sign
from server.verification import trust
from server.verification.trust import DeviceKey, DeviceStatus
from tests.server.verification.story_maker import Key
from tests.server.world import Client

HOST = "seal.example.com"
PAGES: list[list[WordBox]] = [
    [(word, 10 + 60 * at, 20 + 20 * line, 60 + 60 * at, 32 + 20 * line) for at, word in enumerate(text.split())]
    for text in ("Zircon meridian quorum falcon", "walnut harbour lantern juniper")
    for line in (0,)
]
STATES = {
    "active": SealState.ACTIVE,
    "suspended": SealState.SUSPENDED,
    "disputed": SealState.DISPUTED,
    "destroyed": SealState.DESTROYED,
}


@dataclass
class Site:
    run: Runtime
    device: Key
    path: Path
    judges: Workers | None = None
    status: DeviceStatus = DeviceStatus.ACTIVE
    codes: dict[str, bytes] = field(default_factory=dict)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        for number, name in enumerate(
            ("known", "withdrawn", "not_confirmed", "disputed", "unrecorded", "label", "under")
        ):
            self.codes[name] = self.signed(counter=50 + number)
        self.publish()
        self.app = create_app(self.run, snapshot=self.path, workers=self.judges)

    def signed(self, *, counter: int, key: Key | None = None) -> bytes:
        code = TraceCode(use=bytes(8), document=hashlib.sha256(b"doc").digest()[:16], counter=counter, head=bytes(4))
        return trace.sign(code, key=key or self.device)

    def url(self, name: str) -> str:
        """The path of a code's QR."""
        return trace.url(self.codes[name], host=HOST).split(HOST.upper())[1]

    def seal_id(self, state: str = "active") -> str:
        return public_id(state.encode())

    def client(self) -> Client:
        return Client(self.app)

    def publish(self, *, made_ms: int | None = None, key: Purpose = Purpose.BUNDLE) -> bytes:
        run = self.run
        now = int(run.now().timestamp())
        device = DeviceKey(
            device_id="CN-000000001", generation=1, public_key=self.device.public_key, status=self.status, since=now
        )
        bundle = trust.issue(
            TrustFile(run.settings.home).anchor(),
            key=run.keys.signer(Purpose.BUNDLE),
            version=2,
            issued=now,
            expires=now + 86_400,
            devices=[device],
        )
        snapshot = Snapshot(
            made_ms=made_ms or now * 1000,
            trust=bundle,
            checkpoint="localhost:8444/log\n12\nAAAA\n",
            seals=tuple(self._seal(name, state) for name, state in STATES.items()),
            codes=(
                self._code("known", places=True),
                self._code("withdrawn", status=Status.WITHDRAWN, withdrawn_ms=now * 1000),
                self._code("not_confirmed", status=Status.NOT_CONFIRMED),
                self._code("disputed", seal="disputed"),
                self._code("label", imprints=3, label="label"),
                self._code("under", imprints=3, label="label"),
            ),
        )
        signed = sign(snapshot, key=run.keys.signer(key))
        source.write(self.path, signed)
        return signed

    def _seal(self, name: str, state: SealState) -> PublicSeal:
        since = int(self.run.now().timestamp()) * 1000
        return PublicSeal(
            public_id=self.seal_id(name),
            organisation="Azulejos del Sur S.A.",
            name="Contract seal 02",
            state=state,
            state_since_ms=since,
            codes_since_ms=since,
        )

    def _code(
        self,
        name: str,
        *,
        seal: str = "active",
        status: Status = Status.KNOWN,
        withdrawn_ms: int = 0,
        places: bool = False,
        imprints: int = 1,
        label: str = "",
    ) -> PublicCode:
        code_hash = hashlib.sha256(self.codes[name]).digest()
        return PublicCode(
            code_hash=code_hash,
            short_code=trace.short_code(self.codes[name]),
            seal_id=self.seal_id(seal),
            form=Form.PAPER,
            time_ms=int(self.run.now().timestamp()) * 1000,
            pages=3,
            copy=1,
            copies=2,
            page=3,
            status=status,
            withdrawn_ms=withdrawn_ms,
            places=choose(PAGES, seed=code_hash, salt=SeededRng(1).token_bytes) if places else (),
            imprints=imprints,
            label_code=trace.short_code(self.codes[label]) if label else "",
        )
