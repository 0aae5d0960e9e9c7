"""The composition object: everything a role needs, picked once; only this and `serve` make real parts."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, Self
from uuid import UUID

import structlog
from sqlmodel import Session

from server.core.clock import Clock, SystemClock
from server.core.db import Database
from server.core.ids import new_id
from server.core.keystore import KeyStore
from server.core.rng import Rng, SystemRng
from server.core.scope import Scope
from server.core.settings import Settings


class BlobStore(Protocol):
    """Files by the SHA-256 of their plain bytes, encrypted at rest; implemented by `server.blobs`.

    No method may be called while its database session holds a write lock for longer than the call itself needs:
    `put` writes the file first and only then the row.
    """

    def put(self, db: Session, data: bytes, media_type: str, *, scope: Scope) -> bytes:
        """Store `data`; returns its 32-byte digest. Storing the same bytes again in a tenant changes nothing."""
        ...

    def get(self, db: Session, digest: bytes, *, scope: Scope) -> bytes:
        """The plain bytes. Raises: BlobMissing, BlobErased, BlobDamaged."""
        ...

    def exists(self, db: Session, digest: bytes, *, scope: Scope) -> bool: ...

    def media_type(self, db: Session, digest: bytes, *, scope: Scope) -> str:
        """Raises: BlobMissing."""
        ...

    def erase(self, db: Session, digest: bytes, *, scope: Scope) -> None:
        """Destroy the record key: the bytes become unreadable here and in every backup of the folder."""
        ...

    def begin(self, db: Session, digest: bytes, size: int, media_type: str, *, scope: Scope) -> int:
        """Start or resume an upload of `size` bytes; returns the offset to send from."""
        ...

    def append(self, db: Session, digest: bytes, offset: int, chunk: bytes, *, scope: Scope) -> int:
        """Add a chunk at exactly the current offset; returns the new offset. Raises: WrongOffset."""
        ...

    def finish(self, db: Session, digest: bytes, *, scope: Scope) -> bytes:
        """Check size and digest, and store. Raises: DigestMismatch; the partial upload is then gone."""
        ...

    def sweep(self, db: Session, *, older_than: timedelta) -> int:
        """Remove objects that no row names; returns how many."""
        ...


class Workers(Protocol):
    """Sandboxed child processes for PDFs and images; implemented by `server.jobs.sandbox`."""

    def call(
        self,
        function: Callable[..., Any] | str,
        *args: Any,  # noqa: ANN401 - plain data of any shape
        timeout_s: float,
        lane: str = "interactive",
    ) -> Any:  # noqa: ANN401
        """Run `function` (of an allow-listed module, or "module:name") in a warm child; plain data in and out.

        `lane`: interactive for a person who waits, background for jobs.

        Raises: WorkerTimeout, WorkerCrashed, WorkerFailed.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What `app.state.runtime` holds."""

    settings: Settings
    db: Database
    clock: Clock
    rng: Rng
    keys: KeyStore
    blobs: BlobStore
    workers: Workers
    log: structlog.stdlib.BoundLogger

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None, rng: Rng | None = None) -> Self:
        """Real parts for an installation that `cinnabar init` has made.

        Raises: KeyUnreadable, when there is none.
        """
        real_clock, real_rng = clock or SystemClock(), rng or SystemRng()
        keys = KeyStore.open(settings)
        return cls(
            settings=settings,
            db=Database(settings.database_url),
            clock=real_clock,
            rng=real_rng,
            keys=keys,
            # Named, not imported: these slices stand above core.
            blobs=named("server.blobs.store:open_blobs")(settings.blob_url, keys=keys, rng=real_rng, clock=real_clock),
            workers=named("server.jobs.sandbox:Workers")(),
            log=structlog.stdlib.get_logger("cinnabar"),
        )

    def new_id(self) -> UUID:
        return new_id(self.clock, self.rng)

    def now(self) -> datetime:
        return self.clock.now()

    def close(self) -> None:
        self.workers.close()
        self.db.close()


class PartMissing(Exception):
    """A part of the product that was asked for is not installed."""


class MustNotRun(Exception):
    """Running would do harm that starting again cannot mend; the message says what a person can do."""


def named(path: str) -> Any:  # noqa: ANN401 - whatever lives there
    """The object at "package.module:name".

    Raises: PartMissing, when the module or the name does not exist; errors inside the module pass through.
    """
    module_name, _sep, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise PartMissing(f"{module_name} is not part of this installation") from error
        raise
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise PartMissing(f"{module_name} has no {name}") from error
