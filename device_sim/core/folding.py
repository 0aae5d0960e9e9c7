"""How each record of the journal changes what the device remembers. Same records, same memory."""

import dataclasses
import hashlib
from typing import Any, Final, TypeAlias, TypeVar

from device_sim.core.memory import (
    COUNTER_SENSOR,
    EMPTY,
    NO_HEAD,
    PAST_CODES,
    PAST_HASHES,
    SIGN_COUNTS,
    SPENT_TOKENS,
    Memory,
    OpenIntent,
    OpenService,
    PastCode,
    SignCount,
)
from device_sim.core.records import Kind, Record
from firmware_protocol import cbor, cose, events, tokens
from firmware_protocol.events import Event, Outcome, ServiceStage
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import ORDER_PURPOSES, Policy, Receipt, Roster, ServiceKind, Terms
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode

Changes: TypeAlias = dict[str, Any]
"""Fields of Memory that an event changes: all are put in at once, a copy of Memory being what costs."""

_IDLE: Final = Changes(strokes_used=0, page=None, captures=None, swept=None, sweep_done=None)
"""No grant and no sample: nothing of it counts for the next."""


def remember(memory: Memory, record: Record) -> Memory:
    """The memory after one more record."""
    match record.kind:
        case Kind.SNAPSHOT:
            return from_map(Memory, cbor.decode_map(record.body))
        case Kind.EVENT:
            signed, attachment = cbor.decode(record.body)
            return _after_event(memory, signed, attachment)
        case Kind.RECEIPT:
            return _after_receipt(memory, from_map(Receipt, cbor.decode_map(cose.parse1(record.body).payload)))
        case Kind.ROSTER:
            return _after_roster(memory, from_map(Roster, cbor.decode_map(cose.parse1(record.body).payload)))


def _after_receipt(memory: Memory, receipt: Receipt) -> Memory:
    after = dataclasses.replace(
        memory,
        acked_seq=max(memory.acked_seq, receipt.up_to_seq),
        photos=tuple(digest for digest in memory.photos if digest not in receipt.photo_digests),
    )
    released = after.released_seq is not None and after.acked_seq >= after.released_seq
    return _next_generation(after) if released else after


def _next_generation(memory: Memory) -> Memory:
    """The old owner's ledger holds everything. What is left is the machine: counter, boots, heads, latched tamper."""
    return dataclasses.replace(
        EMPTY,
        generation=memory.generation + 1,
        boot=memory.boot,
        counted=memory.counted,
        heads=memory.heads,
        tampered=memory.tampered,
        floor_ms=memory.floor_ms,
    )


def _after_roster(memory: Memory, roster: Roster) -> Memory:
    """The first part of a higher number removes every entry of the number before."""
    newer = roster.number != memory.roster_number
    parts = () if newer else memory.roster_parts or ()
    entries = () if newer else memory.roster or ()
    passkeys = (*(() if newer else memory.passkeys or ()), *(roster.passkeys or ()))
    return dataclasses.replace(
        memory,
        roster_number=roster.number,
        roster_parts=(*parts, roster.part),
        roster=(*entries, *roster.entries),
        passkeys=passkeys or None,
    )


def _after_event(memory: Memory, signed: bytes, attachment: bytes | None) -> Memory:
    event = events.peek(signed)
    chain_hash = hashlib.sha256(signed).digest()
    if memory.boot == 0:  # the first event of its life
        memory = dataclasses.replace(memory, counted=event.header.counter)
    chained: Changes = {
        "generation": event.header.generation,
        "boot": event.header.boot,
        "seq": event.header.seq,
        "chain_hash": chain_hash,
        "past": (*memory.past, chain_hash[:8])[-PAST_HASHES:],
    }
    means = _after_stroke(memory, event) or _after_orders(memory, event, attachment) or _after_duty(memory, event)
    return dataclasses.replace(memory, **chained, **means)


def _after_stroke(memory: Memory, event: Event) -> Changes:  # noqa: PLR0911 - one case, one return
    """Events that move the count."""
    counter = event.header.counter
    match event.body:
        case events.Intent(stroke=stroke, page=page):
            intent = OpenIntent(stroke=stroke, counter=counter)
            return Changes(intent=intent, page=page if memory.page is None else memory.page)
        case events.Done(preview_digest=preview, photo_digest=photo, trace_code=code) as done:
            used = _used(memory, counted=memory.counted + 1) | _with_code(memory, done.token_id, done.stroke, code)
            return used | Changes(photos=_with(memory.photos, preview, photo))
        case events.Settled(outcome=Outcome.RECOVERED) as settled:
            used = _used(memory, counted=memory.counted + 1)
            return used | _with_code(memory, settled.token_id, settled.stroke, settled.trace_code)
        case events.Settled(outcome=Outcome.UNKNOWN) | events.Cancelled(returned=False):
            return _used(memory, counted=counter)
        case events.Settled(outcome=Outcome.ABORTED) | events.Cancelled(returned=True):
            return Changes(intent=None)
        case events.ExtraStroke(strokes=strokes):
            return Changes(counted=memory.counted + strokes)
        case events.Sensor(sensor=sensor) if sensor == COUNTER_SENSOR:
            return Changes(counted=counter)
        case _:
            return _after_photo(memory, event)


def _after_photo(memory: Memory, event: Event) -> Changes:
    """Events that only name a photo."""
    match event.body:
        case events.PageSeen() as seen:
            return _seen(memory, seen)
        case events.Spoiled(preview_digest=preview, photo_digest=photo):
            return Changes(photos=_with(memory.photos, preview, photo))
        case events.Label(preview_digest=preview, photo_digest=photo):
            known = (photo,) if preview is None else (preview, photo)
            return Changes(photos=_with(memory.photos, *known))
        case _:
            return {}


def _after_orders(memory: Memory, event: Event, attachment: bytes | None) -> Changes:  # noqa: PLR0911 - as above
    """Events that change what the device may do."""
    match event.body:
        case events.Grant(token_id=token_id) if attachment is not None:
            return _granted(memory, token_id, attachment)
        case events.Closed():
            return _IDLE | Changes(token=None)
        case events.Paired() if attachment is not None:
            terms = from_map(Terms, cbor.decode_map(attachment))
            return Changes(terms=terms, issuers=terms.issuer_keys)
        case events.PolicySet() if attachment is not None:
            return _ordered(memory, attachment)
        case events.TimeSet(unix_ms=unix_ms):
            return Changes(floor_ms=max(memory.floor_ms, unix_ms))
        case events.HeadChanged(slot=slot, new_head=head):
            heads = tuple(head or NO_HEAD if at == slot else old for at, old in enumerate(memory.heads))
            return Changes(heads=heads)
        case events.Tamper():
            return Changes(tampered=True)
        case _:
            return {}


def _after_duty(memory: Memory, event: Event) -> Changes:  # noqa: PLR0911 - as above
    """Events about the people at the device, and about services."""
    match event.body:
        case events.Boot():
            return Changes(operator=None, operator_method=None)
        case events.Operator(present=True) as here:
            return _signed_in(memory, here)
        case events.Operator(present=False):
            return Changes(operator=None, operator_method=None)
        case events.Refusal(reason=Reason.WRONG_OPERATOR):
            return Changes(wrong_tries=(memory.wrong_tries or 0) + 1)
        case events.PagesSwept(seen=seen, expected=expected):
            return Changes(sweep_done=seen >= expected)
        case events.Service(kind=ServiceKind.CLEAR_TAMPER):
            return Changes(tampered=False)
        case events.Service(stage=ServiceStage.BEGUN):
            return {}  # POLICY_SET before it carries the order
        case events.Service():
            return _IDLE | Changes(service=None)
        case events.Reset():
            people = Changes(operator=None, operator_method=None, roster=None, passkeys=None)
            return people | Changes(terms=None, service=None, released_seq=event.header.seq)
        case _:
            return {}


def _signed_in(memory: Memory, here: events.Operator) -> Changes:
    counts = memory.sign_counts or ()
    if here.credential is not None and here.sign_count:
        others = tuple(seen for seen in counts if seen.credential != here.credential)
        counts = (*others, SignCount(credential=here.credential, count=here.sign_count))[-SIGN_COUNTS:]
    return Changes(
        operator=here.operator,
        operator_method=here.method,
        wrong_tries=None,
        sign_counts=counts or None,
    )


def _seen(memory: Memory, seen: events.PageSeen) -> Changes:
    """A sweep's photo of the same page again takes the place of the one before."""
    after = Changes(photos=_with(memory.photos, seen.preview_digest, seen.photo_digest))
    token = memory.open_token()
    if token is None or token.token_id != seen.token_id:
        return after
    if seen.stroke == 0 and seen.page is not None:
        return after | Changes(swept=(*(memory.swept or ())[: seen.page - 1], seen.photo_digest))
    if Mode.STRADDLE in token.seal.mode:
        return after | Changes(captures=(*(memory.captures or ()), seen.photo_digest))
    return after


def _granted(memory: Memory, token_id: bytes, signed_token: bytes) -> Changes:
    token = tokens.read(cose.parse1(signed_token).payload)
    return _IDLE | Changes(
        token=signed_token,
        voucher_counter=memory.voucher_counter if token.seal.voucher_counter is None else token.seal.voucher_counter,
        spent=(*memory.spent, token_id)[-SPENT_TOKENS:],
        epoch=max(memory.epoch, token.seal.epoch),
        floor_ms=max(memory.floor_ms, token.issued_at * 1000),
    )


def _ordered(memory: Memory, signed_policy: bytes) -> Changes:
    """Whether its key was allowed to say this was checked before it was written (checks.check_policy)."""
    parts = cose.parse1(signed_policy)
    policy = from_map(Policy, cbor.decode_map(parts.payload))
    by_recovery = parts.key_id in memory.recovery_keys
    floor = memory.floor_ms if policy.time_floor_ms is None else policy.time_floor_ms
    issuers = memory.issuers
    if policy.next_issuer_keys is not None:
        issuers = (*issuers[-len(ORDER_PURPOSES) :], *policy.next_issuer_keys)
    return Changes(
        epoch=max(memory.epoch, policy.epoch),
        policy_epoch=policy.epoch,
        policy_digest=hashlib.sha256(signed_policy).digest(),
        suspended=policy.suspended,
        floor_ms=floor if by_recovery else max(memory.floor_ms, floor),
        issuers=issuers,
        offline_strokes=_newer(memory.offline_strokes, policy.max_offline_strokes),
        sweep_required=_newer(memory.sweep_required, policy.sweep_required),
        service=_service(memory, policy, hashlib.sha256(signed_policy).digest()),
    )


Order = TypeVar("Order")


def _newer(known: Order | None, ordered: Order | None) -> Order | None:
    """What an order does not say stays as it is."""
    return known if ordered is None else ordered


def _service(memory: Memory, policy: Policy, order_digest: bytes) -> OpenService | None:
    """A service with an open end; the others are done in the same write."""
    if policy.service not in (ServiceKind.CHANGE_HEAD, ServiceKind.REFILL_INK) or policy.slot is None:
        return memory.service
    before = memory.heads[policy.slot]
    return OpenService(
        order_digest=order_digest,
        kind=policy.service,
        slot=policy.slot,
        head=policy.head_id or before,
        head_before=before,
    )


def _used(memory: Memory, *, counted: int) -> Changes:
    return Changes(intent=None, counted=counted, strokes_used=memory.strokes_used + 1)


def _with(photos: tuple[bytes, ...], *digests: bytes) -> tuple[bytes, ...]:
    return (*photos, *(digest for digest in digests if digest not in photos))


def _with_code(memory: Memory, token_id: bytes, stroke: int, code: bytes | None) -> Changes:
    if code is None:
        return {}
    past = PastCode(token_id=token_id, stroke=stroke, code=code)
    return Changes(codes=(*(memory.codes or ()), past)[-PAST_CODES:])
