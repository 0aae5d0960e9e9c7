"""Photos for the checks of `tokens`: the approved page with a small mark that a person must judge."""

import io

import cv2
import numpy as np
from PIL import Image

from tests.server.office import Office, photo_of
from tests.server.world import contract_pdf


def marked(photo: bytes, *, radius_px: int) -> bytes:
    """The photo with a dot beside the print."""
    pixels = np.array(Image.open(io.BytesIO(photo)))
    cv2.circle(pixels, (1150, 1600), radius_px, 70, -1)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=92)
    return out.getvalue()


def doubtful_photo(office: Office, *, page: int = 1, nonce: bytes = b"n" * 16) -> bytes:
    """A dot as large as a full stop: dust, or ink."""
    return marked(photo_of(contract_pdf(), page, nonce=nonce, counter=office.pen.counter), radius_px=2)
