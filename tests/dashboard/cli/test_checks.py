"""Each check of our own finds what is planted for it, and passes what is right."""

import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.cli import ROOT
from dashboard.cli.checks import dead_code, hosts, licences, repeats, translations

BLOCK = "".join(f"    total += step_{number}(total)\n" for number in range(repeats.SHORTEST_REPEAT))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_repeated_block_is_named_with_both_places(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": f"def a(total):\n{BLOCK}", "b.py": f'"""Text."""\nimport os\n\ndef b(total):\n{BLOCK}'})
    assert repeats.repeats(sorted(tmp_path.glob("*.py")), tmp_path) == ["a.py:2 = b.py:5 (8 lines or more)"]


def test_repeated_imports_and_docstrings_are_no_repeat(tmp_path: Path) -> None:
    form = '"""' + "the same words\n" * 12 + '"""\n' + "".join(f"import module_{number}\n" for number in range(12))
    write(tmp_path, {"a.py": form, "b.py": form})
    assert repeats.repeats(sorted(tmp_path.glob("*.py")), tmp_path) == []


def catalogue(language: str, translated: str) -> dict[str, str]:
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
    return {f"dashboard/locale/{language}/LC_MESSAGES/messages.po": header + translated}


SCREEN = {
    "dashboard/templates/page.html": "<p>{{ _('Ready to stamp') }}</p>",
    "server/answers.py": 'def answer(_):\n    return _("Not found")\n',
    "gateway/nothing.py": "",
}
BOTH = 'msgid "Ready to stamp"\nmsgstr "x"\n\nmsgid "Not found"\nmsgstr "y"\n'


def test_no_catalogue_no_translation_check(tmp_path: Path) -> None:
    assert translations.missing(write(tmp_path, SCREEN)) == []


def test_complete_catalogues_pass(tmp_path: Path) -> None:
    write(tmp_path, SCREEN | catalogue("es", BOTH) | catalogue("zh", BOTH))
    assert translations.missing(tmp_path) == []


@pytest.mark.parametrize(
    "spanish",
    [
        'msgid "Not found"\nmsgstr "y"\n',
        'msgid "Ready to stamp"\nmsgstr ""\n\nmsgid "Not found"\nmsgstr "y"\n',
        '#, fuzzy\nmsgid "Ready to stamp"\nmsgstr "x"\n\nmsgid "Not found"\nmsgstr "y"\n',
    ],
    ids=["absent", "empty", "fuzzy"],
)
def test_missing_translation_is_named_with_its_place(tmp_path: Path, spanish: str) -> None:
    write(tmp_path, SCREEN | catalogue("es", spanish) | catalogue("zh_Hans", BOTH))
    assert translations.missing(tmp_path) == ["dashboard/templates/page.html:1: no es for 'Ready to stamp'"]


def test_update_adds_what_is_missing_and_keeps_what_is_translated(tmp_path: Path) -> None:
    old = 'msgid "Not found"\nmsgstr "no hallado"\n\nmsgid "gone"\nmsgstr "ido"\n'
    write(tmp_path, SCREEN | catalogue("es", old))
    translations.update(tmp_path)
    spanish = (tmp_path / "dashboard/locale/es/LC_MESSAGES/messages.po").read_text()
    assert 'msgid "Ready to stamp"\nmsgstr ""' in spanish
    assert 'msgid "Not found"\nmsgstr "no hallado"' in spanish
    assert "gone" not in spanish
    missing = translations.missing(tmp_path)
    assert sorted(line.split(": ")[1] for line in missing) == [
        "no es for 'Ready to stamp'",
        "no zh for 'Not found'",
        "no zh for 'Ready to stamp'",
    ]


def test_uncalled_code_is_named_and_template_and_test_uses_count(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "server/things.py": "def dead(): pass\ndef tested(): pass\nclass View:\n    def shown(self): pass\n",
            "dashboard/templates/page.html": "{% if view.shown() %}{{ View }}{% endif %}",
            "tests/test_things.py": "from server.things import tested\n\ndef test_it():\n    tested()\n",
        },
    )
    assert [item.name for item in dead_code.unused(tmp_path)] == ["dead"]


def test_registry_host_in_a_tracked_file_is_named(tmp_path: Path) -> None:
    host = "files." + "pythonhosted" + ".org"
    write(tmp_path, {"good.txt": "pip install uv\n", "bad.txt": f"one\nfrom {host} take it\n"})
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert hosts.named_registries(tmp_path) == [f"bad.txt:2: {host}"]


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("GPL-3.0-only", True),
        ("AGPL-3.0-or-later", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("LGPL-3.0-only", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MIT", False),
    ],
)
def test_strong_copyleft_is_told_from_lesser(licence: str, *, refused: bool) -> None:
    assert bool(licences.STRONG_COPYLEFT.search(licence)) is refused


def test_shipped_packages_have_fitting_licences() -> None:
    assert licences.refused(ROOT / "locks" / "runtime.txt") == []


def test_slice_that_reads_the_table_of_another_breaks_the_contract(tmp_path: Path) -> None:
    contract = (
        "[importlinter]\nroot_packages =\n    office\ncontract_types =\n"
        "    slice_tables: dashboard.cli.checks.slice_tables.SliceTables\n\n"
        "[importlinter:contract:tables]\nname = tables\ntype = slice_tables\ncontainer = office\n"
        "allowed_importers =\n    office.migrations\n"
    )
    write(
        tmp_path,
        {
            ".importlinter": contract,
            "office/__init__.py": "",
            "office/seals/__init__.py": "",
            "office/seals/models.py": "",
            "office/seals/store.py": "from office.seals import models\n",
            "office/migrations.py": "from office.seals import models\n",
            "office/audit/__init__.py": "",
            "office/audit/service.py": "from office.seals import store\n",
        },
    )
    lint = Path(sys.executable).parent / "lint-imports"
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": ""}
    broken = subprocess.run(
        [lint, "--no-cache"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert broken.returncode == 1, broken.stdout
    assert "office.audit.service imports office.seals.store" in broken.stdout
    assert "office.migrations" not in broken.stdout
    assert "office.seals.store imports" not in broken.stdout
