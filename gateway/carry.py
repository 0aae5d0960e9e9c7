"""When this office has no way to headquarters, but the keeper's phone has: the phone carries requests over it.

The phone sees what it carries and can hold it back, no more: every envelope has a MAC under a key of the gateway's
secret, and what opens a device is signed for that device anyway. docs/protocol.md, "Carried by a phone".
"""

import asyncio
import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from firmware_protocol import cbor
from gateway.clock import Clock
from gateway.errors import HeadOfficeUnreachable, OutOfOrder

KEY_PURPOSE: Final = b"seal/1/carry"
PHONE_MS: Final = 8_000
"""A phone that asked for work within this time is there. It asks every few seconds."""
ANSWER_S: Final = 15.0
WAIT_S: Final = 3.0
"""How long a phone's question waits for work."""
INNER: Final = ("jobs", "tokens", "permits", "cases", "imprints", "spoiled", "sweeps", "time", "roster", "hello")
"""What may be carried; nothing that signs a person in, and no full photos."""

OnDown = Callable[[str, str, bytes], None]
"""(kind, device id, signed bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    content_type: str
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Parcel:
    method: str
    path: str
    content_type: str
    body: bytes
    nonce: str
    answered: asyncio.Future[Answered] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def may_be_carried(path: str) -> bool:
    """`path` below /gateway/v1/: hello, or devices/ID/WHAT/..."""
    parts = path.partition("?")[0].split("/")
    what = parts[2] if parts[0] == "devices" and len(parts) > 2 else parts[0]
    return what in INNER


class Carry:
    """Parcels for a phone. One per gateway; everything runs in the event loop."""

    def __init__(
        self, *, gateway_id: str, secret: str, clock: Clock, random: Callable[[int], bytes], on_down: OnDown
    ) -> None:
        self._gateway_id = gateway_id
        self._key = hmac.digest(hashlib.sha256(secret.encode()).digest(), KEY_PURPOSE, "sha256")
        self._clock = clock
        self._random = random
        self._on_down = on_down
        self._waiting: OrderedDict[str, _Parcel] = OrderedDict()  # not handed to a phone yet
        self._carried: dict[str, _Parcel] = {}
        self._work = asyncio.Event()
        self._phone_ms = 0
        self._carried_ms = 0

    @property
    def present(self) -> bool:
        """A phone is there that reaches headquarters; one that is under way with a parcel does not ask meanwhile."""
        return bool(self._carried) or self._clock.now_ms() - self._phone_ms < PHONE_MS

    @property
    def working(self) -> bool:
        """Something went this way a moment ago: the screen says so."""
        return self._clock.now_ms() - self._carried_ms < 2 * PHONE_MS

    async def send(self, method: str, path: str, *, content_type: str, body: bytes) -> Answered:
        """Through the phone. Raises: HeadOfficeUnreachable, when no phone brings an answer in time."""
        parcel = _Parcel(method=method, path=path, content_type=content_type, body=body, nonce=self._random(16).hex())
        self._waiting[parcel.nonce] = parcel
        self._work.set()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await parcel.answered
        except TimeoutError as error:
            raise HeadOfficeUnreachable("the phone brought no answer") from error
        finally:
            self._waiting.pop(parcel.nonce, None)
            self._carried.pop(parcel.nonce, None)

    async def next(self, *, reaches: bool, wait_s: float = WAIT_S) -> dict[str, Any] | None:
        """The next envelope for a phone, after a moment of waiting; None when there is nothing to carry.

        `reaches`: the phone got through to headquarters when it last tried.
        """
        if reaches:
            self._phone_ms = self._clock.now_ms()
        if not self._waiting:
            self._work.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._work.wait()
            except TimeoutError:
                return None
        if not self._waiting:
            return None
        nonce, parcel = self._waiting.popitem(last=False)
        self._carried[nonce] = parcel
        return self._envelope(parcel)

    def _envelope(self, parcel: _Parcel) -> dict[str, Any]:
        envelope = {
            "gateway_id": self._gateway_id,
            "at_ms": self._clock.now_ms(),
            "nonce": parcel.nonce,
            "method": parcel.method,
            "path": parcel.path,
            "content_type": parcel.content_type,
            "body": base64.b64encode(parcel.body).decode(),
        }
        return envelope | {"mac": self.mac(list(envelope.values()))}

    def answer(self, nonce: str, answer: dict[str, Any]) -> None:
        """What headquarters said, as the phone brings it. Raises: OutOfOrder, when it is not genuine or not awaited."""
        said = [nonce, answer.get("status"), answer.get("content_type"), answer.get("body"), answer.get("down")]
        try:
            genuine = hmac.compare_digest(str(answer.get("mac")), self.mac(said))
        except (TypeError, ValueError):
            genuine = False
        parcel = self._carried.get(nonce)
        if not genuine or parcel is None or parcel.answered.done():
            raise OutOfOrder("This answer is not one that the gateway waits for.")
        self._phone_ms = self._carried_ms = self._clock.now_ms()
        body = base64.b64decode(answer["body"])
        parcel.answered.set_result(
            Answered(status=int(answer["status"]), content_type=str(answer["content_type"]), body=body)
        )
        for order in answer["down"]:
            self._on_down(str(order["kind"]), str(order["device_id"]), bytes.fromhex(order["payload"]))

    def mac(self, values: list[Any]) -> str:
        return hmac.digest(self._key, cbor.encode(values), "sha256").hex()
