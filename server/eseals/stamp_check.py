"""Check one time stamp in a process of its own: pyHanko takes 25 MB, which the worker would keep for good.

`python -m server.eseals.stamp_check` reads one JSON object from stdin and writes {"at": time} or {"refused": reason}.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.eseals import anchoring
from server.eseals.anchoring import NoStamp

CHECK_S: Final = 60.0
"""Longest check on a machine that is starting everything at once; 1 s alone."""
_ROOT: Final = Path(__file__).parents[2]


def verify_apart(
    answer: bytes, note: bytes, *, certificates: Sequence[x509.Certificate], now: datetime, nonce: int | None = None
) -> datetime:
    """As `anchoring.verify`. Raises: NoStamp."""
    question = {
        "answer": answer.hex(),
        "note": note.hex(),
        "certificates": [one.public_bytes(Encoding.DER).hex() for one in certificates],
        "now": now.isoformat(),
        "nonce": nonce,
    }
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            env=kept | {"PYTHONPATH": str(_ROOT)},
            timeout=CHECK_S,
            check=True,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NoStamp(f"not checked: {type(error).__name__}") from error
    if "refused" in said:
        raise NoStamp(said["refused"])
    return datetime.fromisoformat(said["at"])


def _main() -> None:
    question = json.load(sys.stdin)
    try:
        at = anchoring.verify(
            bytes.fromhex(question["answer"]),
            bytes.fromhex(question["note"]),
            certificates=[x509.load_der_x509_certificate(bytes.fromhex(one)) for one in question["certificates"]],
            now=datetime.fromisoformat(question["now"]),
            nonce=question["nonce"],
        )
    except NoStamp as error:
        sys.stdout.write(json.dumps({"refused": str(error)}))
    else:
        sys.stdout.write(json.dumps({"at": at.isoformat()}))


if __name__ == "__main__":
    _main()
