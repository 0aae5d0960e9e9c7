"""Where an installation's own keys live: home/keys, one encrypted file per key, opened only when a role needs that key.

`index.json` beside them holds the public halves, so that showing or publishing a key needs no passphrase.
"""

import base64
import json
import os
import stat
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.core import keyfile
from server.core.keyfile import KeyUnreadable, Passphrase
from server.core.rng import Rng
from server.core.settings import Settings
from server.core.signer import Ed25519Signer, Purpose, Signer

SERVER_PURPOSES: Final = tuple(purpose for purpose in Purpose if purpose is not Purpose.EVENT)
"""Purposes for which the server holds a key; events are signed by devices alone."""

_INDEX: Final = "index.json"
_MASTER: Final = "storage"
_T = TypeVar("_T")


class CertificateKey(StrEnum):
    """P-256 keys that stand behind X.509 certificates."""

    CA = "ca"  # the local authority for TLS
    TLS = "tls"
    ESEAL_CA = "eseal-ca"
    ESEAL = "eseal"
    TSA = "tsa"


class KeyStore:
    """The keys of one home. Thread-safe; a key is decrypted at its first use and kept in memory."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder = folder
        self._passphrase = Passphrase(passphrase)
        self._opened: dict[str, Any] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(cls, settings: Settings) -> "KeyStore":
        """The keys of `settings.home`.

        Raises: KeyUnreadable, when there is no home yet or the passphrase file is readable by others.
        """
        folder = settings.home / "keys"
        if not (folder / _INDEX).is_file():
            raise KeyUnreadable(f"no keys in {folder}; run `cinnabar init` first")
        return cls(folder, passphrase_of(settings))

    @classmethod
    def create(cls, folder: Path, passphrase: bytes, rng: Rng) -> "KeyStore":
        """Make every key of an installation in `folder`.

        Raises: FileExistsError, when keys are there already: they are never overwritten.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / _INDEX).exists():
            raise FileExistsError(folder / _INDEX)
        made = cls(folder, passphrase)
        public: dict[str, str] = {}
        for purpose in SERVER_PURPOSES:
            key = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(32))
            made.keep(_file_of(purpose), key, rng)
            public[purpose.value] = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        for name in CertificateKey:
            curve_key = ec.generate_private_key(ec.SECP256R1())
            made.keep(f"{name}.pem", curve_key, rng)
            spki = curve_key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            public[name.value] = base64.b64encode(spki).decode()
        # The master secret rides in the same format: 32 bytes are a valid Ed25519 seed.
        master = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(32))
        made.keep(f"{_MASTER}.pem", master, rng)
        keyfile.write_private(folder / _INDEX, json.dumps(public, indent=1, sort_keys=True).encode())
        return made

    def keep(self, file_name: str, key: PrivateKeyTypes, rng: Rng) -> None:
        """Write `key` beside the others, under the same passphrase.

        Raises: FileExistsError: a key is never overwritten.
        """
        keyfile.write_private(self._folder / file_name, keyfile.seal(key, self._passphrase, rng))

    def signer(self, purpose: Purpose) -> Signer:
        """The one signer for `purpose`.

        Raises: KeyUnreadable.
        """

        def load() -> Signer:
            key = self._private(_file_of(purpose))
            if not isinstance(key, Ed25519PrivateKey):
                raise KeyUnreadable(f"{purpose} is not an Ed25519 key")
            return Ed25519Signer(purpose, key)

        return self._once(purpose.value, load)

    def public_key(self, purpose: Purpose) -> bytes:
        """32 bytes, without opening the private key."""
        return base64.b64decode(self._index()[purpose.value])

    def certificate_key(self, name: CertificateKey) -> ec.EllipticCurvePrivateKey:
        """A P-256 private key for X.509.

        Raises: KeyUnreadable.
        """

        def load() -> ec.EllipticCurvePrivateKey:
            key = self._private(f"{name}.pem")
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise KeyUnreadable(f"{name} is not a P-256 key")
            return key

        return self._once(name.value, load)

    def secret(self, name: str) -> bytes:
        """32 bytes derived for one use ('cookies', 'short-codes', ...), the same in every process."""

        def load() -> bytes:
            info = b"cinnabar/" + name.encode()
            return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self._master())

        return self._once(f"secret:{name}", load)

    def wrap(self, record_key: bytes, *, context: bytes, rng: Rng) -> bytes:
        """`record_key` (32 bytes) encrypted under the storage key and bound to `context`; 60 bytes."""
        nonce = rng.token_bytes(12)
        return nonce + AESGCM(self.secret("wrap")).encrypt(nonce, record_key, context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """The record key that `wrap` hid.

        Raises: KeyUnreadable, when it was made under another storage key or for another record.
        """
        try:
            return AESGCM(self.secret("wrap")).decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError) as error:
            raise KeyUnreadable("record key does not open") from error

    def _master(self) -> bytes:
        def load() -> bytes:
            key = self._private(f"{_MASTER}.pem")
            if not isinstance(key, Ed25519PrivateKey):
                raise KeyUnreadable("the storage key is damaged")
            return key.private_bytes_raw()

        return self._once(_MASTER, load)

    def _private(self, file_name: str) -> object:
        try:
            pem = (self._folder / file_name).read_bytes()
        except OSError as error:
            raise KeyUnreadable(f"cannot read {self._folder / file_name}") from error
        return keyfile.unseal(pem, self._passphrase)

    def _index(self) -> dict[str, str]:
        def load() -> dict[str, str]:
            index: dict[str, str] = json.loads((self._folder / _INDEX).read_bytes())
            return index

        return self._once(_INDEX, load)

    def _once(self, name: str, load: Callable[[], _T]) -> _T:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = load()
            value: _T = self._opened[name]
            return value


def passphrase_of(settings: Settings) -> bytes:
    """The passphrase from the environment, else from its file, which nobody else may read.

    Raises: KeyUnreadable.
    """
    if settings.key_passphrase is not None:
        return settings.key_passphrase.get_secret_value().encode()
    path = settings.key_passphrase_file or settings.home / "secrets" / "passphrase"
    try:
        with path.open("rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            passphrase = source.read().strip()
    except OSError as error:
        raise KeyUnreadable(f"no passphrase: set CINNABAR_KEY_PASSPHRASE or write {path}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyUnreadable(f"{path} is readable by others; chmod 600 it")
    if not passphrase:
        raise KeyUnreadable(f"{path} is empty")
    return passphrase


def _file_of(purpose: Purpose) -> str:
    return purpose.value.replace("/", "-") + ".pem"
