"""One approved page, prepared once for the whole folder."""

import cv2
import pytest

from server.inspection.vision.page import ApprovedPage, PreparedPage, prepare
from tests.inspection.paper import Contract, render


@pytest.fixture(scope="session")
def page() -> ApprovedPage:
    cv2.setNumThreads(1)
    return render(Contract().pdf())


@pytest.fixture(scope="session")
def prepared(page: ApprovedPage) -> PreparedPage:
    return prepare(page)
