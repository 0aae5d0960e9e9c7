"""Each finding of the doctor, made true on purpose: what it says, how it ends, and that it says what to do."""

import asyncio
import datetime as dt
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from gateway import cli, doctor
from gateway.clock import SystemClock
from gateway.doctor import Diagnosis, Finding, State


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def examined(home: Path, **changes: Any) -> Diagnosis:
    facts = {
        "gateway_id": "gw-01",
        "server_url": "https://127.0.0.1:1",
        "secret": "s" * 43,
        "mqtt_url": "mqtt://127.0.0.1:1",
    }
    path = home / "gateway.json"
    path.write_text(json.dumps(facts | changes))
    path.chmod(0o600)
    return asyncio.run(doctor.examine(home, clock=SystemClock(), ports=list))


def finding(diagnosis: Diagnosis, check: str) -> Finding:
    return next(one for one in diagnosis.findings if one.check.startswith(check))


def test_what_is_wrong_says_whether_work_is_safe_and_what_to_do(tmp_path: Path) -> None:
    diagnosis = examined(
        tmp_path,
        mqtt_url="mqtts://127.0.0.1:1",
        devices=[
            {"control": str(tmp_path / "gone"), "bulk": "127.0.0.1:1"},
            {"usb": {"vid": "1209", "pid": "0001"}, "bulk": "127.0.0.1:1"},
        ],
    )
    wrong = [one for one in diagnosis.findings if one.state is not State.OK]
    assert {one.check.split()[0] for one in wrong} >= {"port", "camera", "headquarters", "certificate", "broker"}
    assert all(one.what and one.safe and one.fix for one in wrong), wrong
    assert diagnosis.exit_code == 1


def test_what_answers_is_well(tmp_path: Path, listening: int) -> None:
    master, slave = os.openpty()
    try:
        devices = [{"control": os.ttyname(slave), "bulk": f"127.0.0.1:{listening}"}]
        diagnosis = examined(tmp_path, devices=devices, mqtt_url=f"mqtt://127.0.0.1:{listening}")
    finally:
        os.close(master)
        os.close(slave)
    for check in ("settings", "port", "camera", "broker"):
        assert finding(diagnosis, check).state is State.OK, check


@pytest.mark.parametrize(
    ("days", "name", "state"),
    [(60, "gw-01", State.OK), (5, "gw-01", State.WARNING), (-1, "gw-01", State.PROBLEM), (60, "gw-02", State.PROBLEM)],
)
def test_a_certificate_is_judged_by_its_days_and_its_name(tmp_path: Path, days: int, name: str, state: State) -> None:
    certificate = tmp_path / "tls" / "gateway.pem"
    certificate.parent.mkdir()
    certificate.write_bytes(_certificate(name, days))
    found = finding(examined(tmp_path, mqtt_url="mqtts://127.0.0.1:1"), "certificate")
    assert found.state is state, found
    assert (found.fix == "") == (state is State.OK)


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(0, State.OK), (-20, State.OK), (60, State.WARNING), (-600, State.PROBLEM)]
)
def test_a_clock_is_judged_against_headquarters(ahead_s: int, state: State) -> None:
    assert doctor._clock_finding(ahead_s * 1000.0).state is state


def test_settings_that_others_can_read_are_named(tmp_path: Path) -> None:
    examined(tmp_path)
    (tmp_path / "gateway.json").chmod(0o644)
    diagnosis = asyncio.run(doctor.examine(tmp_path, clock=SystemClock(), ports=list))
    assert finding(diagnosis, "settings").state is State.WARNING


def test_the_command_answers_people_and_programs(tmp_path: Path) -> None:
    examined(tmp_path)
    told = CliRunner().invoke(cli.app, ["doctor", "--home", str(tmp_path)])
    assert told.exit_code == 1
    assert "Fix: " in told.output
    answered = CliRunner().invoke(cli.app, ["doctor", "--home", str(tmp_path), "--json"])
    answer = json.loads(answered.stdout)
    assert answer["healthy"] is False
    assert set(answer["findings"][0]) == {"check", "state", "what", "safe", "fix"}


def test_without_settings_it_cannot_tell(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["doctor", "--home", str(tmp_path)])
    assert result.exit_code == 2
    assert "enrol" in result.output


def _certificate(name: str, days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
