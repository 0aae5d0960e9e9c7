"""What goes out over the control link: replies, each again for a retry, and a notice when the status has news."""

import dataclasses
from operator import attrgetter
from typing import Final

from device_sim.core.replies import Replies, refusal_of
from firmware_protocol import messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import Envelope, Message

_NEWS: Final = attrgetter(
    *(field.name for field in dataclasses.fields(messages.Status) if field.name not in ("uptime_ms", "journal_free"))
)
"""What of a status is news."""
_ASKING: Final = (messages.StatusRequest, messages.ReadEventRequest, messages.PairStatusRequest)
"""Requests that change nothing: always answered afresh, never from the cache."""


class Line:
    """Lives as long as the device has power; what was not taken yet goes out also after a restart of its core."""

    def __init__(self) -> None:
        self._outgoing: list[bytes] = []
        self._replies = Replies()
        self._waiting: dict[int, bytes] = {}
        self._told: tuple[object, ...] | None = None

    def begin_anew(self) -> None:
        """The core restarted: no reply is kept, and nobody waits for a photo."""
        self._replies.clear()
        self._waiting.clear()

    def take(self) -> list[bytes]:
        """Messages to send, in order; each is given once."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def read(self, data: bytes) -> Envelope | None:
        """The request that wants an answer now. None: garbage, which is refused, or a retry, which gets its reply."""
        try:
            envelope = messages.decode(data)
        except ProtocolError as error:
            refusal = refusal_of(data, error)
            if refusal is not None:
                msg_id, refused = refusal
                self.send(refused, msg_id=msg_id)
            return None
        if self._replies.is_known(data):
            reply = self._replies.find(data)
            self._outgoing += [] if reply is None else [reply]
            return None
        if isinstance(envelope.message, messages.HelloRequest):
            self._replies.clear()
        elif not isinstance(envelope.message, _ASKING):
            self._replies.begin(data)
        return envelope

    def reply(self, request: bytes, answer: Message, *, msg_id: int) -> None:
        reply = messages.encode(answer, msg_id=msg_id)
        self._replies.end(request, reply)
        self._outgoing.append(reply)

    def wait(self, number: int, request: bytes) -> None:
        """The reply comes with photo `number`."""
        self._waiting[number] = request

    def waiting_for(self, number: int) -> bytes | None:
        """The request that waited for that photo; it is forgotten here."""
        return self._waiting.pop(number, None)

    def notice(self, status: messages.Status) -> None:
        """Tells the status when something in it is news."""
        told = _NEWS(status)
        if told != self._told:
            self._told = told
            self.send(messages.StatusNotice(status=status))

    def send(self, message: Message, *, msg_id: int = 0) -> None:
        self._outgoing.append(messages.encode(message, msg_id=msg_id))
