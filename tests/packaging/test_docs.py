"""What the documents say exists."""

import re
from pathlib import Path

import pytest

from server.core.settings import Settings
from tests.packaging.conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_operations_name_every_setting_and_no_other() -> None:
    named = set(re.findall(r"`CINNABAR_([A-Z_]+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")))
    assert named == {name.upper() for name in Settings.model_fields}


def test_commands_in_the_readme_exist() -> None:
    called = set(re.findall(r"\./cinnabar ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    existing = {file.stem for file in (ROOT / "dashboard" / "cli").glob("*.py")}
    assert called <= existing


def test_decisions_are_numbered_without_a_hole_and_quotable() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {record.name[:4]} ")
        assert re.search(r"^\*\*Decision\.\*\* \*[^\n]+\*$", text, re.MULTILINE), record.name
        assert "**Context.**" in text
        assert "**Consequences.**" in text
        assert "**Alternatives.**" in text
