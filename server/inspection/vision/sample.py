"""The sample imprint on a clean sheet, after a change of heads or of ink, against the registered specimen."""

from dataclasses import asdict
from enum import Enum
from typing import Any, Final

import cv2
import numpy as np

from server.inspection.vision.codes import read_codes
from server.inspection.vision.imprint import check_imprint
from server.inspection.vision.sheet import sheet_homography

SHEET_DPI: Final = 200.0


def check_sample(specimen_png: bytes, diameter_mm: float, before: bytes, after: bytes) -> dict[str, Any]:
    """`answer`, `reason` and the fields of `ImprintFinding`; `codes`: payloads of the codes on the photo after.

    Without a whole sheet on the first photo the answer is ambiguous, `no_sheet`.
    """
    specimen = cv2.imdecode(np.frombuffer(specimen_png, np.uint8), cv2.IMREAD_UNCHANGED)
    if specimen is None:
        raise ValueError("the stored specimen is no picture")
    place = sheet_homography(before, dpi=SHEET_DPI)
    if place is None:
        return {"answer": "ambiguous", "reason": "no_sheet", "codes": []}
    finding = check_imprint(
        specimen=np.asarray(specimen, np.uint8),
        specimen_diameter_mm=diameter_mm,
        before_jpeg=before,
        after_jpeg=after,
        px_per_mm=SHEET_DPI / 25.4,
        page_homography=place,
        page_dpi=SHEET_DPI,
        still=True,
    )
    plain = {name: str(value) if isinstance(value, Enum) else value for name, value in asdict(finding).items()}
    return plain | {"codes": [code.payload for code in read_codes(after)]}
