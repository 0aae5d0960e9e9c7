"""A support bundle shows what helps, and no secret: canaries in every field and in the log."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from gateway import logs, support
from gateway.outbox import KeptEvent, Outbox
from gateway.settings import GatewaySettings

CANARY = "canary"


def canary(name: str) -> str:
    return f"{CANARY}-{name}-7f3a"


def members(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_no_secret_of_any_field_gets_into_the_zip(home: Path) -> None:
    hidden = [name for name in GatewaySettings.model_fields if name not in support.SHOWN | support.SHOWN_URLS]
    facts: dict[str, object] = {name: canary(name) for name in hidden if name != "devices"}
    facts |= {
        "gateway_id": "gw-01",
        "server_url": f"https://{canary('user')}:{canary('pass')}@hq.example/",
        "mqtt_url": f"mqtts://{canary('mqttuser')}:{canary('mqttpass')}@hq.example:8883",
        "devices": [{"control": "/dev/cinnabar/SN1", "bulk": "10.0.0.9:7001", "later": {"key": canary("nested")}}],
        "field_of_tomorrow": [canary("tomorrow")],
    }
    (home / "gateway.json").write_text(json.dumps(facts))
    lines = [f"somebody printed {value}" for value in (canary("secret"), canary("mqtt_password"), canary("tomorrow"))]
    (home / "logs" / "gateway.log").write_text(
        "\n".join(
            [
                *lines,
                f'{{"pin": "{canary("logpin")}", "event": "sign_in"}}',
                f"Authorization: Bearer {canary('bearer')}",
                f"password={canary('form')} user=ken",
                f'"mqtt_password": "{canary("with")} {canary("blank")}"',
                f"mqtt://gw:{canary('url')}@host:1883 refused",
                f"-----BEGIN PRIVATE KEY-----\n{canary('pem')}\n-----END PRIVATE KEY-----",
                "the device at /dev/ttyACM0 does not answer",
            ]
        )
    )
    found = members(support.build(home, report={"note": canary("secret")}))
    assert {name for name, text in found.items() if CANARY in text} == set()
    assert "/dev/ttyACM0" in found["logs/gateway.log"], "what helps is still there"
    assert json.loads(found["settings.json"])["gateway_id"] == "gw-01"
    assert json.loads(found["settings.json"])["mqtt_url"] == "mqtts://hq.example:8883"


def test_the_log_itself_keeps_no_named_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    file = logs.configure(home)
    assert file
    try:
        structlog.get_logger("t").info("sign_in", pin=canary("pin"), mqtt_password=canary("pw"), user="ken")
    finally:
        structlog.reset_defaults()
        file.close()
    kept = (home / "logs" / "gateway.log").read_text()
    assert CANARY not in kept + capsys.readouterr().err
    assert '"user": "ken"' in kept
    assert (home / "logs" / "gateway.log").stat().st_mode & 0o077 == 0


def test_a_full_log_begins_anew_and_keeps_the_one_before(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = logs.LogFile(home / "logs" / "gateway.log")
    for number in range(3):
        file.write(str(number) * (logs.MAX_BYTES + 1) + "\n")
    capsys.readouterr()
    assert (home / "logs" / "gateway.log").read_text().startswith("2")
    assert (home / "logs" / "gateway.log.1").read_text().startswith("1")
    file.close()


def test_the_bundle_counts_what_waits_and_takes_no_report_along(home: Path) -> None:
    outbox = Outbox(home / "outbox.db")
    kept = [KeptEvent(device_id="CB-1", generation=1, seq=seq, signed=b"signed %d" % seq) for seq in (4, 5)]
    outbox.keep(kept, photos=[("CB-1", b"d" * 32)])
    outbox.close()
    found = members(support.build(home, report={}))
    assert json.loads(found["outbox.json"]) == {
        "events": [{"device": "CB-1", "generation": 1, "waiting": 2, "first": 4, "last": 5}],
        "photos": [{"device": "CB-1", "uploaded": 0, "count": 1}],
    }
    assert not any("signed 4" in text for text in found.values())


@pytest.mark.parametrize("broken", ["", "{", "[1]", '{"secret": "canary-x-7f3a"'])
def test_broken_settings_are_no_way_out(home: Path, broken: str) -> None:
    (home / "gateway.json").write_text(broken)
    assert not any(CANARY in text for text in members(support.build(home, report={})).values())
