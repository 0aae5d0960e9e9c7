"""What other slices call: jobs and tokens, permits, what is left, what devices may still do."""

from server.tokens.cases import answer as answer_case
from server.tokens.cases import case, case_of_gateway, cases_of, may_answer
from server.tokens.cases import waiting as waiting_cases
from server.tokens.issuing import issue, leases, token, tokens_of
from server.tokens.labels import labels_of, note_label
from server.tokens.notes import notes_of_device, notes_of_request, take_note
from server.tokens.offering import jobs
from server.tokens.permits import ask as ask_permit
from server.tokens.permits import warm_pages
from server.tokens.seeing import signed_event, strip_data
from server.tokens.sweeping import take_page as sweep_page
from server.tokens.sweeping import warm_next
from server.tokens.uses import Left, forget_events, left, note_event, spoil, spoiled, states
from server.tokens.vouchers import issue_voucher

__all__ = [
    "Left",
    "answer_case",
    "ask_permit",
    "case",
    "case_of_gateway",
    "cases_of",
    "forget_events",
    "issue",
    "issue_voucher",
    "jobs",
    "labels_of",
    "leases",
    "left",
    "may_answer",
    "note_event",
    "note_label",
    "notes_of_device",
    "notes_of_request",
    "signed_event",
    "spoil",
    "spoiled",
    "states",
    "strip_data",
    "sweep_page",
    "take_note",
    "token",
    "tokens_of",
    "waiting_cases",
    "warm_next",
    "warm_pages",
]
