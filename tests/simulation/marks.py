"""Rare windows that a campaign must have been in; each mark counts how often."""

from collections import Counter
from typing import Final

RARE: Final = (
    "cut_between_intent_and_press",
    "cut_between_press_and_done",
    "intent_torn",
    "done_torn",
    "cut_while_booting",
    "rename_lost",
    "pressed_in_the_dark",
    "press_recovered_at_boot",
    "press_unknown_at_boot",
    "extra_stroke",
    "press_meets_relock",
    "write_failed_in_a_stroke",
    "journal_full_refused",
    "duplicate_after_lost_ack",
    "receipt_for_an_old_boot",
    "gap_opened",
    "gap_closed_late",
    "server_died_before_commit",
    "server_died_after_commit",
    "broker_forgot",
    "gateway_died_with_an_open_grant",
    "outbox_erased",
    "page_swapped_after_photo",
    "page_moved_while_unlocked",
    "head_swapped_with_an_open_grant",
    "head_swapped_in_a_fault",
    "revoked_with_an_open_grant",
    "imprint_within_the_lease_after_revocation",
    "suspended_with_an_open_grant",
    "token_behind_its_policy_refused",
    "tamper_cleared_by_two",
    "old_policy_refused",
    "token_replayed_to_its_device",
    "token_on_another_device_refused",
    "permit_for_an_old_photo_refused",
    "receipt_of_another_chain_refused",
    "forged_order_refused",
    "forged_event_set_aside",
    "old_time_refused",
    "foreign_photo_refused",
    "voucher_used",
    "voucher_while_cut_off",
    "voucher_twice_refused",
    "voucher_late_refused",
    "voucher_without_time_refused",
    "cut_in_a_voucher",
    "hand_over_in_a_grant",
    "cut_with_somebody_signed_in",
    "sign_in_refused",
    "pins_guessed",
    "foreign_operator_refused",
    "signed_out_by_roster",
)
"""Each must be hit at least 50 times in a campaign of 10,000 schedules."""

ALSO: Final = ("use_came_back", "photo_gone")


class Marks:
    """Counts of one schedule, or of many."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, name: str) -> None:
        if name not in _KNOWN:
            raise KeyError(name)
        self.counts[name] += 1


_KNOWN: Final = frozenset((*RARE, *ALSO))
