"""`cinnabar broker`: the certificates that a Mosquitto of your own needs, from this installation's authority."""

import datetime as dt
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.core import keyfile, tls
from server.core.client_tls import RENEW_BEFORE
from server.core.keyfile import KeyUnreadable
from server.core.runtime import Runtime
from server.core.settings import Settings
from server.devices import service as devices


def write_files(run: Runtime, folder: Path) -> list[str]:
    """ca.pem, crl.pem, cert.pem and key.pem in `folder`; the names of those that changed, so that the broker must be
    told. Certificate and key stay while they name this installation's hosts and are good for 30 days more.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    authority = tls.ca_certificate_pem(run.settings)
    with run.db.read() as db:
        revoked = devices.revocation_list(db, run)
    changed = [name for name, same in (("ca.pem", _is(folder / "ca.pem", authority)),) if not same]
    _replace(folder / "ca.pem", authority, mode=0o644)
    if _serials(folder / "crl.pem") != _serials_in(revoked):
        _replace(folder / "crl.pem", revoked, mode=0o644)
        changed.append("crl.pem")
    if changed[:1] == ["ca.pem"] or not _is_good(folder / "cert.pem", now=run.now()):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = tls.issue_for_host(run.settings, run.keys, public_key=key.public_key(), now=run.now())
        _replace(folder / "key.pem", keyfile.plain_pem(key), mode=0o640)
        _replace(folder / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        changed += ["cert.pem", "key.pem"]
    return changed


def _is(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def _is_good(path: Path, *, now: dt.datetime) -> bool:
    if not path.is_file() or not path.with_name("key.pem").is_file():
        return False
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - now > RENEW_BEFORE


def _serials(path: Path) -> set[int] | None:
    return _serials_in(path.read_bytes()) if path.is_file() else None


def _serials_in(crl: bytes) -> set[int]:
    return {row.serial_number for row in x509.load_pem_x509_crl(crl)}


def _replace(path: Path, data: bytes, *, mode: int) -> None:
    """The old file or the new one, whole. Its group is the folder's where that has the setgid bit: the broker's."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def register(app: typer.Typer) -> None:
    @app.command("broker", help="Write the certificates that your own Mosquitto needs; run it again to renew them.")
    def broker(
        *,
        folder: Annotated[Path, typer.Option(help="Where deploy/mosquitto/mosquitto.conf looks for them.")] = Path(
            "/etc/mosquitto/cinnabar"
        ),
        home: Annotated[Path | None, typer.Option(help="Folder of the installation; default ~/.cinnabar.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        try:
            run = Runtime.open(Settings.load(home))
        except KeyUnreadable as error:
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(2) from error
        try:
            changed = write_files(run, folder)
        except OSError as error:
            sys.stderr.write(f"cannot write to {folder}: {error.strerror}. Run this as root, or choose --folder.\n")
            raise typer.Exit(2) from error
        finally:
            run.close()
        if as_json:
            sys.stdout.write(json.dumps({"folder": str(folder), "changed": changed}) + "\n")
        elif changed:
            sys.stdout.write(f"{folder}: {', '.join(changed)} new. Tell the broker: systemctl reload mosquitto\n")
        else:
            sys.stdout.write(f"{folder}: nothing to change.\n")
