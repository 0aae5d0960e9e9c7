"""systemd units, udev rule and users of deploy/, as far as they can be checked without installing them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY

UNITS = sorted((DEPLOY / "systemd").iterdir())
RULES = DEPLOY / "udev" / "99-cinnabar.rules"
HARDENED = {"cinnabar.service", "cinnabar-gateway.service", "cinnabar-broker.service"}
MATCH_KEYS = {"ACTION", "SUBSYSTEM", "SUBSYSTEMS", "ATTRS{idVendor}", "ATTRS{idProduct}"}
"""udev(7): keys that only compare; the rest of what we use may assign."""
RULE = re.compile(r'([A-Z_]+(?:\{[A-Za-z_]+\})?)\s*(==|!=|\+=|-=|:=|=)\s*"([^"]*)"')


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_every_unit(unit: Path, tmp_path: Path) -> None:
    """With programs that exist here in place of those of an installation; no word of complaint is allowed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here; the settings of each unit are still checked below")
    for path in UNITS:
        text = path.read_text().replace("/opt/cinnabar/bin/cinnabar-gateway", sys.executable)
        (tmp_path / path.name).write_text(text.replace("/opt/cinnabar/bin/cinnabar", sys.executable))
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in answer.stderr.splitlines() if "cinnabar" in line]
    assert ours == []


@pytest.mark.parametrize("name", sorted(HARDENED))
def test_a_service_can_write_only_its_own_folder(name: str) -> None:
    settings = _settings(DEPLOY / "systemd" / name)
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["NoNewPrivileges"] == ["yes"]
    assert settings["ProtectHome"] == ["yes"]
    assert settings["CapabilityBoundingSet"] == [""]
    assert settings["StateDirectoryMode"] == ["0700"]
    assert settings.get("ReadWritePaths", []) == (
        ["/etc/mosquitto/cinnabar"] if name == "cinnabar-broker.service" else []
    )


def test_the_gateway_reaches_serial_ports_and_no_other_device() -> None:
    settings = _settings(DEPLOY / "systemd" / "cinnabar-gateway.service")
    assert settings["DynamicUser"] == ["yes"]
    assert settings["DevicePolicy"] == ["closed"]
    assert settings["DeviceAllow"] == ["char-ttyUSB rw", "char-ttyACM rw"]
    assert settings["SupplementaryGroups"] == ["cinnabar-devices"]


def test_the_servers_sandboxes_may_still_shut_themselves_in() -> None:
    settings = _settings(DEPLOY / "systemd" / "cinnabar.service")
    assert settings["RestrictNamespaces"] == ["user net"]
    assert "landlock_restrict_self" in settings["SystemCallFilter"][-1]


def test_the_udev_rule_is_written_as_udev_reads_it() -> None:
    rules = _rules()
    labels = {value for rule in rules for key, _, value in rule if key == "LABEL"}
    for rule in rules:
        for key, operator, value in rule:
            if key in MATCH_KEYS:
                assert operator in {"==", "!="}, rule
            if key == "GOTO":
                assert value in labels, f"no such label: {value}"
            if key in {"SYMLINK", "TAG"}:
                assert operator in {"+=", "-="}, "an assignment would take away what other rules gave"


def test_only_seal_devices_get_the_group_and_the_name() -> None:
    """Everything after the guard is reached by marked devices alone; the guard stands before every assignment."""
    rules = _rules()
    guard = next(at for at, rule in enumerate(rules) if ("ENV{CINNABAR_SEAL}", "!=", "1") in rule)
    for at, rule in enumerate(rules):
        given = {key for key, operator, _ in rule if key in {"SYMLINK", "GROUP", "MODE"} and operator != "=="}
        assert not given or at > guard, rule
    given = {key: (operator, value) for rule in rules[guard:] for key, operator, value in rule}
    assert given["GROUP"] == ("=", "cinnabar-devices")
    assert given["MODE"] == ("=", "0660")
    assert given["ENV{ID_MM_DEVICE_IGNORE}"] == ("=", "1")
    assert given["SYMLINK"] == ("+=", "cinnabar/$env{ID_SERIAL_SHORT}")


def test_every_group_and_user_that_is_named_is_made() -> None:
    made = {
        line.split()[1] for line in (DEPLOY / "sysusers" / "cinnabar.conf").read_text().splitlines() if line[:1] in "ug"
    }
    server = _settings(DEPLOY / "systemd" / "cinnabar.service")
    assert {"cinnabar-devices", *server["User"], *server["Group"]} <= made


def _settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def _rules() -> list[list[tuple[str, str, str]]]:
    """Each line's (key, operator, value); a line that is more than such a list is no rule."""
    rules = []
    for line in RULES.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        rest = RULE.sub("", line)
        assert not rest.strip(" ,"), f"udev would not read {rest!r} in {line!r}"
        rules.append(RULE.findall(line))
    return rules
