"""The verdict on a sealed PDF with nothing but trust bundles: no database, no network. Pure."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509

from firmware_protocol import trace
from firmware_protocol.errors import ProtocolError
from server.verification.code import code_hash
from server.verification.trust import TrustBundle

if TYPE_CHECKING:
    from server.eseals.verdict import SealVerdict

CODE_KIND: Final = "code"
"""Kind of a withdrawal that names a trace code by its hash."""
_T = TypeVar("_T")
_CODE_URL: Final = re.compile(r"HTTPS://\S+/V/[A-Z2-7]+")


def sealing_reason(request_name: str, trace_url: str) -> str:
    """What the seal says of itself inside the signed bytes; readers show it, `codes_of` finds the code in it."""
    return f"Request {request_name}. Trace code {trace_url}"


def verdict_of(
    data: bytes,
    bundles: Sequence[TrustBundle],
    *,
    now: datetime,
    known_digests: Callable[[bytes], bool] | None = None,
) -> "SealVerdict":
    """The strict verdict under every authority that these bundles name; never raises on input. `now` is aware.

    `known_digests`: whether the ledger lists the SHA-256 of a sealed file; None when there is no ledger to ask. A seal
    whose trace code was withdrawn is "cannot_verify" with reason `withdrawn`, however intact its file is.
    """
    from server.eseals.verdict import verify_sealed_pdf  # pyHanko: half a second, paid at the first sealed PDF

    verdict = verify_sealed_pdf(
        data,
        trusted_roots=_loaded(
            x509.load_der_x509_certificate, [der for one in bundles for der in one.anchor.authorities]
        ),
        known_digests=known_digests,
        now=now,
        revocation_lists=_loaded(x509.load_der_x509_crl, [der for one in bundles for der in one.crls]),
    )
    if verdict.outcome != "sealed":
        return verdict
    withdrawn = {one.id for bundle in bundles for one in bundle.withdrawals if one.kind == CODE_KIND}
    if withdrawn and any(code_hash(code) in withdrawn for code in codes_of(data)):
        return replace(verdict, outcome="cannot_verify", reasons=("withdrawn",))
    return verdict


def codes_of(data: bytes) -> list[bytes]:
    """The signed trace codes that the seals of a file name, of a file that has passed the verdict."""
    from pyhanko.pdf_utils.reader import PdfFileReader

    reasons = [str(seal.sig_object.get("/Reason", "")) for seal in PdfFileReader(io.BytesIO(data)).embedded_signatures]
    found = []
    for match in _CODE_URL.finditer("\n".join(reasons)):
        try:
            found.append(trace.parse_url(match.group()))
        except ProtocolError:
            continue
    return found


def _loaded(load: Callable[[bytes], _T], encoded: Sequence[bytes]) -> list[_T]:
    """What can be read; an entry that cannot be vouches for nothing."""
    found = []
    for der in encoded:
        try:
            found.append(load(der))
        except ValueError:
            continue
    return found
