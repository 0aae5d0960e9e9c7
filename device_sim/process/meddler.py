"""Faults of the control link itself: somebody, or something, between the gateway and the device."""

from typing import Final

from device_sim.core.memory import Memory
from device_sim.core.ports import Rng
from device_sim.process.faults import Fault, Faults
from device_sim.process.identity import DeviceKey
from firmware_protocol import messages, orders
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import Message
from firmware_protocol.orders import Receipt

_SIGNED: Final = (
    messages.TokenRequest,
    messages.PermitRequest,
    messages.PolicyRequest,
    messages.ReceiptRequest,
    messages.RosterRequest,
)
REMEMBERED: Final = 8
FIRST_ID: Final = 0xFE00
"""Message ids of the meddler; the answers to them never reach the gateway."""
NAMED: Final = 4
"""Photo digests in the receipt that nobody signed: as many as fit in a message."""


class Meddler:
    """Asked for every message, in both directions."""

    def __init__(self, faults: Faults, rng: Rng) -> None:
        self._faults = faults
        self._rng = rng
        self._heard: list[Message] = []
        self._said = 0

    def after(self, data: bytes) -> list[bytes]:
        """What the device hears after a message of the gateway."""
        try:
            message = messages.decode(data).message
        except ProtocolError:
            return []
        played = [self._say(old) for old in self._heard] if self._faults.has(Fault.REPLAYS) else []
        if isinstance(message, _SIGNED) and message not in self._heard:
            self._heard = [*self._heard, message][-REMEMBERED:]
        return played

    def lets_out(self, data: bytes) -> bool:
        """Whether a message of the device arrives at the gateway."""
        return not self._faults.has(Fault.MUTE) and messages.decode(data).msg_id < FIRST_ID

    def delete_all(self, memory: Memory, *, device_id: str) -> bytes:
        """A receipt for everything the device holds, by a key that nobody knows."""
        receipt = Receipt(
            device_id=device_id,
            generation=memory.generation,
            up_to_seq=memory.seq,
            chain_hash=memory.chain_hash,
            photo_digests=memory.photos[:NAMED],
        )
        signed = orders.sign(receipt, key=DeviceKey(self._rng.token_bytes(32)))
        return self._say(messages.ReceiptRequest(receipt=signed))

    def _say(self, message: Message) -> bytes:
        self._said += 1
        return messages.encode(message, msg_id=FIRST_ID + self._said % (messages.MAX_MSG_ID - FIRST_ID))
