"""`cinnabar verify` as a person runs it: exit codes, named members, no network, no database."""

import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import segno
from typer.testing import CliRunner, Result

from dashboard.cli import application
from firmware_protocol import trace
from server.verification import roots
from tests.server.verification.story_maker import NOW, StoryMaker


@pytest.fixture
def story(rng: random.Random) -> StoryMaker:
    return StoryMaker(rng, expires=NOW + 3000 * 86_400)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CINNABAR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    words = ["verify", *map(str, arguments)]
    return CliRunner().invoke(application(words), words, input=stdin)


def answer(*arguments: str | Path) -> dict[str, object]:
    found = run(*arguments, "--json")
    body: dict[str, object] = json.loads(found.stdout)
    assert body["exit"] == found.exit_code
    return body


def pinned(home: Path, story: StoryMaker, *, demo: bool = False) -> None:
    root = story.keys["root"].public_key
    roots.pin(home / "home" / "roots", root=root, name="Example", demo=demo, bundle=story.trust_bundle())


def test_a_bundle_is_good_under_a_pinned_root_or_a_trusted_file(story: StoryMaker, home: Path) -> None:
    (home / "evidence.zip").write_bytes(story.stamp().bundle())
    (home / "trust.cose").write_bytes(story.trust_bundle())
    unknown = run(home / "evidence.zip")
    assert unknown.exit_code == 2
    assert "issuer unknown" in unknown.stdout
    assert answer(home / "evidence.zip", "--trust", home / "trust.cose")["outcome"] == "good"
    pinned(home, story)
    good = run(home / "evidence.zip")
    assert good.exit_code == 0
    assert "DEMO" not in good.stdout


def test_a_bundle_is_read_from_standard_input(story: StoryMaker, home: Path) -> None:
    pinned(home, story)
    assert run("-", stdin=story.stamp(strokes=1).bundle()).exit_code == 0


def test_a_changed_member_is_named_with_exit_1(story: StoryMaker, home: Path) -> None:
    data = story.stamp(strokes=1).bundle()
    at = data.index(story.document)
    (home / "evidence.zip").write_bytes(data[:at] + b"X" + data[at + 1 :])
    pinned(home, story)
    body = answer(home / "evidence.zip")
    assert (body["exit"], body["named"]) == (1, ["document.pdf"])
    assert "document.pdf" in run(home / "evidence.zip").stdout


def test_everything_about_a_demo_says_demo(rng: random.Random, home: Path) -> None:
    story = StoryMaker(rng, demo=True, expires=NOW + 3000 * 86_400)
    (home / "evidence.zip").write_bytes(story.stamp(strokes=1).bundle())
    pinned(home, story, demo=True)
    good = run(home / "evidence.zip")
    assert good.exit_code == 0
    assert "DEMO" in good.stdout
    assert "DEMO" in run(trace.url(story.codes[0], host="seal.example.com")).stdout


def test_codes_and_photos_of_codes(story: StoryMaker, home: Path) -> None:
    story.stamp(strokes=1)
    story.issued = int(time.time()) - 86_400  # a trust bundle of yesterday
    pinned(home, story)
    url = trace.url(story.codes[0], host="seal.example.com")
    assert answer(url)["outcome"] == "known"
    assert "1 day old" in str(answer(url)["words"])
    assert answer(url)["withdrawals_as_of"]
    assert answer(trace.short_code(story.codes[0]))["exit"] == 2
    assert answer(url[:-8] + "AAAAAAAA")["exit"] == 1
    picture = io.BytesIO()
    segno.make(url, error="m").save(picture, kind="png", scale=6, border=4)
    (home / "photo.png").write_bytes(picture.getvalue())
    assert answer(home / "photo.png")["outcome"] == "known"


def test_what_cannot_be_read_is_exit_2_with_a_message(home: Path) -> None:
    (home / "note.txt").write_text("hello")
    (home / "blank.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for target in (home / "absent.zip", home / "note.txt", home / "blank.png", "x" * 4000, "\0"):
        found = run(target)
        assert found.exit_code == 2
        assert found.stderr.strip()
    assert run(home / "note.txt", "--trust", home / "note.txt").exit_code == 2


def test_a_pdf_that_nobody_sealed_is_refused(home: Path) -> None:
    from fpdf import FPDF

    page = FPDF()
    page.add_page()
    (home / "plain.pdf").write_bytes(bytes(page.output()))
    assert answer(home / "plain.pdf")["outcome"] == "no_seal"


def test_a_bundle_needs_neither_web_nor_database_nor_network_code() -> None:
    probe = (
        "import sys; import dashboard.cli.verify; "
        "heavy = ('fastapi', 'sqlmodel', 'sqlalchemy', 'cv2', 'pyhanko', 'httpx', 'paho'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
