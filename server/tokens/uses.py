"""How many imprints a request has left, counted so that no crash, delay or lost message allows one too many.

A token that a device may hold counts in full. It stops counting in full when the device's own signed CLOSED says how
many uses it consumed, when the device signed, without a gap, something later than the token's end and never a GRANT, or
when the device refused it, which cost it its challenge.

While a device owes its word on what a token of it did, nothing more is stamped: a place might get a second imprint, and
a spare is for a sheet that is spoiled.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.events import Event, Outcome
from firmware_protocol.messages import TYPE_OF, TokenRequest
from server.approvals import service as approvals
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.ledger import service as ledger
from server.tokens import labels, store
from server.tokens.errors import NoSuchToken
from server.tokens.models import SpoiledSheet, StampToken, StrokeUse
from server.tokens.schemas import StrokeState

_MARKED: Final = {StrokeState.DONE.value, StrokeState.UNKNOWN.value}
"""States in which the place on the paper carries, or may carry, an imprint."""
_TOKEN: Final = TYPE_OF[TokenRequest]
_CONSUMING: Final = _MARKED | {StrokeState.CANCELLED.value, StrokeState.SPOILED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """`plan`: stroke indices still to do, at most `strokes` of which may be done now."""

    plan: tuple[int, ...]
    strokes: int
    done: int
    open_token: StampToken | None  # may still be used at a device
    silent_token: StampToken | None  # over, but the device has not said, or not all of it, what it did
    spares: int  # of the approved ones, for a sheet that is spoiled from now on


def left(db: Session, run: Runtime, request: RequestRead) -> Left:
    """What may still be stamped for this request."""
    tokens = store.tokens_of_request(db, request.tenant_id, request.id)
    marked, done = _places(db, tokens)
    todo = tuple(index for index in range(request.strokes) if index not in marked)
    told = Counter(use.token_id for use in _consuming(db, tokens))
    consumed, open_token, silent = 0, None, None
    for token in tokens:
        if token.closed_at is not None:
            used = token.closed_used or 0
            consumed += used
            silent = token if told[token.token_id] < used else silent
        elif token.refused_at is not None and not _granted(db, token):
            continue  # its challenge went with the refusal (docs/protocol.md, TOKEN): never granted any more
        elif token.lease_until > run.now():
            consumed, open_token = consumed + token.strokes, token
        elif not _never_granted(db, token):
            consumed, silent = consumed + token.strokes, token
    allowed = request.strokes + request.spares
    wasted = max(0, _consumed(db, tokens) - len(marked))
    return Left(
        plan=todo,
        strokes=0 if silent is not None else max(0, min(len(todo), allowed - consumed)),
        done=done,
        open_token=open_token,
        silent_token=silent,
        spares=max(0, request.spares - wasted),
    )


def note_event(db: Session, run: Runtime, event: Event, *, whole: bool) -> None:
    """Take in an admitted event of a device. Any order, any number of times: no outcome frees more than the device did.

    `whole`: nothing is missing before it. A refusal counts only then: the GRANT may be what is missing.
    """
    body, seq = event.body, event.header.seq
    token_id = getattr(body, "token_id", None)
    token = store.token(db, token_id, lock=True) if isinstance(token_id, bytes) else None
    if token is None or token.device_id != event.header.device_id:
        return
    match body:
        case events.Grant():
            token.granted_at = token.granted_at or run.now()
        case events.Refusal(message_type=refused) if whole and refused == _TOKEN and token.voucher_counter is None:
            token.refused_at = token.refused_at or run.now()
        case events.Intent(stroke=stroke):
            _say(db, run, token, stroke, StrokeState.INTENT, seq=seq)
        case events.Done(stroke=stroke):
            _say(db, run, token, stroke, StrokeState.DONE, seq=seq)
        case events.Cancelled(stroke=stroke, returned=returned):
            state = StrokeState.RETURNED if returned else StrokeState.CANCELLED
            _say(db, run, token, stroke, state, seq=seq)
        case events.Settled(stroke=stroke, outcome=outcome):
            _say(db, run, token, stroke, _SETTLED[outcome], seq=seq)
        case events.Label(copy=stroke):
            labels.note_seen(db, token_id=token.token_id, stroke=stroke, at=run.now())
        case events.Closed(strokes_used=used):
            token.closed_at, token.closed_used = token.closed_at or run.now(), used
        case _:
            return
    db.add(token)
    db.flush()
    _finish_if_complete(db, run, token)


def spoil(
    db: Session, run: Runtime, *, token_id: bytes, stroke: int, photos: tuple[bytes, bytes], leaf_hash: bytes
) -> None:
    """The sheet of this stroke was cancelled and photographed: its place is free, its use stays consumed.

    `photos`: digests of preview and photo; `leaf_hash`: the entry that withdrew its code. Raises: NoSuchToken.
    """
    token = store.token(db, token_id, lock=True)
    if token is None:
        raise NoSuchToken
    db.add(
        SpoiledSheet(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=token.tenant_id,
            branch_path=token.branch_path,
            request_id=token.request_id,
            device_id=token.device_id,
            token_id=token_id,
            stroke=stroke,
            preview_digest=photos[0],
            photo_digest=photos[1],
            leaf_hash=leaf_hash,
        )
    )
    row = store.use(db, token_id, stroke)
    if row is not None:
        row.state = StrokeState.SPOILED.value
        db.add(row)
    db.flush()
    approvals.reopen(db, run, tenant_id=token.tenant_id, request_id=token.request_id)


def spoiled(db: Session, token_id: bytes, stroke: int) -> bool:
    """Whether the sheet of this stroke was cancelled."""
    return store.spoiled(db, token_id, stroke) is not None


def forget_events(db: Session) -> None:
    """Before a rebuild of the projections."""
    store.forget_uses(db)


_SETTLED: Final[dict[Outcome, StrokeState]] = {
    Outcome.RECOVERED: StrokeState.DONE,
    Outcome.ABORTED: StrokeState.ABORTED,
    Outcome.UNKNOWN: StrokeState.UNKNOWN,
}


def _say(db: Session, run: Runtime, token: StampToken, stroke: int, state: StrokeState, *, seq: int) -> None:
    """The device's last word about a stroke counts, in its own order: a gap lets an earlier word come later.

    A token lives in one generation of its device, so the numbers of its events are one row.
    """
    row = store.use(db, token.token_id, stroke)
    if store.spoiled(db, token.token_id, stroke) is not None:
        state = StrokeState.SPOILED  # a person's decision: no report of the device takes it back
    if row is None:
        row = StrokeUse(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=token.tenant_id,
            token_id=token.token_id,
            stroke=stroke,
            state=state.value,
            seq=seq,
        )
    elif seq > row.seq:
        row.state, row.seq = state.value, seq
    db.add(row)


def _places(db: Session, tokens: Sequence[StampToken]) -> tuple[set[int], int]:
    """Indices whose place carries or may carry an imprint, and how many are surely done."""
    plans = {token.token_id: token.plan for token in tokens}
    marked: set[int] = set()
    done = 0
    for use in store.uses(db, list(plans)):
        if use.state in _MARKED and 1 <= use.stroke <= len(plans[use.token_id]):
            marked.add(plans[use.token_id][use.stroke - 1])
            done += use.state == StrokeState.DONE.value
    return marked, done


def _consumed(db: Session, tokens: Sequence[StampToken]) -> int:
    """Uses that devices consumed for sure, whether they left a mark that counts or not."""
    told = Counter(use.token_id for use in _consuming(db, tokens))
    return sum(told[token.token_id] if token.closed_used is None else token.closed_used for token in tokens)


def _consuming(db: Session, tokens: Sequence[StampToken]) -> list[StrokeUse]:
    """The reported uses that do not come back."""
    return [use for use in store.uses(db, [token.token_id for token in tokens]) if use.state in _CONSUMING]


def _granted(db: Session, token: StampToken) -> bool:
    """The device signed a GRANT. The log itself is asked: what stands there may not have been taken in yet."""
    if token.granted_at is not None:
        return True
    about = f"token:{token.token_id.hex()}"
    grants = ledger.find(db, Scope.system(token.tenant_id), ref=about, entry_type=events.EventType.GRANT)
    return any(grant.device_id == token.device_id for grant in grants)


def _never_granted(db: Session, token: StampToken) -> bool:
    """The device signed something later than the token's end, and no GRANT of it before."""
    device = devices.device(db, Scope.system(token.tenant_id), token.device_id)
    return device.proved_ms > _milliseconds(token.lease_until) and not _granted(db, token)


def _finish_if_complete(db: Session, run: Runtime, token: StampToken) -> None:
    scope = Scope.system(token.tenant_id)
    request = approvals.request(db, run, scope, token.request_id)
    _marked, done = _places(db, store.tokens_of_request(db, token.tenant_id, token.request_id))
    if done >= request.strokes:
        approvals.finish(db, run, tenant_id=token.tenant_id, request_id=token.request_id)


def states(db: Session, tenant_id: UUID, request_id: UUID) -> dict[int, StrokeState]:
    """Plan index to the last known state of its stroke."""
    tokens = store.tokens_of_request(db, tenant_id, request_id)
    plans = {token.token_id: token.plan for token in tokens}
    return {
        plans[use.token_id][use.stroke - 1]: StrokeState(use.state)
        for use in store.uses(db, list(plans))
        if 1 <= use.stroke <= len(plans[use.token_id])
    }


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
