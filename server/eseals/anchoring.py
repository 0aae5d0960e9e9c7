"""Time stamps (RFC 3161) over the ledger's checkpoints: by our own authority, and by those in the settings.

What is stamped is the exact note of the newest published checkpoint, as the log signed it. A stamp is kept only when it
verifies against the authority's certificates here, now: then `openssl ts -verify` accepts it later.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlmodel import Session

from server.core.runtime import Runtime
from server.eseals import authority
from server.ledger import service as ledger
from server.ledger.service import AnchorRead

if TYPE_CHECKING:
    from pyhanko.sign.validation.status import TimestampSignatureStatus

OWN: Final = "own"
"""Name of the installation's own authority among anchors."""
ANSWER_S: Final = 8.0
MAX_ANSWER: Final = 64 * 1024
"""A stamp with its certificates has 1 to 8 kB."""
EVERY_S: Final = 30.0
TYPE: Final = "application/timestamp-query"

log = structlog.get_logger("eseals")

Ask = Callable[[bytes], bytes]
"""DER TimeStampReq -> DER TimeStampResp. Raises: NoStamp."""


class Check(Protocol):
    """What `verify` does, in this process or another. Raises: NoStamp."""

    def __call__(
        self, answer: bytes, note: bytes, *, certificates: Sequence[x509.Certificate], now: datetime, nonce: int | None
    ) -> datetime: ...


class NoStamp(Exception):
    """The authority did not answer, refused, or its stamp does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAuthority:
    """Where stamps come from and what they are checked against."""

    name: str
    own: bool
    ask: Ask
    certificates: tuple[x509.Certificate, ...]  # the root, and whatever stands between


class Anchoring:
    """Stamps what is due. An authority that failed is left alone for one interval. One per worker."""

    def __init__(self, *, check: Check | None = None) -> None:
        """`check`: another way to do what `verify` does."""
        self._check = check or verify
        self._not_before: dict[str, float] = {}

    def stamp_due(self, run: Runtime) -> list[AnchorRead]:
        """Ask every authority that has not stamped since the log grew; returns what was kept. Call outside sessions."""
        if not run.settings.anchor_minutes:
            return []
        interval = timedelta(minutes=run.settings.anchor_minutes)
        with run.db.read() as db:
            due = _due(db, run, interval)
        if due is None:
            return []
        size, note, names = due
        moment = run.clock.monotonic()
        wanted = [one for one in authorities(run, names) if moment >= self._not_before.get(one.name, moment)]
        if not wanted:
            return []
        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            answered = list(pool.map(lambda one: _try(one, note.encode(), run, self._check), wanted))
        kept = []
        for one, answer in zip(wanted, answered, strict=True):
            if answer is None:
                self._not_before[one.name] = run.clock.monotonic() + interval.total_seconds()
                continue
            found = AnchorRead(size=size, authority=one.name, own=one.own, stamped_at=answer[1], answer=answer[0])
            with run.db.write() as db:
                ledger.keep_anchor(db, found, now=run.now())
            kept.append(found)
        return kept


def authorities(run: Runtime, names: Sequence[str]) -> list[TimeAuthority]:
    """Those of `names` that can be used now; one whose certificates cannot be read is named in the log."""
    found = []
    if OWN in names:
        found.append(_own(run))
    for setting in run.settings.time_authorities:
        if setting.name in names:
            try:
                certificates = x509.load_pem_x509_certificates(setting.certificates.read_bytes())
            except (OSError, ValueError) as error:
                log.warning("time_authority_unusable", authority=setting.name, reason=str(error))
                continue
            ask = _over_http(setting.url)
            found.append(TimeAuthority(name=setting.name, own=setting.own, ask=ask, certificates=tuple(certificates)))
    return found


def stamp(
    note: bytes, one: TimeAuthority, *, nonce: bytes, now: datetime, check: Check | None = None
) -> tuple[bytes, datetime]:
    """(DER TimeStampResp, its time) over `note`. Raises: NoStamp."""
    from asn1crypto import algos, tsp

    imprint = hashlib.sha256(note).digest()
    number = int.from_bytes(b"\x01" + nonce)
    request = tsp.TimeStampReq(
        {
            "version": 1,
            "message_imprint": {
                "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "hashed_message": imprint,
            },
            "nonce": number,
            "cert_req": True,
        }
    )
    answer = one.ask(request.dump())
    return answer, (check or verify)(answer, note, certificates=one.certificates, now=now, nonce=number)


def verify(
    answer: bytes, note: bytes, *, certificates: Sequence[x509.Certificate], now: datetime, nonce: int | None = None
) -> datetime:
    """The time that `answer` proves for `note`, under these certificates as they hold at `now`. Raises: NoStamp."""
    status = checked(answer, note, certificates=certificates, now=now, nonce=nonce)
    if not (status.intact and status.valid and status.trusted):
        raise NoStamp("its signature does not hold under the authority's certificates")
    return status.timestamp


def checked(
    answer: bytes, note: bytes, *, certificates: Sequence[x509.Certificate], now: datetime, nonce: int | None = None
) -> "TimestampSignatureStatus":
    """Everything that its CMS says, with what holds and what does not. Raises: NoStamp, when it cannot be read."""
    from asn1crypto import tsp
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
    from pyhanko.sign.validation.status import TimestampSignatureStatus

    from server.eseals import der
    from server.eseals.tsa import answer_is_granted

    try:
        if not answer_is_granted(answer):
            raise NoStamp("refused")
        signed = tsp.TimeStampResp.load(answer, strict=True)["time_stamp_token"]["content"]
        info = signed["encap_content_info"]["content"].parsed
        if nonce is not None and info["nonce"].native != nonce:
            raise NoStamp("another nonce: an answer to another question")
        answered = validate_tst_signed_data(signed, _context(certificates, now), lambda name: _digest(name, note))
        return TimestampSignatureStatus(**asyncio.run(answered))
    except (der.MalformedDer, SignatureValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoStamp(f"unreadable: {error}") from error


def _due(db: Session, run: Runtime, interval: timedelta) -> tuple[int, str, list[str]] | None:
    """(size, note, authorities) of what is to be stamped now; None: nothing."""
    size = ledger.published_size(db)
    note = ledger.checkpoint_as_stamped(db, size)
    if not size or note is None:
        return None
    every = [OWN, *(one.name for one in run.settings.time_authorities)]
    last = {name: ledger.last_anchor(db, name) for name in every}
    due = [
        name
        for name, before in last.items()
        if before is None or (before[0] < size and run.now() - before[1] >= interval)
    ]
    return (size, note, due) if due else None


def _try(one: TimeAuthority, note: bytes, run: Runtime, check: Check) -> tuple[bytes, datetime] | None:
    try:
        return stamp(note, one, nonce=run.rng.token_bytes(8), now=run.now(), check=check)
    except NoStamp as error:
        log.warning("checkpoint_not_stamped", authority=one.name, reason=str(error))
        return None


def _own(run: Runtime) -> TimeAuthority:
    from server.eseals.tsa import TimestampAuthority

    at_work = authority.open_authority(run)
    ours = TimestampAuthority(at_work.tsa)

    def ask(request: bytes) -> bytes:
        return ours.stamp(request, now=run.now(), serial=run.rng.token_bytes(16))

    return TimeAuthority(name=OWN, own=True, ask=ask, certificates=(at_work.root,))


def _over_http(url: str) -> Ask:
    def ask(request: bytes) -> bytes:
        try:
            with httpx.stream("POST", url, content=request, headers={"Content-Type": TYPE}, timeout=ANSWER_S) as answer:
                data = b""
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > MAX_ANSWER:
                        raise NoStamp(f"more than {MAX_ANSWER} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoStamp(type(error).__name__) from error
        if answer.status_code != httpx.codes.OK:
            raise NoStamp(f"HTTP {answer.status_code}")
        return data

    return ask


def _context(certificates: Sequence[x509.Certificate], now: datetime) -> Any:  # noqa: ANN401 - pyHanko loads here only
    from asn1crypto import x509 as asn1_x509
    from pyhanko_certvalidator import ValidationContext

    loaded = [asn1_x509.Certificate.load(one.public_bytes(Encoding.DER)) for one in certificates]
    roots = [one for one in loaded if one.self_signed in {"yes", "maybe"}]
    return ValidationContext(trust_roots=roots or loaded, other_certs=loaded, allow_fetching=False, moment=now)


def _digest(name: str, note: bytes) -> bytes:
    return hashlib.new(name, note).digest()
