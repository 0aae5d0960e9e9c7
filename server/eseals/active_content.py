"""What in a PDF acts by itself or can change what a reader sees: found for the warnings, removed by normalising."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import pikepdf


class ActiveContent(StrEnum):
    """Kinds of active content; the value is the warning code of `DocumentInfo`."""

    ACTION = "action"
    """An action other than following a link: submit a form, play, hide, go to another file."""
    ATTACHMENT = "attachments"
    COMMENT = "comments"
    """Comments without a drawn form of their own, which every reader shows differently; drawn ones become page."""
    FORM = "form_fields"
    JAVASCRIPT = "javascript"
    LAUNCH = "launch"
    LAYERS = "layers"
    """Optional content: parts that a reader can switch on and off."""
    MEDIA = "media"
    OPEN_ACTION = "open_action"
    XFA = "xfa"


HARMLESS_ACTIONS: Final = {"/GoTo", "/URI"}
FORBIDDEN_ACTIONS: Final = {
    "/JavaScript": ActiveContent.JAVASCRIPT,
    "/Launch": ActiveContent.LAUNCH,
    "/Rendition": ActiveContent.MEDIA,
    "/Sound": ActiveContent.MEDIA,
    "/Movie": ActiveContent.MEDIA,
    "/GoTo3DView": ActiveContent.MEDIA,
    "/RichMediaExecute": ActiveContent.MEDIA,
    "/GoToR": ActiveContent.ACTION,
    "/GoToE": ActiveContent.ACTION,
    "/GoToDp": ActiveContent.ACTION,
    "/Thread": ActiveContent.ACTION,
    "/Hide": ActiveContent.ACTION,
    "/Named": ActiveContent.ACTION,
    "/SubmitForm": ActiveContent.ACTION,
    "/ResetForm": ActiveContent.ACTION,
    "/ImportData": ActiveContent.ACTION,
    "/SetOCGState": ActiveContent.ACTION,
    "/Trans": ActiveContent.ACTION,
}
"""ISO 32000-2 table 201: every action type but the two harmless ones."""

FORBIDDEN_ANNOTATIONS: Final = {
    "/FileAttachment": ActiveContent.ATTACHMENT,
    "/Sound": ActiveContent.MEDIA,
    "/Movie": ActiveContent.MEDIA,
    "/Screen": ActiveContent.MEDIA,
    "/RichMedia": ActiveContent.MEDIA,
    "/3D": ActiveContent.MEDIA,
}


def find_active_content(pdf: pikepdf.Pdf) -> set[ActiveContent]:
    """Every kind of active content that `pdf` holds; `pdf` is not changed."""
    found = set(_in_catalog(pdf))
    for dictionary in _dictionaries(pdf):
        found.update(kind for _, kind in _forbidden_entries(dictionary))
        kind = _name(dictionary.get("/Subtype"))
        if "/Rect" in dictionary and kind in FORBIDDEN_ANNOTATIONS:
            found.add(FORBIDDEN_ANNOTATIONS[kind])
        elif "/Rect" in dictionary and kind not in {"/Link", "/Widget", "/Popup"} and "/AP" not in dictionary:
            found.add(ActiveContent.COMMENT)
    return found


def remove_active_content(pdf: pikepdf.Pdf) -> None:
    """Remove everything that `find_active_content` names but layers; the caller has flattened fields and comments."""
    root = pdf.Root
    for key in ("/OpenAction", "/AA", "/AcroForm", "/Perms", "/Collection", "/Extensions", "/AF"):
        if key in root:
            del root[key]
    names = root.get("/Names")
    if isinstance(names, pikepdf.Dictionary):
        for key in ("/JavaScript", "/EmbeddedFiles", "/Renditions", "/AlternatePresentations"):
            if key in names:
                del names[key]
    for page in pdf.pages:
        annotations = page.obj.get("/Annots")
        if isinstance(annotations, pikepdf.Array):
            kept = [entry for entry in annotations if _is_link(entry)]
            page.obj.Annots = pikepdf.Array(kept)
    for dictionary in _dictionaries(pdf):
        for key, _ in list(_forbidden_entries(dictionary)):
            del dictionary[key]


def _is_link(annotation: Any) -> bool:  # noqa: ANN401 - any PDF object
    """The one kind of annotation that stays: it draws nothing and, its action checked, does nothing by itself."""
    return isinstance(annotation, pikepdf.Dictionary) and _name(annotation.get("/Subtype")) == "/Link"


def _in_catalog(pdf: pikepdf.Pdf) -> Iterator[ActiveContent]:
    root = pdf.Root
    form, names = root.get("/AcroForm"), root.get("/Names")
    if "/OpenAction" in root and isinstance(root.OpenAction, pikepdf.Dictionary):
        yield ActiveContent.OPEN_ACTION  # an array is only the first view
    if isinstance(form, pikepdf.Dictionary):
        if "/XFA" in form:
            yield ActiveContent.XFA
        if len(form.get("/Fields", [])):
            yield ActiveContent.FORM
    if isinstance(names, pikepdf.Dictionary):
        if "/JavaScript" in names:
            yield ActiveContent.JAVASCRIPT
        if "/EmbeddedFiles" in names:
            yield ActiveContent.ATTACHMENT
    if "/OCProperties" in root:
        yield ActiveContent.LAYERS


def _dictionaries(pdf: pikepdf.Pdf) -> Iterator[Any]:
    """Every dictionary of the file, direct ones inside others included, each once."""
    waiting: list[Any] = list(pdf.objects)
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, pikepdf.Stream):
            entry = entry.stream_dict
        if isinstance(entry, pikepdf.Dictionary):
            yield entry
            waiting.extend(value for value in entry.as_dict().values() if _is_direct_container(value))
        elif isinstance(entry, pikepdf.Array):
            waiting.extend(value for value in entry if _is_direct_container(value))


def _is_direct_container(value: Any) -> bool:  # noqa: ANN401 - any PDF object
    return isinstance(value, (pikepdf.Dictionary, pikepdf.Array)) and not value.is_indirect


def _forbidden_entries(dictionary: Any) -> Iterator[tuple[str, ActiveContent]]:  # noqa: ANN401 - any PDF object
    """Keys whose value is a forbidden action, a list holding one, or a set of trigger actions (/AA)."""
    for key, value in dictionary.as_dict().items():
        if isinstance(value, pikepdf.Array) and key == "/Next":
            kinds = [_forbidden_action(entry) for entry in value]
        elif isinstance(value, pikepdf.Dictionary) and key == "/AA":
            kinds = [_forbidden_action(entry) for entry in value.as_dict().values()]
        else:
            kinds = [_forbidden_action(value)]
        worst = next((kind for kind in kinds if kind), None)
        if worst is None and key == "/A" and ("/Rect" in dictionary or "/Title" in dictionary):
            unknown = isinstance(value, pikepdf.Dictionary) and _name(value.get("/S")) not in HARMLESS_ACTIONS
            worst = ActiveContent.ACTION if unknown else None
        if worst:
            yield key, worst


def _forbidden_action(value: Any) -> ActiveContent | None:  # noqa: ANN401 - any PDF object
    if not isinstance(value, pikepdf.Dictionary):
        return None
    return FORBIDDEN_ACTIONS.get(_name(value.get("/S")))


def _name(value: Any) -> str:  # noqa: ANN401 - any PDF object
    return str(value) if isinstance(value, pikepdf.Name) else ""
