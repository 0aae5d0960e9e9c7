"""Signed events of 1,000 devices, in the order in which gateways would bring them: short sessions, interleaved."""

import random  # noqa: TID251 - one seeded source for the whole bench
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol import events
from firmware_protocol.events import Body, Event, Header
from server.core.clock import SystemClock
from server.core.db import Database
from server.ledger import service

DEVICES: Final = 1_000
AT_ONCE: Final = 200
"""Devices that are being used at the same time."""
TENANT: Final = UUID(int=1)


class BenchSigner:
    """A device's key and chain; nothing else of a device."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.device_id = f"CB-L{number:06}"
        self._key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.public_key = self._key.public_key().public_bytes_raw()
        self.seq = 0
        self._previous = events.FIRST_PREVIOUS

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    def next(self, body: Body) -> bytes:
        self.seq += 1
        header = Header(
            device_id=self.device_id,
            generation=1,
            seq=self.seq,
            boot=1,
            event_type=events.type_of(body),
            uptime_ms=1_000 * self.seq,
            counter=self.seq,
            head_id=b"bench-hd",
            firmware="0.1.0",
            previous=self._previous,
        )
        signed = events.sign(Event(header=header, body=body), key=self)
        self._previous = events.chain_hash(signed)
        return signed


@dataclass(frozen=True, slots=True)
class Sent:
    """`seq` is the device's number of the event."""

    device_id: str
    seq: int
    data: bytes


@dataclass(slots=True)
class Fleet:
    """`take` signs what comes next; the events of one `take` continue those of the one before."""

    rng: random.Random
    devices: list[BenchSigner]

    @classmethod
    def of(cls, rng: random.Random) -> "Fleet":
        return cls(rng, [BenchSigner(rng, number) for number in range(DEVICES)])

    def enrol(self, database: Database) -> None:
        now = SystemClock().now()
        with database.write() as db:
            for device in self.devices:
                service.register_device_key(
                    db,
                    device_id=device.device_id,
                    generation=1,
                    public_key=device.public_key,
                    tenant_id=TENANT,
                    branch_path="/",
                    now=now,
                )

    def take(self, count: int) -> list[Sent]:
        """Sessions of five events: permission, page, intent, press, end. Raises: ValueError for part of a round."""
        if count % (5 * AT_ONCE):
            raise ValueError(f"ask for a multiple of {5 * AT_ONCE} events, not {count}")
        sent: list[Sent] = []
        while len(sent) < count:
            sessions = [(device, self._session()) for device in self.rng.sample(self.devices, AT_ONCE)]
            for step in range(5):
                self.rng.shuffle(sessions)
                for device, bodies in sessions:
                    data = device.next(bodies[step])
                    sent.append(Sent(device.device_id, device.seq, data))
        return sent

    def _session(self) -> Sequence[Body]:
        token_id, digest = self.rng.randbytes(16), self.rng.randbytes(32)
        preview, photo, nonce = self.rng.randbytes(32), self.rng.randbytes(32), self.rng.randbytes(16)
        return (
            events.Grant(token_id=token_id, token_digest=digest, max_strokes=1),
            events.PageSeen(
                token_id=token_id, stroke=1, preview_digest=preview, photo_digest=photo, stroke_nonce=nonce
            ),
            events.Intent(token_id=token_id, stroke=1, permit_digest=digest, page=1),
            events.Done(
                token_id=token_id,
                stroke=1,
                preview_digest=preview,
                photo_digest=photo,
                trace_code=self.rng.randbytes(122),
            ),
            events.Closed(token_id=token_id, strokes_used=1, cause=events.Cause.USED_UP),
        )
