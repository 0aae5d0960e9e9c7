"""`cinnabar-gateway doctor`: what is wrong at this office, whether the work is safe, and what to do.

It disturbs nothing: ports are not opened, and the broker is not logged in to, since a second client of the same name
would put the running gateway out.
"""

import asyncio
import datetime as dt
import os
import shutil
import socket
import ssl
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography.x509.oid import NameOID

from gateway import settings as configuration
from gateway.clock import Clock
from gateway.errors import BadConfiguration, GatewayError, HeadOfficeRefused, HeadOfficeUnreachable
from gateway.settings import DeviceSettings, GatewaySettings
from gateway.transports.usb_port import PortLister, find_port
from gateway.uplink.certificate import BoxLogin, read_certificate, trust_context
from gateway.uplink.head_office import HeadOffice

NETWORK_S: Final = 3.0
TOLD_NO_S: Final = 0.5
"""TLS 1.3: a broker that refuses a certificate says so only after the handshake."""
CLOCK_WARNING_S: Final = 30
CLOCK_PROBLEM_S: Final = 240
"""Certificates and signed times allow 5 minutes."""
CERTIFICATE_WARNING_DAYS: Final = 14
DISK_WARNING: Final = 2_000_000_000
DISK_PROBLEM: Final = 200_000_000
"""Bytes: about 72 hours of photos, and about an hour."""
WAITS: Final = "Nothing is lost: reports and photos wait on this box."
LOCKED: Final = "The device stays locked; nothing can be stamped with it."


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`safe`: whether the work is safe meanwhile; `fix`: what to do, empty when nothing is wrong."""

    check: str
    state: State
    what: str
    safe: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 all is well, 1 something needs a person, 2 it could not be looked at."""
        if any(one.check == "settings" and one.state is State.PROBLEM for one in self.findings):
            return 2
        return int(any(one.state is not State.OK for one in self.findings))

    def as_json(self) -> dict[str, Any]:
        return {"healthy": self.exit_code == 0, "findings": [asdict(one) for one in self.findings]}


async def examine(home: Path, *, clock: Clock, ports: PortLister) -> Diagnosis:
    """Every check; one that fails hides no other."""
    try:
        settings = configuration.load(home)
    except BadConfiguration as error:
        fix = "Run cinnabar-gateway enrol, or correct the line that is named."
        return Diagnosis(
            findings=(Finding(check="settings", state=State.PROBLEM, what=str(error), safe=WAITS, fix=fix),)
        )
    findings = [_private(home / "gateway.json")]
    for device in settings.devices:
        findings += [_port(device, ports), await asyncio.to_thread(_bulk, device)]
    findings += await _headquarters(settings, clock)
    if settings.uses_certificate:
        findings.append(_certificate(settings, clock))
    findings += [await asyncio.to_thread(_broker, settings), _disk(home)]
    return Diagnosis(findings=tuple(findings))


def as_text(diagnosis: Diagnosis) -> str:
    marks = {State.OK: "ok     ", State.WARNING: "look   ", State.PROBLEM: "PROBLEM"}
    lines: list[str] = []
    for one in diagnosis.findings:
        lines.append(f"{marks[one.state]}  {one.check}: {one.what}")
        lines += [f"         {text}" for text in (one.safe, f"Fix: {one.fix}" if one.fix else "") if text]
    return "\n".join([*lines, ""])


def _private(path: Path) -> Finding:
    if path.stat().st_mode & 0o077:
        what = f"{path} can be read by other users of this machine; it holds the gateway's secret."
        return Finding(
            check="settings",
            state=State.WARNING,
            what=what,
            safe="Whoever read it can speak for this gateway, but cannot forge a device's report.",
            fix=f"chmod 600 {path}, then let an administrator give this gateway a new secret.",
        )
    return Finding(check="settings", state=State.OK, what=f"{path} is complete and private.")


def _port(device: DeviceSettings, ports: PortLister) -> Finding:
    name = f"port {device.where}"
    if device.ble is not None:
        return Finding(check=name, state=State.OK, what="Bluetooth; it is found when the gateway runs.")
    try:
        path = Path(find_port(device.usb, ports) if device.usb else device.control or "")
    except GatewayError as error:
        return Finding(
            check=name, state=State.PROBLEM, what=str(error), safe=LOCKED, fix="Plug it in and switch it on."
        )
    if not path.exists():
        return Finding(
            check=name,
            state=State.PROBLEM,
            what=f"{path} is not there.",
            safe=LOCKED,
            fix="Check cable and power. If it was never there: install deploy/udev/99-cinnabar.rules.",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding(
            check=name,
            state=State.PROBLEM,
            what=f"This user may not read and write {path}.",
            safe=LOCKED,
            fix="Add the gateway's user to the group cinnabar-devices (deploy/udev, deploy/systemd), then replug.",
        )
    return Finding(check=name, state=State.OK, what=f"{path} is there and may be used.")


def _bulk(device: DeviceSettings) -> Finding:
    """The link over which the device's camera pictures come."""
    host, _, port = device.bulk.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=NETWORK_S):
            return Finding(check=f"camera {device.bulk}", state=State.OK, what="The picture link answers.")
    except (OSError, ValueError) as error:
        return Finding(
            check=f"camera {device.bulk}",
            state=State.PROBLEM,
            what=f"The picture link does not answer ({error}).",
            safe="No page can be checked, so nothing is stamped. Pictures stay on the device.",
            fix="Check the device's second cable or its Wi-Fi, and the address under bulk in gateway.json.",
        )


async def _headquarters(settings: GatewaySettings, clock: Clock) -> list[Finding]:
    try:
        head_office = HeadOffice(settings)
    except (OSError, ssl.SSLError) as error:
        fix = "Run cinnabar-gateway enrol again; it fetches the authority's certificate."
        return [Finding(check="headquarters", state=State.PROBLEM, what=f"ca_file: {error}", safe=WAITS, fix=fix)]
    try:
        before = clock.now_ms()
        answer = await head_office.hello(settings.gateway_id, "doctor", [])
        after = clock.now_ms()
    except HeadOfficeUnreachable as error:
        fix = f"Check this box's network and that {settings.server_url} is right and up."
        return [Finding(check="headquarters", state=State.PROBLEM, what=str(error), safe=WAITS, fix=fix)]
    except HeadOfficeRefused as error:
        fix = "Let an administrator give this gateway a new secret, then run cinnabar-gateway enrol."
        return [Finding(check="headquarters", state=State.PROBLEM, what=str(error), safe=WAITS, fix=fix)]
    finally:
        await head_office.close()
    fine = Finding(check="headquarters", state=State.OK, what=f"{settings.server_url} knows this gateway.")
    return [fine, _clock_finding((before + after) / 2 - answer["time_ms"])]


def _clock_finding(ahead_ms: float) -> Finding:
    ahead_s = round(ahead_ms / 1000)
    words = f"This box's clock is {abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'} headquarters."
    if abs(ahead_s) <= CLOCK_WARNING_S:
        return Finding(check="clock", state=State.OK, what="This box's clock agrees with headquarters.")
    return Finding(
        check="clock",
        state=State.PROBLEM if abs(ahead_s) > CLOCK_PROBLEM_S else State.WARNING,
        what=words,
        safe="Devices keep their own signed time; nothing is stamped wrongly. Certificates may be refused.",
        fix="timedatectl set-ntp true, or name a time server that this box reaches.",
    )


def _certificate(settings: GatewaySettings, clock: Clock) -> Finding:
    path = Path(settings.certificate_file)
    certificate = read_certificate(path)
    renew = "It renews itself while the gateway runs and reaches headquarters. At once: cinnabar-gateway enrol."
    if certificate is None:
        what = f"There is no readable certificate in {path}."
        return Finding(check="certificate", state=State.PROBLEM, what=what, safe=WAITS, fix=renew)
    name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    if name != settings.gateway_id:
        what = f"The certificate is for {name!s}, not for {settings.gateway_id}."
        return Finding(check="certificate", state=State.PROBLEM, what=what, safe=WAITS, fix=renew)
    now = dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC)
    days = (certificate.not_valid_after_utc - now).days
    if now < certificate.not_valid_before_utc or days < 0:
        what = f"The certificate is good from {certificate.not_valid_before_utc:%Y-%m-%d} to "
        what += f"{certificate.not_valid_after_utc:%Y-%m-%d}; today is outside."
        return Finding(check="certificate", state=State.PROBLEM, what=what, safe=WAITS, fix=renew)
    state = State.WARNING if days < CERTIFICATE_WARNING_DAYS else State.OK
    return Finding(
        check="certificate",
        state=state,
        what=f"The certificate for {name!s} is good for {days} more days.",
        safe="" if state is State.OK else WAITS,
        fix="" if state is State.OK else renew,
    )


def _broker(settings: GatewaySettings) -> Finding:
    where = settings.mqtt_url
    fix = "Check the network, the broker's log, and this box's certificate above."
    try:
        with socket.create_connection(settings.broker_address, timeout=NETWORK_S) as link:
            if settings.broker_tls:
                _handshake(settings, link)
    except (OSError, GatewayError) as error:
        what = f"{where} does not let this gateway in ({error})."
        return Finding(check="broker", state=State.PROBLEM, what=what, safe=WAITS, fix=fix)
    return Finding(check="broker", state=State.OK, what=f"{where} answers and takes this gateway's certificate.")


def _handshake(settings: GatewaySettings, link: socket.socket) -> None:
    """Raises: OSError (ssl.SSLError is one), BadConfiguration."""
    if settings.uses_certificate:
        login = BoxLogin(settings)
        login.reload()
        context = login.context
    else:
        context = trust_context(settings)
    with context.wrap_socket(link, server_hostname=settings.broker_address[0]) as secured:
        secured.settimeout(TOLD_NO_S)
        try:
            if secured.recv(1) == b"":
                raise ConnectionError("it closed the connection")
        except TimeoutError:
            return  # it waits for us to speak


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    what = f"{free / 1e9:.1f} GB free in {home}."
    if free > DISK_WARNING:
        return Finding(check="disk", state=State.OK, what=what)
    return Finding(
        check="disk",
        state=State.PROBLEM if free < DISK_PROBLEM else State.WARNING,
        what=what,
        safe="Nothing is lost: a full gateway leaves reports and photos on the device, until that is full and locks.",
        fix="Free some space, or give this box a larger disk.",
    )


def system_ports() -> Iterable[Any]:
    from serial.tools import list_ports

    return list_ports.comports()
