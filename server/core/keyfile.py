"""Private keys at rest: PKCS#8 encrypted with PBES2 (RFC 8018): PBKDF2-HMAC-SHA256 and AES-256-CBC.

`cryptography` writes PKCS#8 with 2,048 iterations only and cannot be told otherwise, which is weak against guessing;
so the envelope is built here with 600,000, and any PKCS#8 reader (openssl, cryptography) opens it. The cost is paid
once per key and process, about 0.1 s.
"""

import base64
import os
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


def seal(private_key: PrivateKeyTypes, passphrase: bytes, rng: Rng, *, iterations: int = ITERATIONS) -> bytes:
    """`private_key` as encrypted PKCS#8, PEM."""
    plain = private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    salt, iv = rng.token_bytes(16), rng.token_bytes(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(AES256(_stretch(passphrase, salt, iterations)), CBC(iv)).encryptor()
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


def unseal(pem: bytes, passphrase: bytes) -> PrivateKeyTypes:
    """The private key in `pem`.

    Raises: KeyUnreadable.
    """
    try:
        return serialization.load_pem_private_key(pem, passphrase)
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


def sync_folder(folder: Path) -> None:
    """Make a creation or rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stretch(passphrase: bytes, salt: bytes, iterations: int) -> bytes:
    return PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=iterations).derive(passphrase)


def _pem(der: bytes) -> bytes:
    body = base64.b64encode(der).decode()
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {_PEM_LABEL}-----", *lines, f"-----END {_PEM_LABEL}-----", ""]).encode()
