from typing import Self

from server.core.errors import BadInput, Conflict, Forbidden, NotFound, ServerError
from server.core.i18n import N_
from server.eseals.unreadable import UnreadableDocument


class NoSuchRequest(NotFound):
    pass


class NoSuchDocument(NotFound):
    pass


class NoSuchPage(NotFound):
    pass


class NoSuchScan(NotFound):
    pass


class DocumentRefused(ServerError):
    """A file that may not be approved or sealed; status, code and words are those of `server.eseals.unreadable`."""

    status = 415
    title = N_("This file cannot be used")

    @classmethod
    def because(cls, error: UnreadableDocument) -> Self:
        kind = type(
            type(error).__name__,
            (cls,),
            {
                "status": error.status,
                "code": error.code,
                "happened": error.happened,
                "safe": error.safe,
                "next_step": error.next_step,
            },
        )
        refused: Self = kind(**error.facts)
        return refused


class SelfApproval(Forbidden):
    """Requester and approver are the same person."""

    title = N_("You can't approve your own request")
    happened = N_("You asked for this imprint, so another person must decide.")
    safe = N_("The request is unchanged and still waits for a decision.")
    next_step = N_("Ask one of the approvers named on the request.")


class KeeperApproval(Forbidden):
    title = N_("The keeper can't approve")
    happened = N_("You are the keeper of this request; who stamps must not decide.")
    safe = N_("The request is unchanged and still waits for a decision.")
    next_step = N_("Ask one of the approvers named on the request.")


class DecidedAlready(Conflict):
    title = N_("You have decided already")
    happened = N_("Your decision on this request is on record.")
    next_step = N_("Wait for the others.")


class NotYourStage(Forbidden):
    title = N_("It is not your turn")
    happened = N_("This stage is decided by other people.")
    safe = N_("The request is unchanged.")
    next_step = N_("Wait until your stage is open, or ask an administrator about the seal's rule.")


class NothingToDecide(Conflict):
    title = N_("Nothing to decide any more")
    happened = N_("This request was decided, taken back or changed meanwhile.")
    next_step = N_("Look at its current state.")


class RequestChanged(Conflict):
    title = N_("The request was changed")
    happened = N_("The request is no longer what you had on your screen.")
    safe = N_("Nothing was decided.")
    next_step = N_("Read the new version and decide again.")


class WrongState(Conflict):
    """Facts `state`, `step`."""

    happened = N_("This step is not possible in the request's current state.")
    safe = N_("The request is unchanged.")


class RequestOver(Conflict):
    title = N_("The time is over")
    happened = N_("The request was only valid until %(until)s.")
    safe = N_("Nothing more can be stamped with it.")
    next_step = N_("Make a new request.")


class NotYours(Forbidden):
    happened = N_("Only the person who asked may change this request or take it back.")
    safe = N_("The request is unchanged.")
    next_step = N_("Ask the requester.")


class BadPlace(BadInput):
    """Facts `page`, `pages`."""

    title = N_("The place is not on the document")
    happened = N_("An imprint is asked for outside the document's pages (page %(page)s of %(pages)s).")
    safe = N_("Nothing was saved.")
    next_step = N_("Mark the place on one of the pages.")


class BadRange(BadInput):
    """Fact `pages`."""

    title = N_("The pages do not fit")
    happened = N_(
        "A seal across the edges needs a first and a later last page of the document (%(pages)s pages), "
        "and its places on the first one."
    )
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Choose the pages again; the first one is the cover that is compared.")


class MustBeLeafedThrough(Forbidden):
    title = N_("Every page is leafed through first")
    happened = N_("This seal stamps only what was leafed through under the camera; this way of stamping cannot be.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Ask for page by page, or have an administrator change the rule of the seal.")


class OfflineNotAllowed(Forbidden):
    """Facts `asked`, `limit`."""

    title = N_("Not without headquarters")
    happened = N_(
        "This seal allows at most %(limit)s imprints while headquarters cannot be reached; %(asked)s are asked for."
    )
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Ask for page by page, or have an administrator change the rule of the seal.")


class TooManyStrokes(BadInput):
    """Facts `asked`, `limit`."""

    happened = N_("This asks for %(asked)s imprints; one request may have %(limit)s.")
    safe = N_("Nothing was saved.")
    next_step = N_("Split it into several requests.")


class BadWindow(BadInput):
    happened = N_("The request would end before it begins, or has ended already, or lasts longer than 90 days.")
    safe = N_("Nothing was saved.")
    next_step = N_("Choose other dates.")


class KeeperNotAllowed(BadInput):
    """Fact `why`: a policy.Refusal, or `no_keeper`."""

    title = N_("This person can't be the keeper")
    happened = N_("The person chosen is no keeper here, or is the requester and the seal's rule forbids that.")
    safe = N_("Nothing was saved.")
    next_step = N_("Choose another keeper, or leave it open.")
