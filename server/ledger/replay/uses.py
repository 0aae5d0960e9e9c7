"""What devices signed about tokens: how many uses a token may still have or has consumed, counted for the worst case.

A token counts in full until the device's own CLOSED says how many uses it took, or until the device signed, without a
gap, a time after the token's end and no GRANT before it, or refused it with its challenge.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from firmware_protocol.events import Closed, Done, Event, Grant, Intent, Refusal
from firmware_protocol.messages import TYPE_OF, TokenRequest


@dataclass(slots=True)
class _Chain:
    next_seq: int = 1
    waiting: dict[int, int] = field(default_factory=dict)  # seq -> time, of events behind a gap
    proved_ms: int = 0


@dataclass(slots=True)
class Use:
    """Of one token id, as events tell it. `first`: log index of the first event about it."""

    first: int
    device: str
    granted: bool = False
    closed: int | None = None
    strokes: set[int] = field(default_factory=set)  # that began or were made
    grants: list[tuple[int, bytes, int]] = field(default_factory=list)  # (log index, token digest, most strokes)


@dataclass(slots=True)
class Uses:
    by_token: dict[bytes, Use] = field(default_factory=dict)
    refused: set[tuple[str, bytes]] = field(default_factory=set)  # (device, token id), which cost it its challenge
    heads: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))  # that a device signed to hold
    _chains: dict[tuple[str, int], _Chain] = field(default_factory=lambda: defaultdict(_Chain))

    def take(self, index: int, event: Event) -> None:
        """One device event, in the order of the log."""
        header, body = event.header, event.body
        self._prove(self._chains[header.device_id, header.generation], header.seq, header.time_ms or 0)
        self.heads[header.device_id].add(header.head_id)
        if isinstance(body, Refusal) and body.message_type == TYPE_OF[TokenRequest] and body.token_id is not None:
            self.refused.add((header.device_id, body.token_id))
        if not isinstance(body, Grant | Intent | Done | Closed):
            return
        use = self.by_token.setdefault(body.token_id, Use(index, header.device_id))
        match body:
            case Grant():
                use.granted = True
                use.grants.append((index, body.token_digest, body.max_strokes))
            case Intent() | Done():
                use.strokes.add(body.stroke)
            case Closed():
                use.closed = body.strokes_used if use.closed is None else use.closed

    def counted(
        self, token_id: bytes, *, device: str, strokes: int, until_ms: int, now_ms: int, challenged: bool
    ) -> int:
        """Uses that must be counted for this token now.

        `challenged`: it is bound to a challenge, as vouchers are not.
        """
        use = self.by_token.get(token_id)
        if use is not None and use.device == device and use.closed is not None:
            return use.closed
        over = until_ms <= now_ms and self._proved(device) > until_ms
        over = over or (challenged and (device, token_id) in self.refused)
        return 0 if over and (use is None or not use.granted) else strokes

    def _proved(self, device: str) -> int:
        return max((chain.proved_ms for (name, _), chain in self._chains.items() if name == device), default=0)

    @staticmethod
    def _prove(chain: _Chain, seq: int, time_ms: int) -> None:
        chain.waiting[seq] = time_ms
        while chain.next_seq in chain.waiting:
            chain.proved_ms = max(chain.proved_ms, chain.waiting.pop(chain.next_seq))
            chain.next_seq += 1
