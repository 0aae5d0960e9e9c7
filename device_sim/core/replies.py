"""A retry has the msg_id and the bytes of the message before it, and gets the reply that was lost on the way."""

from collections import OrderedDict
from typing import Final

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
