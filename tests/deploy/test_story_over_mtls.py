"""One whole stamping over the broker of deploy/, with a gateway that enrolled as its user would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.cli import ROOT
from dashboard.cli.broker import write_files
from dashboard.demo import paper, story
from dashboard.demo.processes import Company
from dashboard.demo.story import Stage
from server.core import tls
from server.core.runtime import Runtime
from server.core.settings import Settings
from tests.deploy.conftest import ShippedMosquitto
from tests.fixtures.running import books, fsck, print_logs, tell


class EnrolledCompany(Company):
    """Its gateway.json comes from `cinnabar-gateway enrol`."""

    def write_gateway(self, *, gateway_id: str, secret: str, listen: str = "127.0.0.1:0") -> None:
        super().write_gateway(gateway_id=gateway_id, secret=secret, listen=listen)  # names the devices
        secret_file = self.folder / "secret"
        secret_file.write_text(secret + "\n")
        command = [sys.executable, "-m", "gateway.cli", "enrol", "--home", str(self.folder / "gateway"), "--json"]
        facts = ["--server", self.server.ready["web"], "--id", gateway_id, "--secret-file", str(secret_file)]
        authority = tls.ca_fingerprint(Settings.load(self.home))
        answer = subprocess.run(
            [*command, *facts, "--authority", authority],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["mqtt_url"].startswith("mqtts://")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("mtls")
    files = folder / "mosquitto"
    files.mkdir()
    broker = ShippedMosquitto(files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINNABAR_MQTT_URL", f"mqtts://localhost:{broker.port}")
        made = story.new_stage(
            paper.bundled("zh"), folder / "company", lambda name, ms, told: tell(f"{ms} {name}: {told}")
        )
        made.company = EnrolledCompany(folder / "company")
        try:
            first, *rest = story.OPENING
            story.play(made, (first,))
            run = Runtime.open(Settings.load(made.company.home))
            write_files(run, files)
            run.close()
            broker.start()
            story.play(made, tuple(rest))
            yield made
        except BaseException:
            print_logs(made)
            raise
        finally:
            made.close()
            made.company.stop()
            broker.kill()


def test_a_stroke_goes_up_and_its_receipt_comes_down(stage: Stage) -> None:
    settings = json.loads((stage.company.folder / "gateway" / "gateway.json").read_text())
    assert settings["mqtt_url"].startswith("mqtts://")
    story.play(stage, story.STAMPING)
    row = books(stage).row(stage.request_id)
    assert (row["pressed"], row["granted"], row["state"]) == (1, 1, "done"), row
    waiting = stage.at_gateway.get("mtls", "/api/state")["waiting"]
    assert waiting["events"] == 0, "every event has its receipt"
    fsck(stage)


def test_keys_stay_where_they_were_made(stage: Stage) -> None:
    home = stage.company.folder / "gateway"
    for path in (home / "gateway.json", home / "tls" / "gateway.pem"):
        assert path.stat().st_mode & 0o077 == 0, path
    secret = (home / "tls" / "gateway.pem").read_bytes().partition(b"-----BEGIN PRIVATE KEY")[2]
    assert secret
    assert not any(secret in path.read_bytes() for path in _files(stage.company.home))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
