"""Files that may not be stamped: each is answered in words, and nothing of it stays."""

import json
from collections.abc import Callable

import httpx
import pytest

from dashboard.demo.story import Stage
from tests.attacks import documents
from tests.fixtures.running import check_problem


def upload(stage: Stage, data: bytes) -> httpx.Response:
    """The clerk asks for an imprint on `data`."""
    form = {
        "seal_id": str(stage.players.seal_id),
        "title": "Contract",
        "reason": "Signed",
        "places": [{"page": 1, "x_mm": 100, "y_mm": 200}],
        "copies": 1,
        "form": "paper",
    }
    return stage.person("clerk")._client.post(
        "/api/v1/requests",
        data={"form": json.dumps(form)},
        files={"document": ("contract.pdf", data, "application/pdf")},
    )


def kept(stage: Stage) -> tuple[int, int]:
    """(requests, files in the store): what a refused upload must not change."""
    requests = stage.person("clerk").get("kept", "/api/v1/requests")
    return len(requests), sum(path.is_file() for path in (stage.company.home / "blobs").rglob("*"))


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (documents.encrypted, 415, "encrypted_document"),
        (documents.broken, 415, "broken_document"),
        (lambda: b"", 415, "empty_document"),
        (documents.without_pages, 415, "no_pages"),
        (documents.two_thousand_pages, 413, "too_many_pages"),
        (documents.inflating_to_200_mb, 413, "inflation_bomb"),
        (lambda: b"Dear Sir or Madam, this is no PDF.", 415, "not_a_document"),
        (documents.image_bomb, 413, "image_too_large"),
    ],
    ids=[
        "encrypted",
        "broken",
        "empty",
        "without_pages",
        "of_2000_pages",
        "of_200_MB_inflated",
        "that_is_none",
        "that_is_an_image_bomb",
    ],
)
def test_a_pdf_that_may_not_be_stamped_is_refused_in_words(
    stage: Stage, make: Callable[[], bytes], status: int, code: str
) -> None:
    before = kept(stage)
    check_problem(upload(stage, make()), status=status, code=code)
    assert kept(stage) == before


def test_a_word_file_is_answered_with_how_to_save_it_as_pdf(stage: Stage) -> None:
    before = kept(stage)
    problem = check_problem(upload(stage, documents.word()), status=415, code="word_document")
    assert "PDF" in problem["next"]
    assert kept(stage) == before


def test_a_good_pdf_is_still_taken_afterwards(stage: Stage) -> None:
    before = kept(stage)
    answer = upload(stage, documents.saved(documents.pages(1)))
    assert answer.status_code == 201, answer.text
    assert kept(stage)[0] == before[0] + 1
