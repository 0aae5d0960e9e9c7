"""`cinnabar init`: the home, all keys, and the offline root. Run once; it never overwrites anything.

The root's seed is encrypted; what opens it is split into shares for k of n people, printed as a kit and kept nowhere
else. A demo root is one encrypted file instead, carries the demo mark in the key itself, and can vouch for demos only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware_protocol.purposes import Purpose
from server.core import keyfile, shamir, tls
from server.core.clock import Clock
from server.core.ids import new_id
from server.core.keystore import KeyStore, passphrase_of
from server.core.rng import Rng
from server.core.settings import Settings
from server.core.shamir import Share, SharesBroken
from server.core.signer import Ed25519Signer

INSTALLATION: Final = "installation"
SEALED_ROOT: Final = "root.sealed"
DEMO_ROOT: Final = "root-demo.pem"
_INFO: Final = b"cinnabar offline root 1"


class HomeExists(Exception):
    """There is an installation already; `init` changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHome:
    """What `create_home` made; the root lives only as long as this object."""

    installation_id: UUID
    keys: KeyStore
    root: Ed25519Signer
    kit: tuple[Path, ...]  # files to print and then delete; none for a demo


def create_home(
    settings: Settings,
    *,
    clock: Clock,
    rng: Rng,
    fits: Callable[[bytes], bool],
    threshold: int = 2,
    shares: int = 3,
) -> NewHome:
    """Make everything. `fits(public key)` says whether a root may have this key (its demo mark).

    Raises: HomeExists.
    """
    home = settings.home
    if (home / INSTALLATION).exists():
        raise HomeExists(f"There is an installation in {home} already; nothing was changed.")
    if (home / "keys").exists():
        raise HomeExists(f"An earlier init in {home} did not finish; remove the folder and start again.")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    (home / "secrets").mkdir(mode=0o700, exist_ok=True)
    passphrase_file = settings.key_passphrase_file
    if settings.key_passphrase is None and passphrase_file is not None and not passphrase_file.exists():
        keyfile.write_private(passphrase_file, rng.token_bytes(32).hex().encode() + b"\n")
    keys = KeyStore.create(home / "keys", passphrase_of(settings), rng)
    root_key = _root_key(rng, fits)
    if settings.demo:
        keys.keep(DEMO_ROOT, root_key, rng)
        kit: tuple[Path, ...] = ()
    else:
        kit = _print_kit(settings, root_key, rng, threshold=threshold, shares=shares)
    tls.create_ca(settings, keys, now=clock.now())
    installation_id = new_id(clock, rng)
    root = Ed25519Signer(Purpose.BUNDLE, root_key)
    return NewHome(installation_id=installation_id, keys=keys, root=root, kit=kit)


def finish(settings: Settings, made: NewHome) -> None:
    """The last step of `init`: from here on the home counts as complete."""
    keyfile.write_private(settings.home / INSTALLATION, f"{made.installation_id}\n".encode())


def installation_id(settings: Settings) -> UUID:
    """Raises: FileNotFoundError before `cinnabar init`."""
    return UUID((settings.home / INSTALLATION).read_text().strip())


def demo_root(settings: Settings) -> Ed25519Signer:
    """The root of a demo home. Raises: KeyUnreadable."""
    path = settings.home / "keys" / DEMO_ROOT
    if not path.is_file():
        raise keyfile.KeyUnreadable("only a demo keeps its root on the machine")
    key = keyfile.unseal(path.read_bytes(), keyfile.Passphrase(passphrase_of(settings)))
    if not isinstance(key, Ed25519PrivateKey):
        raise keyfile.KeyUnreadable("the demo root is damaged")
    return Ed25519Signer(Purpose.BUNDLE, key)


def open_root(sealed: bytes, shares: list[Share]) -> Ed25519Signer:
    """The offline root from the sealed file and enough shares, for a ceremony on a machine without network.

    Raises: SharesBroken.
    """
    opener = shamir.combine(shares)
    try:
        seed = AESGCM(opener).decrypt(sealed[:12], sealed[12:], _INFO)
    except (InvalidTag, ValueError) as error:
        raise SharesBroken("these shares do not open this root") from error
    return Ed25519Signer(Purpose.BUNDLE, Ed25519PrivateKey.from_private_bytes(seed))


def _root_key(rng: Rng, fits: Callable[[bytes], bool]) -> Ed25519PrivateKey:
    while True:
        key = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(32))
        if fits(key.public_key().public_bytes_raw()):
            return key


def _print_kit(
    settings: Settings, root: Ed25519PrivateKey, rng: Rng, *, threshold: int, shares: int
) -> tuple[Path, ...]:
    opener, nonce = rng.token_bytes(32), rng.token_bytes(12)
    sealed = nonce + AESGCM(opener).encrypt(nonce, root.private_bytes_raw(), _INFO)
    keyfile.write_private(settings.home / "keys" / SEALED_ROOT, sealed)
    folder = settings.home / "root-kit"
    folder.mkdir(mode=0o700)
    written = []
    for share in shamir.split(opener, threshold=threshold, shares=shares, rng=rng):
        text = _KIT.format(
            name=settings.installation,
            host=settings.host,
            number=share.number,
            shares=shares,
            threshold=threshold,
            root=root.public_key().public_bytes_raw().hex(" ", 4),
            share=share.text(),
        )
        path = folder / f"share-{share.number}-of-{shares}.txt"
        keyfile.write_private(path, text.encode())
        written.append(path)
    return tuple(written)


_KIT: Final = """\
CINNABAR ROOT SHARE {number} of {shares}

Installation   {name}
Host           {host}
Root key       {root}

Any {threshold} of the {shares} shares, together with the file keys/root.sealed, open the root key.
The root signs new issuer keys after a theft or every few years. Nobody needs it from day to day.

Print this page, delete the file, and keep the paper where the other shares are not.

    {share}

Received by ____________________   Date ____________   Signature ____________________
"""
