"""Who may write the log: a lease with a fencing number in the log's own row, checked inside every batch's transaction.

A lease alone can be outlived by a stopped process; the fence cannot: a batch of an older sequencer does not commit.
"""

import os
import socket
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from server.core.rng import Rng
from server.ledger import log_store
from server.ledger.errors import Fenced
from server.ledger.models import LedgerLog

LEASE: Final = timedelta(seconds=10)
"""How long a silent holder keeps others out; renewed with every batch and every third of it."""

_held_here: set[str] = set()


def new_holder(rng: Rng) -> str:
    """A name for one sequencer of this process: HOST:PID:NONCE."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{rng.token_bytes(8).hex()}"
    _held_here.add(holder)
    return holder


def take(db: Session, *, holder: str, origin: str, now: datetime) -> LedgerLog:
    """The log's row, now held by `holder`; made when the log is new.

    A holder that died on this machine is replaced at once, any other after its lease. Raises: Fenced, while it lives.
    """
    log = log_store.lock_log(db)
    if log is None:
        log = LedgerLog(id=log_store.LOG_ID, origin=origin, size=0, fence=0, held_until=now)
    if log.holder and log.held_until > now and not _is_dead(log.holder):
        raise Fenced(f"sequencer {log.holder} holds the log until {log.held_until.isoformat()}")
    log.fence += 1
    log.holder = holder
    log.held_until = now + LEASE
    db.add(log)
    db.flush()
    return log


def hold(db: Session, *, fence: int, now: datetime) -> int:
    """Lock the log's row and renew the lease; the log's size. Raises: Fenced, when another sequencer took over."""
    size = log_store.hold_log(db, fence=fence, held_until=now + LEASE)
    if size is None:
        log = log_store.log(db)
        raise Fenced(f"fence {fence} is past: {log.holder if log else 'nobody'} writes the log now")
    return size


def release(db: Session, *, holder: str) -> None:
    """Give the log back; nothing happens when another holds it."""
    _held_here.discard(holder)
    log = log_store.lock_log(db)
    if log is not None and log.holder == holder:
        log.holder = ""
        db.add(log)


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that is gone; False when that cannot be known."""
    host, pid, _nonce = holder.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    if int(pid) == os.getpid():
        return holder not in _held_here  # a container's next process often gets the same number
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
