"""What the ledger role does towards others, beside its sequencer: be witnessed, be published, and not begin behind.

It has a thread of its own. The sequencer never waits for it; only when a witness shows that this database is older than
what others hold does the role end.
"""

import threading
from typing import Final

import structlog

from server.core.runtime import MustNotRun, Runtime
from server.core.signer import Purpose
from server.ledger import log_store, witnessed, witnessing
from server.ledger.checkpoint import VerifierKey, origin_of
from server.ledger.cosignature import BadCosignature
from server.ledger.publishing import FOLDER, Publisher
from server.ledger.witnessed import WitnessedRecord
from server.ledger.witnessing import HttpWire, Witnessing

EVERY_S: Final = 1.0
"""Between rounds: a checkpoint is with its witnesses and in the public folder about a second after it was signed."""

log = structlog.get_logger("ledger")


class Outward:
    """`check` before the sequencer opens, then `start`, `raise_fault` now and then, `stop`."""

    def __init__(self, runtime: Runtime) -> None:
        """Raises: MustNotRun for witnesses that the settings name wrongly."""
        settings = runtime.settings
        self._database = runtime.db
        try:
            self._witnesses = witnessing.witnesses_of(settings)
        except BadCosignature as error:
            raise MustNotRun(f"CINNABAR_WITNESSES: {error}") from error
        with runtime.db.read() as db:
            stored = log_store.log(db)
        origin = stored.origin if stored else origin_of(settings.public_url)
        self._key = VerifierKey(name=origin, public_key=runtime.keys.public_key(Purpose.CHECKPOINT))
        self._record = WitnessedRecord(settings.home)
        self._wire = HttpWire()
        self._witnessing = Witnessing(
            runtime.db,
            witnesses=self._witnesses,
            key=self._key,
            record=self._record,
            clock=runtime.clock,
            wire=self._wire,
        )
        self._publisher = Publisher(
            runtime.db,
            folder=settings.home / FOLDER,
            witnesses=self._witnesses,
            quorum=settings.witness_quorum,
            clock=runtime.clock,
        )
        self._stop = threading.Event()
        self._fault: MustNotRun | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="outward")

    def check(self) -> None:
        """Raises: LogBehind, LogForked."""
        remembered = self._record.read(self._key)
        shown = witnessing.shown_by(self._wire, self._witnesses, self._key)
        with self._database.read() as db:
            witnessed.check(db, [*shown, *([remembered] if remembered else [])])

    def start(self) -> None:
        self._thread.start()

    def raise_fault(self) -> None:
        """Raises: MustNotRun, when a witness has shown since that this log must not go on."""
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Waits for a round that is under way: at most as long as a witness may take to answer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(witnessing.CONNECT_S + witnessing.ANSWER_S)
        self._wire.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._witnessing.round()
                self._publisher.round()
            except MustNotRun as error:
                self._fault = error
                return
            except Exception:  # the top of this thread: the sequencer goes on, and the next round may do
                log.exception("outward_round_failed")
            self._stop.wait(EVERY_S)
