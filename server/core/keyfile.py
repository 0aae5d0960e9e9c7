"""Private keys at rest: PKCS#8 encrypted with PBES2 (RFC 8018): PBKDF2-HMAC-SHA256 and AES-256-CBC.

`cryptography` writes PKCS#8 with 2,048 iterations only and cannot be told otherwise, which is weak against guessing;
so the envelope is built here with 600,000, and any PKCS#8 reader (openssl, cryptography) opens it. Stretching the
passphrase costs 0.1 s. The keys of one `Passphrase` share a salt, so a process pays it once, not once a key; a guesser
gains nothing by it: one file of a home was always enough to try guesses on.
"""

import base64
import os
import threading
from pathlib import Path
from typing import Final

from asn1crypto import algos, core, keys
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from server.core.rng import Rng

ITERATIONS: Final = 600_000
"""PBKDF2-HMAC-SHA256 rounds; OWASP Password Storage Cheat Sheet (2023)."""

_PEM_LABEL: Final = "ENCRYPTED PRIVATE KEY"


class KeyUnreadable(Exception):
    """A key file is missing, damaged, or the passphrase is wrong."""


class Passphrase:
    """A passphrase that remembers, in memory, what it was stretched to. Thread-safe."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._salt: bytes | None = None
        self._stretched: dict[tuple[bytes, int], bytes] = {}
        self._lock = threading.Lock()

    def salt(self, rng: Rng) -> bytes:
        """16 bytes, the same for every key that is sealed under this object."""
        with self._lock:
            self._salt = self._salt or rng.token_bytes(16)
            return self._salt

    def stretch(self, salt: bytes, iterations: int) -> bytes:
        """32 bytes."""
        with self._lock:
            if (salt, iterations) not in self._stretched:
                kdf = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=iterations)
                self._stretched[salt, iterations] = kdf.derive(self._secret)
            return self._stretched[salt, iterations]


def seal(private_key: PrivateKeyTypes, passphrase: Passphrase, rng: Rng, *, iterations: int = ITERATIONS) -> bytes:
    """`private_key` as encrypted PKCS#8, PEM."""
    plain = private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, iv = passphrase.salt(rng), rng.token_bytes(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(AES256(passphrase.stretch(salt, iterations)), CBC(iv)).encryptor()
    padded = padder.update(plain) + padder.finalize()
    envelope = keys.EncryptedPrivateKeyInfo(
        {
            "encryption_algorithm": {
                "algorithm": "pbes2",
                "parameters": {
                    "key_derivation_func": algos.KdfAlgorithm(
                        {
                            "algorithm": "pbkdf2",
                            "parameters": {
                                "salt": algos.Pbkdf2Salt(name="specified", value=salt),
                                "iteration_count": iterations,
                                "prf": {"algorithm": "sha256", "parameters": core.Null()},
                            },
                        }
                    ),
                    "encryption_scheme": {"algorithm": "aes256_cbc", "parameters": iv},
                },
            },
            "encrypted_data": encryptor.update(padded) + encryptor.finalize(),
        }
    )
    return _pem(envelope.dump())


def unseal(pem: bytes, passphrase: Passphrase) -> PrivateKeyTypes:
    """The private key in `pem`, a file that `seal` wrote.

    Raises: KeyUnreadable.
    """
    try:
        body = "".join(line for line in pem.decode("ascii").split("\n") if not line.startswith("-----"))
        envelope = keys.EncryptedPrivateKeyInfo.load(base64.b64decode(body, validate=True), strict=True)
        method = envelope["encryption_algorithm"]
        if (method.kdf, method.kdf_hmac, method.encryption_cipher, method.key_length) != (
            "pbkdf2",
            "sha256",
            "aes",
            32,
        ):
            raise KeyUnreadable("the key file is not encrypted as Cinnabar encrypts")
        key = passphrase.stretch(method.kdf_salt, method.kdf_iterations)
        decryptor = Cipher(AES256(key), CBC(method.encryption_iv)).decryptor()
        padded = decryptor.update(envelope["encrypted_data"].native) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return serialization.load_der_private_key(unpadder.update(padded) + unpadder.finalize(), None)
    except (ValueError, TypeError) as error:
        raise KeyUnreadable("damaged key file or wrong passphrase") from error


def write_private(path: Path, data: bytes) -> None:
    """Create `path` with mode 0600, durable before this returns.

    Raises: FileExistsError: a key is never overwritten.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())
    sync_folder(path.parent)


def plain_pem(key: PrivateKeyTypes) -> bytes:
    """PKCS#8 without a passphrase, for a library that takes nothing else; only into `memory_folder` or mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def memory_folder() -> Path | None:
    """A parent for private folders that never reach a disk, where the system has one."""
    memory = Path("/dev/shm")  # noqa: S108 - only as the parent of a private folder
    return memory if memory.is_dir() else None


def sync_folder(folder: Path) -> None:
    """Make a creation or rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pem(der: bytes) -> bytes:
    body = base64.b64encode(der).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {_PEM_LABEL}-----", *lines, f"-----END {_PEM_LABEL}-----", ""]).encode()
