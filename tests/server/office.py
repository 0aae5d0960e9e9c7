"""An office for tests: a gateway, a device that signs with its own key, a keeper beside it, the sequencer."""

import hashlib
import io
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
import pypdfium2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from sqlmodel import Session

from device_sim.scene.strip import draw_strip, show_in_grey
from firmware_protocol import events, trace
from firmware_protocol.events import (
    Boot,
    Cause,
    Closed,
    Done,
    Event,
    Grant,
    Header,
    Intent,
    PageSeen,
    Paired,
    ResetCause,
    type_of,
)
from firmware_protocol.purposes import Purpose
from firmware_protocol.trace import TraceCode
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.devices import service as devices
from server.devices.schemas import (
    DeviceRead,
    GatewayMade,
    HelloDevice,
    HelloIn,
    PairingDeviceIn,
)
from server.ledger import service as ledger
from server.ledger.checkpoint import origin_of
from server.ledger.schemas import LeafKind
from server.ledger.sequencer import Sequencer, Signers
from server.tokens import service as tokens
from server.tokens.schemas import TokenOut
from tests.server.world import HEAD, Company

DEVICE_ID = "MAD-0001"


class Key:
    """A device's own key."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)


@dataclass
class Pen:
    """Signs a device's events, one after the other, chained."""

    device_id: str
    key: Key
    seq: int = 0
    counter: int = 100
    previous: bytes = events.FIRST_PREVIOUS
    time_ms: int | None = None
    written: list[bytes] = field(default_factory=list)

    def write(self, body: events.Body) -> bytes:
        self.seq += 1
        header = Header(
            device_id=self.device_id,
            generation=1,
            seq=self.seq,
            boot=1,
            event_type=type_of(body),
            uptime_ms=1000 * self.seq,
            counter=self.counter,
            head_id=HEAD,
            firmware="1.0.0",
            previous=self.previous,
            time_ms=self.time_ms,
        )
        signed = events.sign(Event(header=header, body=body), key=self.key)
        self.previous = events.chain_hash(signed)
        self.written.append(signed)
        return signed


@dataclass
class Office:
    company: Company
    gateway: GatewayMade
    pen: Pen
    sequencer: Sequencer
    projected: list[tuple[int, int]]

    @property
    def run(self) -> Runtime:
        return self.company.run

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.gateway.secret}"}

    def device(self) -> DeviceRead:
        with self.run.db.read() as db:
            return devices.device(db, self.company.everywhere, self.pen.device_id)

    def hello(self) -> None:
        with self.run.db.write() as db:
            devices.hello(db, self.run, self.gateway.gateway, hello_of(self.pen))

    def keeper_signs_in(self) -> None:
        with self.run.db.write() as db:
            devices.sign_in_keeper(db, self.run, device_read=self.device(), person=self.company.keeper)

    def token(self, request: RequestRead, *, nonce: bytes | None = None, operator: UUID | None = None) -> TokenOut:
        with self.run.db.write() as db:
            return tokens.issue(
                db,
                self.run,
                self.gateway.gateway,
                device_id=self.pen.device_id,
                request_id=request.id,
                nonce=nonce or self.run.rng.token_bytes(16),
                operator_id=operator or self.company.keeper.id,
            )

    def page_seen(self, token_id: bytes, stroke: int, preview: bytes, *, nonce: bytes = b"n" * 16) -> bytes:
        return self.pen.write(
            PageSeen(
                token_id=token_id,
                stroke=stroke,
                preview_digest=hashlib.sha256(preview).digest(),
                photo_digest=hashlib.sha256(preview + b" in full").digest(),
                stroke_nonce=nonce,
            )
        )

    def grant(self, token: TokenOut) -> bytes:
        return self.pen.write(Grant(token_id=token.token_id, token_digest=bytes(32), max_strokes=token.strokes))

    def press(self, token: TokenOut, stroke: int, *, photo: bytes = b"after") -> bytes:
        """INTENT, the press, DONE with a trace code; returns the signed DONE."""
        self.pen.write(Intent(token_id=token.token_id, stroke=stroke))
        self.pen.counter += 1
        code = TraceCode(use=token.token_id[:8], document=bytes(16), counter=self.pen.counter, head=HEAD[:4])
        return self.pen.write(
            Done(
                token_id=token.token_id,
                stroke=stroke,
                preview_digest=hashlib.sha256(b"small " + photo + bytes([stroke])).digest(),
                photo_digest=hashlib.sha256(photo + bytes([stroke])).digest(),
                trace_code=trace.sign(code, key=self.pen.key),
            )
        )

    def close(self, token: TokenOut, used: int, cause: Cause = Cause.USED_UP) -> bytes:
        return self.pen.write(Closed(token_id=token.token_id, strokes_used=used, cause=cause))

    def deliver(self) -> None:
        """Everything written since the last delivery reaches the ledger, which integrates it."""
        with self.run.db.write() as db:
            for signed in self.pen.written:
                self._enqueue(db, signed)
        self.pen.written.clear()
        self.sequencer.commit([])

    def _enqueue(self, db: Session, signed: bytes) -> None:
        ledger.enqueue(
            db,
            kind=LeafKind.EVENT,
            leaf=signed,
            tenant_id=self.company.tenant.id,
            branch_path="/spain/madrid/",
            now=self.run.now(),
            source=self.gateway.gateway.gateway_id,
        )


def hello_of(pen: Pen) -> HelloIn:
    said = HelloDevice(
        device_id=pen.device_id,
        public_key=pen.key.public_key.hex(),
        generation=1,
        model="sim",
        firmware="1.0.0",
        heads=[bytes(8).hex(), HEAD.hex()],
        last_seq=pen.seq,
        acked_seq=0,
        counter=pen.counter,
        boot=1,
        paired=True,
    )
    return HelloIn(gateway_id="gw-madrid", version="0.1.0", devices=[said])


@pytest.fixture
def gateway(company: Company) -> GatewayMade:
    with company.run.db.write() as db:
        return devices.enrol_gateway(
            db,
            company.run,
            company.everywhere,
            gateway_id="gw-madrid",
            name="Madrid",
            branch_path="/spain/madrid/",
        )


@pytest.fixture
def office(company: Company, gateway: GatewayMade) -> Office:
    """Paired as in life: terms, digits, a person's yes, the device's signed PAIRED through the ledger."""
    run, pen = company.run, Pen(DEVICE_ID, Key(company.run.rng.token_bytes(32)))
    projected: list[tuple[int, int]] = []
    sequencer = Sequencer(
        run.db,
        signers=Signers(checkpoint=run.keys.signer(Purpose.CHECKPOINT), entry=run.keys.signer(Purpose.ENTRY)),
        origin=origin_of(run.settings.public_url),
        clock=run.clock,
        rng=run.rng,
        on_events=lambda _db, first, last, _now: projected.append((first, last)),
    )
    sequencer.open()
    said = PairingDeviceIn(
        device_id=DEVICE_ID, public_key=pen.key.public_key.hex(), nonce=bytes(16).hex(), generation=1
    )
    with run.db.write() as db:
        opened = devices.start_pairing(db, run, gateway.gateway, device_id=DEVICE_ID)
        terms = devices.device_answer(db, run, gateway.gateway, pairing_id=opened.pairing_id, said=said).terms
        devices.confirm_pairing(db, run, company.scope(company.admin), pairing_id=opened.pairing_id)
    pen.write(Boot(cause=ResetCause.POWER, public_key=pen.key.public_key))
    paired = pen.write(
        Paired(
            installation_id=terms.installation_id,
            terms_digest=opened.commitment,
            root_key=terms.root_key,
            public_key=pen.key.public_key,
        )
    )
    made = Office(company=company, gateway=gateway, pen=pen, sequencer=sequencer, projected=projected)
    made.deliver()
    with run.db.write() as db:
        devices.note_paired(db, run, events.verify(paired, keys=devices.keys_of(db, DEVICE_ID)))
    made.hello()
    made.keeper_signs_in()
    return made


def photo_of(pdf: bytes, page: int, *, dpi: int = 150, nonce: bytes = b"n" * 16, counter: int = 100) -> bytes:
    """The page on a dark tray, straight, as a grey JPEG; the light strip below shows `nonce` and `counter`."""
    sharp = pypdfium2.PdfDocument(pdf)[page - 1].render(scale=300 / 72, grayscale=True).to_pil()
    rendered = sharp.resize((round(sharp.width * dpi / 300), round(sharp.height * dpi / 300)), Image.Resampling.LANCZOS)
    tray = Image.new("L", (rendered.width + 120, rendered.height + 120), 70)
    tray.paste(rendered, (60, 60))
    grey = np.array(tray)
    lit = np.zeros((*grey.shape, 3), np.uint8)
    draw_strip(lit, nonce + counter.to_bytes(4, "big"))
    show_in_grey(grey, lit)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "JPEG", quality=88)
    return out.getvalue()
