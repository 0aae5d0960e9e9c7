"""The `ledger` role: one process that carries gateways' events and queued leaves into the log and sends receipts.

Queued leaves are found by asking the table every 20 ms while there was work lately, else every 100 ms: one indexed
EXISTS, the same on both databases, and nothing to lose when a process dies between its commit and a signal.
"""

import gc
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from server.core.client_tls import RoleLogin, trust_context
from server.core.runtime import Runtime
from server.core.settings import Settings
from server.core.signer import Purpose
from server.jobs import service as jobs
from server.ledger import log_store
from server.ledger.batch import Arrival
from server.ledger.checkpoint import origin_of
from server.ledger.consumer import ACK, CLIENT_ID, EVENT, STATUS, Consumer, Delivery
from server.ledger.errors import Fenced
from server.ledger.lease import LEASE
from server.ledger.log_store import ChainKey
from server.ledger.mqtt_link import BrokerAddress
from server.ledger.outward import Outward
from server.ledger.receipts import RESEND_S, DueReceipts, ReceiptDesk
from server.ledger.sequencer import Acknowledged, Outcome, Sequencer, Signers

PROJECT_EVENTS: Final = "events.project"
"""Job for the events slice: {"from": first index, "to": last index}, both included."""
BUSY_POLL_S: Final = 0.02
IDLE_POLL_S: Final = 0.1
BUSY_FOR_S: Final = 2.0
RENEW_S: Final = LEASE.total_seconds() / 3
QUIET_S: Final = 0.002
"""A batch closes early when nothing came for so long: a lone event does not wait for company."""
RETRY_S: Final = 0.2

log = structlog.get_logger("ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`receive_maximum` >= 2 batches, so that one fills while the other commits.

    `batch_size`: only a backlog fills a batch. One of 4,000 has the database's write lock for about 0.1 s; with 1,000
    an event costs 12 us more, since pages, heads and receipts are written once a batch.
    `batch_s`: the longest that a batch waits for more; it waits as long as the batch before took, if that is less.
    """

    batch_size: int = 4000
    batch_s: float = 0.05
    receive_maximum: int = 8000
    resend_s: float = RESEND_S

    @classmethod
    def of(cls, settings: Settings) -> "Options":
        """The embedded broker stalls at 100 unacknowledged messages, so batches stay at 50 there."""
        return cls() if settings.mqtt_url else cls(batch_size=50, receive_maximum=100)


def run(runtime: Runtime, *, stop: threading.Event, ready: Callable[[], None], options: Options | None = None) -> None:
    """Sequence until `stop` is set.

    Raises: Fenced, when another sequencer lives or takes over; MustNotRun, when others hold more of this log than the
    database has.
    """
    options = options or Options.of(runtime.settings)
    sequencer = Sequencer(
        runtime.db,
        signers=Signers(checkpoint=runtime.keys.signer(Purpose.CHECKPOINT), entry=runtime.keys.signer(Purpose.ENTRY)),
        origin=origin_of(runtime.settings.public_url),
        clock=runtime.clock,
        rng=runtime.rng,
        on_events=project_events,
    )
    desk = ReceiptDesk(
        runtime.db,
        signer=runtime.keys.signer(Purpose.RECEIPT),
        clock=runtime.clock,
        resend_s=options.resend_s,
    )
    consumer = Consumer(
        broker_address(runtime, CLIENT_ID), receive_maximum=options.receive_maximum, clock=runtime.clock
    )
    outward = Outward(runtime)
    outward.check()
    _open(sequencer, stop)
    try:
        desk.load()
        consumer.start()
        _collect_less()
        ready()
        outward.start()  # a long log's first publication would take the interpreter's lock from the start
        log.info("ledger_started", size=sequencer.size)
        _Loop(runtime, sequencer, desk, consumer, outward=outward, options=options).run(stop)
    finally:
        outward.stop()
        consumer.stop()
        sequencer.close()


def project_events(db: Session, first: int, last: int, now: datetime) -> None:
    jobs.enqueue(db, PROJECT_EVENTS, {"from": first, "to": last}, now=now)


def broker_address(runtime: Runtime, client_id: str) -> BrokerAddress:
    """Where the broker is and how the role `client_id` logs in there.

    User and password may stand in `mqtt_url`. Without them mqtts means one certificate a role: the broker makes the
    user name the client id, and two clients of one user would put each other out.
    """
    settings = runtime.settings
    host, port = settings.broker_address
    parts = urlsplit(settings.mqtt_url)
    if parts.scheme != "mqtts":
        return BrokerAddress(host=host, port=port, username=parts.username, password=parts.password)
    if parts.username is None:
        login = RoleLogin(settings, runtime.keys, name=client_id, clock=runtime.clock)
        return BrokerAddress(host=host, port=port, login=login)
    return BrokerAddress(
        host=host, port=port, username=parts.username, password=parts.password, tls=trust_context(settings)
    )


def _collect_less() -> None:
    """What was made by now stays; a batch makes thousands of small objects and no cycles, so looking for cycles each
    700 of them cost a tenth of all CPU time (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def _open(sequencer: Sequencer, stop: threading.Event) -> None:
    """A sequencer that stopped without a word keeps the log for one lease: wait that long, then give up."""
    waited = 0.0
    while True:
        try:
            sequencer.open()
        except Fenced as error:
            if waited > LEASE.total_seconds() + 1 or stop.is_set():
                raise
            log.warning("waiting_for_the_log", reason=str(error))
        else:
            return
        waited += RETRY_S
        stop.wait(RETRY_S)


class _Loop:
    """Collect, commit, acknowledge, send receipts; all in one thread."""

    def __init__(
        self,
        runtime: Runtime,
        sequencer: Sequencer,
        desk: ReceiptDesk,
        consumer: Consumer,
        *,
        outward: Outward,
        options: Options,
    ) -> None:
        self._db = runtime.db
        self._clock = runtime.clock
        self._sequencer = sequencer
        self._desk = desk
        self._consumer = consumer
        self._outward = outward
        self._options = options
        self._renewed_at = self._busy_at = self._clock.monotonic()
        self._took_s = 0.0  # the batch before
        self._due = DueReceipts()

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            deliveries = self._collect()
            if deliveries or self._work_waits():
                self._handle(deliveries, stop)
            backlog = len(deliveries) >= self._options.batch_size
            if due := self._due.take(now=self._clock.monotonic(), backlog=backlog):
                self._send(due)
            self._housekeeping()

    def _collect(self) -> list[Delivery]:
        """One batch: until it is full, old enough, or nothing more comes; empty after one poll interval.

        Old enough is relative to what a batch costs: waiting halves the number of commits at most, and nobody waits
        longer for company than for the commit itself.
        """
        idle = self._clock.monotonic() - self._busy_at > BUSY_FOR_S
        most = self._options.batch_size
        deliveries = self._consumer.take(most=most, timeout_s=IDLE_POLL_S if idle else BUSY_POLL_S)
        closes_at = self._clock.monotonic() + min(self._options.batch_s, max(QUIET_S, self._took_s))
        while deliveries and len(deliveries) < most and (left_s := closes_at - self._clock.monotonic()) > 0:
            following = self._consumer.take(most=most - len(deliveries), timeout_s=min(QUIET_S, left_s))
            if not following:
                break
            deliveries += following
        return deliveries

    def _work_waits(self) -> bool:
        with self._db.read() as db:
            return any(log_store.work_waits(db))

    def _handle(self, deliveries: list[Delivery], stop: threading.Event) -> None:
        """Until it is stored: a database that is busy or away delays the batch, it loses nothing."""
        begun = self._clock.monotonic()
        arrivals = [Arrival(one.payload, one.gateway_id, one.device_id) for one in deliveries if one.kind == EVENT]
        acknowledged = [found for one in deliveries if one.kind == ACK and (found := self._receipt_acknowledged(one))]
        while not stop.is_set():
            try:
                outcomes = self._store(arrivals, acknowledged)
            except OperationalError as error:
                log.warning("database_away", reason=type(error.orig).__name__)
                self._consumer.watch()
                stop.wait(RETRY_S)
            else:
                break
        else:
            return
        self._consumer.acknowledge(deliveries)
        self._busy_at = self._renewed_at = self._clock.monotonic()
        for outcome in outcomes:
            self._due.add(outcome.due, events=outcome.events, now=self._busy_at)
        for one in filter(_is_birth, deliveries):
            self._due.add(self._desk.waiting_behind(one.gateway_id), events=0, now=self._busy_at)
        self._took_s = self._clock.monotonic() - begun

    def _store(self, arrivals: list[Arrival], acknowledged: list[Acknowledged]) -> list[Outcome]:
        """Normally one batch; when the database refuses it, one by one, so that only the refused event is set aside."""
        try:
            return [self._sequencer.commit(arrivals, acknowledged)]
        except OperationalError:
            raise
        except DBAPIError as error:
            log.exception("batch_refused", reason=type(error.orig).__name__)
        outcomes = [self._sequencer.commit([], acknowledged)]
        for arrival in arrivals:
            try:
                outcomes.append(self._sequencer.commit([arrival]))
            except OperationalError:
                raise
            except DBAPIError as error:
                self._sequencer.set_aside(arrival, f"the database refused it: {type(error.orig).__name__}")
        return outcomes

    def _receipt_acknowledged(self, delivery: Delivery) -> Acknowledged | None:
        try:
            said = json.loads(delivery.payload)
            digest = bytes.fromhex(said["sha256"]) if said["kind"] == "receipt" else b""
        except (ValueError, KeyError, TypeError):
            log.warning("acknowledgement_unreadable", gateway=delivery.gateway_id)
            return None
        found = self._desk.acknowledged(digest)
        return found if found is not None and found.chain_key[0] == delivery.device_id else None

    def _send(self, due: Iterable[ChainKey]) -> None:
        if not self._consumer.connected:
            return
        self._consumer.send_receipts(self._desk.make(due))

    def _housekeeping(self) -> None:
        self._outward.raise_fault()
        self._consumer.watch()
        if overdue := self._desk.overdue():
            self._send(overdue)
        if self._clock.monotonic() - self._renewed_at > RENEW_S:
            self._sequencer.renew()
            self._renewed_at = self._clock.monotonic()


def _is_birth(delivery: Delivery) -> bool:
    return delivery.kind == STATUS and b'"ready"' in delivery.payload
