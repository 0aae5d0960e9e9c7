"""A retry has the msg_id and the bytes of the message before it, and gets the reply that was lost on the way."""

from collections import OrderedDict
from typing import Final

from firmware_protocol import cbor, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.reasons import Reason

KEPT: Final = 8


class Replies:
    """The last replies by request. HELLO begins a new session and clears them."""

    def __init__(self) -> None:
        self._sent: OrderedDict[bytes, bytes | None] = OrderedDict()

    def clear(self) -> None:
        self._sent.clear()

    def begin(self, request: bytes) -> None:
        """The request is being worked on; a retry meanwhile waits for the same reply."""
        self._sent[request] = None
        while len(self._sent) > KEPT:
            self._sent.popitem(last=False)

    def end(self, request: bytes, reply: bytes) -> None:
        if request in self._sent:
            self._sent[request] = reply

    def is_known(self, request: bytes) -> bool:
        return request in self._sent

    def find(self, request: bytes) -> bytes | None:
        """None while the request is being worked on."""
        return self._sent.get(request)


def refusal_of(data: bytes, error: ProtocolError) -> tuple[int, messages.Refused] | None:
    """The msg_id and answer for a message that is none; None when it does not even say which one it wanted to be."""
    try:
        match cbor.decode(data):
            case [messages.VERSION, int() as number, int() as msg_id, *_]:
                pass
            case _:
                return None
    except ProtocolError:
        return None
    if not (0 <= number <= 0xFF and 0 <= msg_id <= messages.MAX_MSG_ID):
        return None
    reason = Reason.MALFORMED if number in messages.TYPE_OF.values() else Reason.UNKNOWN_MESSAGE
    return msg_id, messages.Refused(request_type=number, reason=reason, detail=str(error)[:120])
