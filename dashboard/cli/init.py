"""`cinnabar init`: the home, keys, offline root, certificates, trust bundle and database of an installation."""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from cryptography.hazmat.primitives import serialization

from firmware_protocol.purposes import Purpose
from server.core import ceremony, keyfile, tls
from server.core.ceremony import HomeExists, NewHome
from server.core.clock import Clock, SystemClock
from server.core.db import Database
from server.core.keystore import SERVER_PURPOSES, CertificateKey
from server.core.rng import Rng, SystemRng
from server.core.scope import WHOLE_TENANT
from server.core.settings import Settings
from server.core.trustfile import TrustFile
from server.eseals import ca
from server.ledger import service as ledger
from server.ledger.checkpoint import origin_of
from server.ledger.entry_types import EntryType
from server.ledger.schemas import INSTALLATION
from server.migrations import migrate
from server.verification import trust

ANCHOR_LIFETIME_S: Final = 10 * 365 * 86400
"""Ten years: the root is opened for a theft or a rotation, not every year."""
_KEPT: Final = (
    "installation",
    "country",
    "host",
    "bind",
    "web_port",
    "public_port",
    "mqtt_port",
    "language",
    "demo",
    "public_url",
)
"""Settings that `init` writes to home/settings.env, because certificates, codes and the log's name depend on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstallation:
    """What a person may want to know about a new installation."""

    home: Path
    installation_id: UUID
    root_key: bytes  # 32 bytes, to pin
    ca_fingerprint: str
    kit: tuple[Path, ...]


def create_installation(
    settings: Settings, *, clock: Clock, rng: Rng, threshold: int = 2, shares: int = 3
) -> NewInstallation:
    """Make a whole installation in `settings.home`.

    Raises: HomeExists.
    """

    def fits(public_key: bytes) -> bool:
        return trust.is_demo_root(public_key) == settings.demo

    made = ceremony.create_home(settings, clock=clock, rng=rng, fits=fits, threshold=threshold, shares=shares)
    authority = _make_eseal_certificates(settings, made, clock, rng)
    _write_trust(settings, made, authority, now=int(clock.now().timestamp()))
    lines = [f"CINNABAR_{name.upper()}={json.dumps(getattr(settings, name))}" for name in _KEPT]
    keyfile.write_private(settings.home / "settings.env", "\n".join([*lines, ""]).encode())
    database = Database(settings.database_url)
    migrate(database)
    _record_beginning(settings, database, made, clock, rng)
    database.close()
    ceremony.finish(settings, made)
    return NewInstallation(
        home=settings.home,
        installation_id=made.installation_id,
        root_key=made.root.public_key,
        ca_fingerprint=tls.ca_fingerprint(settings),
        kit=made.kit,
    )


def _write_trust(settings: Settings, made: NewHome, authority: ca.Authority, *, now: int) -> None:
    anchor = trust.Anchor(
        installation_id=made.installation_id,
        name=settings.installation,
        host=settings.host,
        demo=settings.demo,
        number=1,
        issued=now,
        expires=now + ANCHOR_LIFETIME_S,
        root_key=made.root.public_key,
        keys=tuple(
            trust.IssuerKey(purpose=purpose, public_key=made.keys.public_key(purpose), valid_from=now, valid_until=None)
            for purpose in SERVER_PURPOSES
        ),
        log_name=origin_of(settings.public_url),
        authorities=(authority.certificate.public_bytes(serialization.Encoding.DER),),
    )
    signed = trust.sign_anchor(anchor, root=made.root)
    bundle = trust.issue(
        signed,
        key=made.keys.signer(Purpose.BUNDLE),
        version=1,
        issued=now,
        expires=now + trust.LIFETIME_S,
        crls=((settings.home / "eseal" / "crl.der").read_bytes(),),
    )
    TrustFile(settings.home).create(signed, bundle)


def _record_beginning(settings: Settings, database: Database, made: NewHome, clock: Clock, rng: Rng) -> None:
    """Entry 0 of the log: whose it is, and which keys it began with."""
    signed = TrustFile(settings.home).anchor()
    with database.write() as db:
        ledger.record(
            db,
            key=made.keys.signer(Purpose.ENTRY),
            entry_type=EntryType.INSTALLATION,
            refs={"installation": made.installation_id},
            public={
                "installation_id": made.installation_id,
                "origin": origin_of(settings.public_url),
                "host": settings.host,
                "demo": settings.demo,
                "keys": {purpose.name.lower(): made.keys.public_key(purpose) for purpose in SERVER_PURPOSES},
                "root_key": made.root.public_key,
                "trust_digest": hashlib.sha256(signed).digest(),
            },
            private={"name": settings.installation},
            tenant_id=INSTALLATION,
            branch_path=WHOLE_TENANT,
            now=clock.now(),
            rng=rng,
            clock=clock,
        )


def _make_eseal_certificates(settings: Settings, made: NewHome, clock: Clock, rng: Rng) -> ca.Authority:
    """home/eseal: ca.pem, seal.pem, tsa.pem, crl.der."""
    folder = settings.home / "eseal"
    folder.mkdir(mode=0o700)
    now = clock.now()

    def holder(common_name: str) -> ca.Holder:
        return ca.Holder(organization=settings.installation, common_name=common_name, country=settings.country)

    root_key = made.keys.certificate_key(CertificateKey.ESEAL_CA)
    root = ca.make_root(
        root_key,
        holder=holder(f"{settings.installation} seal authority"),
        now=now,
        serial=rng.token_bytes(16),
        demo=settings.demo,
    )
    authority = ca.Authority(key=root_key, certificate=root)
    seal = ca.issue_seal_certificate(
        authority,
        made.keys.certificate_key(CertificateKey.ESEAL).public_key(),
        holder=holder(f"{settings.installation} electronic seal"),
        now=now,
        serial=rng.token_bytes(16),
    )
    tsa = ca.issue_tsa_certificate(
        authority,
        made.keys.certificate_key(CertificateKey.TSA).public_key(),
        holder=holder(f"{settings.installation} time stamps"),
        now=now,
        serial=rng.token_bytes(16),
    )
    for name, certificate in (("ca", root), ("seal", seal), ("tsa", tsa)):
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    crl = ca.make_crl(authority, revoked=(), number=1, now=now)
    (folder / "crl.der").write_bytes(crl.public_bytes(serialization.Encoding.DER))
    return authority


def register(app: typer.Typer) -> None:
    @app.command("init", help="Make the keys, the offline root, the local CA and the database of an installation.")
    def init(
        *,
        home: Annotated[Path | None, typer.Option(help="Folder of the installation; default ~/.cinnabar.")] = None,
        name: Annotated[str | None, typer.Option(help="Name of the company or office.")] = None,
        host: Annotated[str | None, typer.Option(help="Host name that people type and codes carry.")] = None,
        shares: Annotated[int, typer.Option(help="Into how many shares the root is split.")] = 3,
        threshold: Annotated[int, typer.Option(help="How many shares open it.")] = 2,
        demo: Annotated[bool, typer.Option("--demo", help="A demo, whose keys never count elsewhere.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        loaded = Settings.load(home)
        given = {key: value for key, value in (("installation", name), ("host", host)) if value is not None}
        # Built anew, not copied: the addresses follow from the host.
        kept = loaded.model_dump(exclude_unset=True, exclude={"public_url"} if host else None)
        settings = Settings(**{**kept, "home": loaded.home, "demo": demo or loaded.demo, **given})
        try:
            made = create_installation(
                settings, clock=SystemClock(), rng=SystemRng(), threshold=threshold, shares=shares
            )
        except HomeExists as error:
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(2) from error
        sys.stdout.write(_as_json(made) if as_json else _as_text(made, settings))


def _as_json(made: NewInstallation) -> str:
    facts = {
        "home": str(made.home),
        "installation_id": str(made.installation_id),
        "root_key": made.root_key.hex(),
        "ca_fingerprint": made.ca_fingerprint,
        "kit": [str(path) for path in made.kit],
    }
    return json.dumps(facts) + "\n"


def _as_text(made: NewInstallation, settings: Settings) -> str:
    lines = [
        f"Installation  {settings.installation} at {settings.host}",
        f"Home          {made.home}",
        f"Root key      {made.root_key.hex(' ', 4)}",
        f"HTTPS         {settings.web_url}",
        f"Local CA      {made.ca_fingerprint}",
    ]
    if made.kit:
        lines += ["", "Print these shares, hand them to different people, then delete the files:"]
        lines += [f"  {path}" for path in made.kit]
    if settings.demo:
        lines += ["", "DEMO: nothing that these keys sign counts outside this demo."]
    return "\n".join([*lines, "", "Next: cinnabar serve", ""])
