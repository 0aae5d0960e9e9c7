"""Withdrawn codes of imprints go into the trust bundle, so that a paper says so offline, too."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sqlmodel import Session

from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.trustfile import TrustFile
from server.jobs import service as jobs
from server.verification import trust, withdrawn
from server.verification.code import code_hash

WITHDRAW: Final = "events.withdraw_code"
RENEW_AFTER: Final = timedelta(hours=20)
"""A client tells how old its list of withdrawn codes is, so a bundle without news is signed anew every day."""


def withdraw_code(db: Session, run: Runtime, trace_code: bytes) -> None:
    """Promise that this code is in the trust bundle soon. The CODE_WITHDRAWN entry is the caller's."""
    about = {"code": code_hash(trace_code).hex(), "since": int(run.now().timestamp())}
    jobs.enqueue(db, WITHDRAW, about, now=run.now())


def publish(run: Runtime, codes: Mapping[bytes, int]) -> None:
    """A new trust bundle that names these codes (SHA-256 to Unix second), too; without news there is none."""

    def change(anchor: bytes, current: bytes) -> bytes:
        before = trust.read_bundle(current)
        fresh = {code: since for code, since in codes.items() if before.withdrawn_since(code) is None}
        if not fresh:
            return current
        known = withdrawn.unpack(before.withdrawn_codes)
        return _signed(run, anchor, current, withdrawn.pack(known | fresh))

    TrustFile(run.settings.home).update(change)


def renew(run: Runtime) -> bool:
    """Sign the same bundle again when it is old. Whether it was."""
    file = TrustFile(run.settings.home)
    if not _is_old(run, file.bundle()):
        return False

    def change(anchor: bytes, current: bytes) -> bytes:
        same = trust.read_bundle(current).withdrawn_codes
        return _signed(run, anchor, current, same) if _is_old(run, current) else current

    file.update(change)
    return True


def _is_old(run: Runtime, bundle: bytes) -> bool:
    return run.now().timestamp() - trust.read_bundle(bundle).issued >= RENEW_AFTER.total_seconds()


def _signed(run: Runtime, anchor: bytes, current: bytes, codes: bytes) -> bytes:
    key, issued = run.keys.signer(Purpose.BUNDLE), int(run.now().timestamp())
    return trust.reissue(anchor, current, key=key, issued=issued, withdrawn_codes=codes)
