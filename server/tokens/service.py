"""What other slices call: jobs and tokens, permits, what is left, what devices may still do."""

from server.tokens.issuing import issue, leases, token, tokens_of
from server.tokens.offering import jobs
from server.tokens.permits import ask as ask_permit
from server.tokens.permits import warm_pages
from server.tokens.uses import Left, forget_events, left, note_event, states

__all__ = [
    "Left",
    "ask_permit",
    "forget_events",
    "issue",
    "jobs",
    "leases",
    "left",
    "note_event",
    "states",
    "token",
    "tokens_of",
    "warm_pages",
]
