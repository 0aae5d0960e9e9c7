"""The ledger's checkpoints on screen: who else saw them, and who stamped them."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.core.db import DbRead
from server.core.errors import NotFound
from server.core.i18n import N_
from server.identity.guard import Run
from server.ledger import service as ledger
from server.ledger import witnessing
from server.ledger.cosignature import BadCosignature
from server.ledger.schemas import CheckpointRead, Trouble

router = APIRouter(include_in_schema=False, prefix="/ledger/checkpoints")

SHOWN: Final = 20
TROUBLES: Final = {
    Trouble.AWAY: N_("does not answer"),
    Trouble.UNKNOWN: N_("does not know this ledger or its key"),
    Trouble.REFUSED: N_("refuses: it says that this ledger does not follow from what it saw"),
    Trouble.AHEAD: N_("says that it saw a longer ledger than this one"),
    Trouble.BROKEN: N_("gives an answer that cannot be used"),
}


class NoSuchCheckpoint(NotFound):
    happened = N_("There is no such checkpoint or time stamp.")


@router.get("")
def show_checkpoints(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    settings = run.settings
    try:
        witnesses = witnessing.witnesses_of(settings)
    except BadCosignature:  # the ledger role does not start with these, and says why
        witnesses = ()
    own = {witness.name for witness in witnesses if witness.own}
    theirs = {witness.name for witness in witnesses if not witness.own}
    recent = ledger.recent_checkpoints(db, limit=SHOWN)
    seen = len({name for name, _at in recent[0].cosigned_by} & theirs) if recent else 0
    return pages_of(request).page(
        request,
        "ledger_checkpoints.html",
        me=me,
        checkpoints=recent,
        witnesses=ledger.witness_states(db, witnesses),
        own=own,
        theirs=theirs,
        seen=seen,
        lacking=max(0, settings.witness_quorum - seen),
        troubles=TROUBLES,
        stamped=_stamped_by(recent),
    )


def _stamped_by(recent: Sequence[CheckpointRead]) -> str:
    """Whose time stamps are on these checkpoints: "", own, others."""
    own = {anchor.own for one in recent for anchor in one.anchors}
    return "" if not own else "own" if own == {True} else "others"


@router.get("/{size}.note")
def stamped_note(size: int, db: DbRead, _me: Me) -> Response:
    """The exact bytes that time stamps are over."""
    note = ledger.checkpoint_as_stamped(db, size)
    if note is None:
        raise NoSuchCheckpoint
    return _download(note.encode(), "text/plain; charset=utf-8", f"{size}.note")


@router.get("/{size}/{authority}.tsr")
def time_stamp(size: int, authority: str, db: DbRead, _me: Me) -> Response:
    """One time stamp, for `openssl ts -verify -data SIZE.note -in NAME.tsr`."""
    for anchor in ledger.anchors(db, size):
        if anchor.authority == authority:
            return _download(anchor.answer, "application/timestamp-reply", f"{size}-{authority}.tsr")
    raise NoSuchCheckpoint


def _download(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
