"""Why a document cannot be taken: one error tree, a stable code each.

The three texts are those of `server.core.errors.ServerError` (what happened, is my work safe, what next), and `facts`
fills them the same way, but the tree stands alone: it is raised inside a worker process that has no web framework.
"""

from typing import ClassVar

from server.core.i18n import N_


class UnreadableDocument(Exception):
    """The document cannot be approved or sealed. Survives pickling."""

    code: ClassVar[str] = "unreadable_document"
    status: ClassVar[int] = 415
    happened: ClassVar[str] = N_("This file cannot be used.")
    safe: ClassVar[str] = N_("Your request is unchanged.")
    next_step: ClassVar[str] = N_("Choose another file.")

    def __init__(self, **facts: str | int) -> None:
        self.facts = facts
        super().__init__(f"{self.happened} {self.safe} {self.next_step}" % facts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[UnreadableDocument], facts: dict[str, str | int]) -> UnreadableDocument:
    return kind(**facts)


class EmptyDocument(UnreadableDocument):
    code = "empty_document"
    happened = N_("The file is empty (0 bytes).")
    next_step = N_("Check the file on your computer and upload it again.")


class DocumentTooLarge(UnreadableDocument):
    code = "document_too_large"
    status = 413
    happened = N_("The file has %(megabytes)s MB; at most %(limit_mb)s MB can be taken.")
    next_step = N_("Save the document at a lower picture quality, or split it, and upload it again.")


class NotADocument(UnreadableDocument):
    code = "not_a_document"
    happened = N_("This file is not a PDF, JPG or PNG.")
    next_step = N_("Open it in the program that made it, save it as PDF, and upload the PDF.")


class WordDocument(UnreadableDocument):
    code = "word_document"
    happened = N_("This is a Word or other Office document, which can look different on every computer.")
    next_step = N_(
        "In Word choose File, Save as, PDF (LibreOffice: File, Export as PDF), look at the pages, upload the PDF."
    )


class BrokenDocument(UnreadableDocument):
    code = "broken_document"
    happened = N_("The file is damaged or incomplete and cannot be read.")
    next_step = N_("Save or export the document again and upload the new file.")


class EncryptedDocument(UnreadableDocument):
    code = "encrypted_document"
    happened = N_("The PDF is protected with a password or with restrictions.")
    next_step = N_("Save a copy without protection (or print it to a new PDF) and upload the copy.")


class NoPages(UnreadableDocument):
    code = "no_pages"
    happened = N_("The PDF has no pages.")
    next_step = N_("Export the document again, check that it opens, and upload it.")


class TooManyPages(UnreadableDocument):
    code = "too_many_pages"
    status = 413
    happened = N_("The PDF has %(pages)s pages; at most %(limit)s can be approved at once.")
    next_step = N_("Split the document and make one request for each part.")


class InflationBomb(UnreadableDocument):
    code = "inflation_bomb"
    status = 413
    happened = N_("The PDF unpacks to more than %(limit_mb)s MB, far more than its pages need, so it was not opened.")
    next_step = N_("Print the document to a new PDF and upload that.")


class ImageTooLarge(UnreadableDocument):
    code = "image_too_large"
    status = 413
    happened = N_("The picture has more than %(limit)s million pixels.")
    next_step = N_("Save it smaller (300 dpi is enough for a page) and upload it again.")


class PageTooLarge(UnreadableDocument):
    code = "page_too_large"
    status = 413
    happened = N_("Page %(page)s is %(width_mm)s x %(height_mm)s mm; a side may have at most %(limit_mm)s mm.")
    next_step = N_("Print the document to A4 or A3 as a new PDF and upload that.")


class PageTooSmall(UnreadableDocument):
    code = "page_too_small"
    happened = N_("Page %(page)s is %(width_mm)s x %(height_mm)s mm; a side must have at least %(limit_mm)s mm.")
    next_step = N_("Print the document to A4 as a new PDF and upload that.")


class NoSuchPage(UnreadableDocument):
    code = "no_such_page"
    status = 404
    happened = N_("The document has %(pages)s pages; there is no page %(page)s.")
    next_step = N_("Choose another page.")


class AlreadySigned(UnreadableDocument):
    code = "already_signed"
    status = 409
    happened = N_("The PDF already carries an electronic signature or seal, which any change would break.")
    next_step = N_("Upload the version before signing, or print it to a new PDF to have its content approved.")


class AlreadyCertified(AlreadySigned):
    code = "already_certified"
    happened = N_("The author of this PDF locked it against all changes, so no seal can be added.")
