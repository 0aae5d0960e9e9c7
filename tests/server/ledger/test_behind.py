"""The ledger role as a process over a database that is older than what was witnessed: it does not start."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from server.core.keystore import KeyStore
from server.core.role_process import EX_CONFIG
from server.core.settings import Settings
from server.core.signer import Purpose
from server.ledger import checkpoint
from server.ledger.checkpoint import origin_of
from tests.server.world import installation

__all__ = ["installation"]


def start(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server.core.role_process", "ledger"]
    environment = os.environ | {"CINNABAR_HOME": str(home)} | settings
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_role_stops_with_the_way_out_and_is_not_started_again(installation: Settings, tmp_path: Path) -> None:
    home = Path(shutil.copytree(installation.home, tmp_path / "home"))
    key = KeyStore.open(installation).signer(Purpose.CHECKPOINT)
    seen = checkpoint.sign(origin_of(installation.public_url), 7, bytes(32), key=key)
    (home / "witnessed").write_text(seen.note, encoding="utf-8")
    ended = start(home)
    assert ended.returncode == EX_CONFIG
    assert "This ledger has 0 entries, but a witness cosigned 7" in ended.stderr
    assert "A restored server does not start" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_role_does_not_start_with_witnesses_it_cannot_read(installation: Settings) -> None:
    ended = start(installation.home, CINNABAR_WITNESSES='[{"vkey": "w.example+00+AA", "url": "https://w.example"}]')
    assert (ended.returncode, "CINNABAR_WITNESSES" in ended.stderr) == (EX_CONFIG, True)
