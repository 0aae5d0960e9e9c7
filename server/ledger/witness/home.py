"""A witness's folder: its name, its encrypted key, its memory. Nothing in it belongs to any log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.core import keyfile
from server.core.keyfile import KeyUnreadable, Passphrase
from server.core.rng import Rng
from server.ledger.cosignature import WitnessKey
from server.ledger.witness.state import State

NAME: Final = "name"
KEY: Final = "key.pem"
PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a file
STATE: Final = "state.sqlite3"


class WitnessExists(Exception):
    """There is a witness in this folder already; nothing was changed."""


class LocalKey:
    """An Ed25519 key in this process's memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


@dataclass(frozen=True, slots=True)
class WitnessHome:
    """`passphrase_file`: where the key's passphrase is; default beside the key, mode 0600."""

    folder: Path
    passphrase_file: Path | None = None

    def create(self, name: str, rng: Rng) -> WitnessKey:
        """Make key and memory. Raises: WitnessExists, BadCosignature for a name that notes cannot carry."""
        key = Ed25519PrivateKey.from_private_bytes(rng.token_bytes(32))
        vkey = WitnessKey(name=name, public_key=key.public_key().public_bytes_raw())
        WitnessKey.parse(vkey.text())
        if (self.folder / KEY).exists():
            raise WitnessExists(f"There is a witness in {self.folder} already; nothing was changed.")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._passphrase_path.exists():
            keyfile.write_private(self._passphrase_path, rng.token_bytes(32).hex().encode() + b"\n")
        State(self.folder / STATE).close()
        keyfile.write_private(self.folder / NAME, f"{name}\n".encode())
        keyfile.write_private(self.folder / KEY, keyfile.seal(key, self._passphrase(), rng))
        return vkey

    def name(self) -> str:
        """Raises: KeyUnreadable, when there is no witness here."""
        try:
            return (self.folder / NAME).read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise KeyUnreadable(f"there is no witness in {self.folder}; run `cinnabar witness init`") from error

    def key(self) -> LocalKey:
        """Raises: KeyUnreadable."""
        try:
            found = keyfile.unseal((self.folder / KEY).read_bytes(), self._passphrase())
        except FileNotFoundError as error:
            raise KeyUnreadable(f"{error.filename} is missing") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise KeyUnreadable("the witness's key is not an Ed25519 key")
        return LocalKey(found)

    def state(self) -> State:
        """Raises: KeyUnreadable, when the memory is gone: a witness that forgot must not cosign; StateUnusable."""
        path = self.folder / STATE
        if not path.exists():
            raise KeyUnreadable(f"{path} is missing; a witness that forgot what it saw must not cosign")
        return State(path)

    @property
    def _passphrase_path(self) -> Path:
        return self.passphrase_file or self.folder / PASSPHRASE

    def _passphrase(self) -> Passphrase:
        try:
            return Passphrase(self._passphrase_path.read_bytes().strip())
        except FileNotFoundError as error:
            raise KeyUnreadable(f"{self._passphrase_path} is missing") from error
