"""What keepers wrote at a device, in words: a chosen reason is a code, the rest is their own."""

from typing import Final

from server.core.i18n import N_, _
from server.tokens.schemas import NoteKind, NoteRead

_KINDS: Final = {
    NoteKind.STOPPED: N_("Stopped the job"),
    NoteKind.EXTRA_STROKE: N_("On the imprint that was not approved"),
    NoteKind.KEPT_FAINT: N_("Kept a poor imprint"),
    NoteKind.LEFT_OVER: N_("Left to be dealt with"),
    NoteKind.SETTLED: N_("Dealt with"),
}
_CODES: Final = {
    "wrong_paper": N_("wrong paper"),
    "device_trouble": N_("trouble with the device"),
    "interrupted": N_("called away"),
    "handover": N_("a colleague goes on"),
    "doubt": N_("something about the job is odd"),
    "label_missing": N_("stamped, label missing"),
    "look_at_imprint": N_("the photo shows a poor imprint"),
    "faint": N_("faint"),
    "cut_off": N_("cut off"),
    "missing": N_("no imprint found"),
}
_OWN_WORDS: Final = frozenset({NoteKind.EXTRA_STROKE})


def note_text(note: NoteRead) -> tuple[str, str]:
    """What it is about, and what was written."""
    code, colon, words = note.text.partition(": ")
    if note.kind in _OWN_WORDS or code not in _CODES:
        return _(_KINDS[note.kind]), note.text
    return _(_KINDS[note.kind]), _(_CODES[code]) + colon + words
