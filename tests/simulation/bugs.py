"""Planted bugs: one rule of the real code (or of the models beside it) made wrong, in this process and for a while.

Each stands for a mistake that a maker could really make. A simulator that does not find one of them proves nothing.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from device_sim.core import checks, folding, rights, settle, stamping, standing
from device_sim.core.checks import No
from device_sim.core.housing import Housing
from device_sim.core.journal import Journal
from device_sim.core.machine import Device
from device_sim.core.memory import EMPTY, snapshot_record
from device_sim.core.operators import Operators
from device_sim.core.requests import Requests
from device_sim.core.stamping import Stamping
from firmware_protocol import cbor, cose, events
from firmware_protocol.events import Cause, Outcome
from firmware_protocol.labelled import from_map
from firmware_protocol.operators import Entry
from firmware_protocol.orders import Receipt
from firmware_protocol.reasons import Reason
from gateway.outbox import KeptEvent
from server.ledger import admission, receipts
from server.ledger.admission import Accepted, Chain, Duplicate, Incoming, SetAside
from server.ledger.log_store import ReceiptFacts
from tests.simulation import headquarters, ledger
from tests.simulation.carrying import Carrying
from tests.simulation.headquarters import Headquarters, TokenRow
from tests.simulation.ledger import Ledger
from tests.simulation.office import Gateway
from tests.simulation.stand import make_models
from tests.simulation.timeline import Talk

Patch = tuple[Any, str, Any]
_UNLOCK: Final = Stamping.unlock
_APPEND: Final = Journal.append
_JOURNAL: Final = Journal.__init__
_BEGIN: Final = Housing.begin
_TOKEN: Final = rights.check_token
_PERMIT: Final = rights.check_permit
_ADMIT: Final = admission.admit
_ASIDE: Final = Ledger._put_aside
_RELAY: Final = Carrying._relay


def _deaf(*reasons: Reason) -> Callable[..., No | None]:
    """checks.first_no that does not hear some of its rules."""
    real = checks.first_no

    def first(*rules: tuple[bool, Reason, str]) -> No | None:
        return real(*(rule for rule in rules if rule[1] not in reasons))

    return first


# --- device


def _unlock_first(self: Stamping, permit: Any, *, signed: bytes) -> None:
    self._parts.latch.release()
    _UNLOCK(self, permit, signed=signed)


def _append_unsynced(self: Journal, added: Any) -> None:
    disk: Any = self._disk
    with patch.object(disk, "sync", lambda _name: None):
        _APPEND(self, added)


def _settle_nothing(memory: Any, *, counter: int, key: Any) -> list[Any]:
    return settle.unexplained(counter - memory.counted, counter=counter, token_id=None)


def _seq_from_one(self: Journal, disk: Any, **how: Any) -> None:
    _JOURNAL(self, disk, **how)
    if self.memory.seq:
        self.memory = dataclasses.replace(self.memory, seq=0, chain_hash=events.FIRST_PREVIOUS, past=())


def _floor_from_zero(self: Journal, disk: Any, **how: Any) -> None:
    _JOURNAL(self, disk, **how)
    self.memory = dataclasses.replace(self.memory, floor_ms=0)


def _untampered(self: Journal, disk: Any, **how: Any) -> None:
    _JOURNAL(self, disk, **how)
    self.memory = dataclasses.replace(self.memory, tampered=False)


def _ring(self: Journal, added: Any) -> None:
    """The oldest records make room for the newest."""
    _APPEND(self, added)
    if self._capacity - self._size < 9_000:
        half = len(self._records) // 2
        base = EMPTY
        for record in self._records[:half]:
            base = folding.remember(base, record)
        self._rewrite([snapshot_record(base), *self._records[half:]])


def _numb(self: Housing, **parts: Any) -> None:
    """What was felt before a restart is forgotten with it."""
    self._heads.clear()
    self._alarms.clear()
    _BEGIN(self, **parts)


def _any_device(token: Any, *, device_id: str, **rest: Any) -> No | None:
    return _TOKEN(token, device_id=token.device_id, **rest)


def _any_photo(data: bytes, **rest: Any) -> Any:
    with patch.object(rights, "first_no", _deaf(Reason.WRONG_NONCE, Reason.WRONG_PHOTO)):
        return _PERMIT(data, **rest)


def _immortal_challenge() -> Patch:
    """A challenge that is never used up: forgetting it is forgotten."""

    def get(self: Any) -> Any:
        return self.__dict__.get("kept_challenge")

    def put(self: Any, value: Any) -> None:
        if value is not None:
            self.__dict__["kept_challenge"] = value

    return Requests, "_challenge", property(get, put)


def _cancel_blindly(self: Stamping, cause: Cause) -> None:
    with patch.object(Stamping, "_moved", lambda _self: False):
        _CANCEL(self, cause)


_CANCEL: Final = Stamping.cancel


def _still_signed_in(memory: Any, event: Any) -> Any:
    """A start signs nobody out."""
    return {} if isinstance(event.body, events.Boot) else _DUTY(memory, event)


_DUTY: Final = folding._after_duty


def _hand_over_in_a_grant(self: Operators) -> None:
    """Whoever comes goes on with the grant of whoever goes."""
    with patch.object(Stamping, "close", lambda *_: None):
        _SIGN_OUT(self)


_SIGN_OUT: Final = Operators._sign_out


def _without_sign_out(self: Operators, data: bytes) -> Any:
    with patch.object(Operators, "_sign_out", lambda _self: None):
        return _ROSTER(self, data)


_ROSTER: Final = Operators.take_roster


def _vouchers_from_one(self: Journal, disk: Any, **how: Any) -> None:
    _JOURNAL(self, disk, **how)
    self.memory = dataclasses.replace(self.memory, voucher_counter=None, spent=())


def _voucher_for_ever(token: Any, memory: Any, moment: Any) -> No | None:
    return None if token.seal.voucher_counter is not None else _TIME(token, memory, moment)


_TIME: Final = rights._check_time

# --- gateway, ledger, headquarters


def _delete_on_puback(self: Gateway, kept: KeptEvent) -> None:
    self.outbox.settle(kept.device_id, kept.generation, kept.seq)


def _settle_first(self: Carrying, kind: str, payload: bytes) -> Talk[None]:
    if kind == "receipt":
        self.settle(_claimed(payload))
    yield from _RELAY(self, kind, payload)


def _claimed(payload: bytes) -> Receipt:
    return from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload))


def _ack_early(self: Ledger, arrivals: list[bytes]) -> None:
    for payload in arrivals:
        found = self._checked(payload)
        if isinstance(found, Incoming):
            for receipt in receipts.receipts_for(found.chain_key, ReceiptFacts("gw", found.seq, found.leaf, [])):
                self._truth.receipt_signed(receipt)
    _COMMIT(self, arrivals)


_COMMIT: Final = Ledger.commit


def _twice(chain: Chain, incoming: Incoming, *, now: Any) -> Any:
    verdict = _ADMIT(chain, incoming, now=now)
    return Accepted(incoming) if isinstance(verdict, Duplicate) else verdict


def _aside_counts(self: Ledger, payload: bytes, why: SetAside) -> None:
    _ASIDE(self, payload, why)
    if why.incoming is not None:
        self.tables.leaves.setdefault(why.incoming.chain_key, {}).setdefault(why.incoming.seq, why.incoming)


def _highest(self: Ledger, key: ledger.ChainKey) -> int:
    return max(self.tables.leaves.get(key, {0: None}))


def _only_closed(_self: Headquarters, row: TokenRow) -> int:
    return row.closed_used or 0


class _AnyPaper:
    """Equal to every page."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def _silent() -> tuple[Patch, ...]:
    return tuple((owner, "unexplained", lambda *_, **__: []) for owner in (settle, stamping))


def _always() -> property:
    return property(lambda _: True)


@dataclasses.dataclass(frozen=True, slots=True)
class Bug:
    """`near`: a schedule a little before the first that finds it, for the quick form."""

    name: str
    patches: tuple[Patch, ...]
    near: int = 1


def _make() -> tuple[Bug, ...]:
    nothing = lambda *_args, **_kwargs: None  # noqa: E731 - a function that does nothing, nine times
    return (
        Bug("count_after", ((Stamping, "unlock", _unlock_first),)),
        Bug("intent_not_synced", ((Journal, "append", _append_unsynced),)),
        Bug("no_recover", ((settle, "after_boot", _settle_nothing),)),
        Bug("always_aborted", ((settle, "_outcome", lambda _moved: Outcome.ABORTED),)),
        Bug("extra_stroke_silent", _silent(), near=2),
        Bug("cancel_forgets_press", ((Stamping, "cancel", _cancel_blindly),), near=5),
        Bug("seq_restarts", ((Journal, "__init__", _seq_from_one),)),
        Bug("floor_not_kept", ((Journal, "__init__", _floor_from_zero),)),
        Bug("tamper_forgotten", ((Journal, "__init__", _untampered),), near=113),
        Bug("full_journal_overwrites", ((Journal, "append", _ring), (Journal, "has_room", _always())), near=2),
        Bug("no_aud", ((rights, "check_token", _any_device),), near=140),
        Bug("no_nonce", ((rights, "_check_lease", nothing),), near=28),
        Bug("no_epoch", ((rights, "first_no", _deaf(Reason.OLD_EPOCH)), _immortal_challenge()), near=7),
        Bug("spent_forgotten", ((rights, "first_no", _deaf(Reason.REPLAYED)), _immortal_challenge()), near=3),
        Bug("permit_any_photo", ((rights, "check_permit", _any_photo),), near=4),
        Bug("page_may_move", ((Stamping, "tray_changed", nothing),), near=3),
        Bug("receipt_any_chain", ((checks, "first_no", _deaf(Reason.WRONG_DEVICE, Reason.WRONG_CHAIN)),), near=34),
        Bug("no_resync", ((checks, "first_no", _deaf(Reason.WRONG_NONCE, Reason.CLOCK_DOUBT)),), near=4),
        Bug("policy_replay", ((standing, "first_no", _deaf(Reason.OLD_EPOCH)),), near=20),
        Bug("no_sig", ((cose, "check_signature", nothing),), near=45),
        Bug("head_ignored", ((Device, "head_seen", nothing),), near=3),
        Bug("felt_in_a_fault_lost", ((Housing, "begin", _numb),), near=21),
        Bug("window_forgotten", ((Stamping, "tick", nothing),), near=30),
        Bug("delete_on_puback", ((Gateway, "acknowledged", _delete_on_puback),)),
        Bug("receipt_unaccepted", ((Carrying, "_relay", _settle_first),), near=79),
        Bug("ack_early", ((Ledger, "commit", _ack_early),)),
        Bug("no_dedupe", ((admission, "admit", _twice),)),
        Bug("receipt_over_gap", ((Chain, "prefix_seq", property(lambda chain: chain.last_seq)),), near=2),
        Bug("quarantine_in_receipt", ((Ledger, "_put_aside", _aside_counts), (Ledger, "covered", _highest)), near=2),
        Bug("no_sig_in_ledger", ((admission, "check_signature", nothing),), near=16),
        Bug("reissue", ((Headquarters, "_open", lambda *_: False), (Headquarters, "_consumed", _only_closed)), near=2),
        Bug("photo_unchecked", ((Headquarters, "photo_fits", lambda *_: True),), near=37),
        Bug("photos_not_asked_for", ((Headquarters, "photos_wanted", lambda *_: []),), near=16),
        Bug("operator_ignored", ((rights, "first_no", _deaf(Reason.OPERATOR_NEEDED)),), near=79),
        Bug("any_pin", ((Entry, "fits", lambda *_: True),)),
        Bug("hand_over_in_a_grant", ((Operators, "_sign_out", _hand_over_in_a_grant),), near=4),
        Bug("still_signed_in", ((folding, "_after_duty", _still_signed_in),)),
        Bug("struck_off_but_there", ((Operators, "take_roster", _without_sign_out),), near=50),
        Bug("voucher_twice", ((rights, "first_no", _deaf(Reason.VOUCHER_SPENT, Reason.REPLAYED)),), near=23),
        Bug("vouchers_forgotten", ((Journal, "__init__", _vouchers_from_one),), near=33),
        Bug("voucher_for_ever", ((rights, "_check_time", _voucher_for_ever),), near=59),
        Bug("voucher_without_time", ((rights, "first_no", _deaf(Reason.CLOCK_DOUBT)),), near=4),
        Bug("permit_any_page", ((headquarters, "paper_in", lambda _: _AnyPaper()),)),
    )  # fmt: skip


BUGS: Final = _make()


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """While this is open; the real code is back afterwards. The devices were made before, by the real code."""
    make_models()
    with ExitStack() as stack:
        for owner, name, wrong in bug.patches:
            stack.enter_context(patch.object(owner, name, wrong, create=not hasattr(owner, name)))
        yield
