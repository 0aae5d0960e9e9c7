"""What one batch does, on SQLite and on PostgreSQL: admission, chains, gaps, receipts, the tree and its one writer."""

import hashlib
import random
from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import Session, select

from firmware_protocol import events
from server.core.scope import Scope
from server.core.signer import Purpose
from server.jobs.models import Job
from server.ledger import merkle, service
from server.ledger.admission import KeyStatus, Reason
from server.ledger.batch import Arrival
from server.ledger.checkpoint import verify as verify_checkpoint
from server.ledger.entry_codec import peek
from server.ledger.entry_types import EntryType
from server.ledger.errors import Fenced
from server.ledger.lease import LEASE
from server.ledger.proof import BadProof
from server.ledger.proof import verify as verify_proof
from server.ledger.receipts import ReceiptDesk
from server.ledger.schemas import LeafKind, SetAsideRead
from server.ledger.sequencer import Acknowledged
from tests.server.ledger.conftest import GATEWAY, SCOPE, TENANT, Device, Log, token_event


def set_aside(log: Log) -> list[SetAsideRead]:
    with log.read() as db:
        return service.set_aside(db, SCOPE)


def entries_of(log: Log, entry_type: EntryType) -> list[dict[str, object]]:
    log.put()  # what a batch puts on record is in the next one
    with log.read() as db:
        rows = [row for row in service.leaves(db, first=0, last=1 << 40) if row.kind is LeafKind.ENTRY]
    return [entry.public for row in rows if (entry := peek(row.leaf)).entry_type is entry_type]


def test_events_become_leaves_byte_for_byte_and_get_one_receipt(log: Log, device: Device) -> None:
    signed = device.many(5)
    outcome = log.put(*signed)
    assert log.stored() == signed
    receipt = log.receipt(outcome)
    assert (receipt.device_id, receipt.generation, receipt.up_to_seq) == ("D1", 1, 5)
    assert receipt.chain_hash == events.chain_hash(signed[-1])


def test_every_entry_has_a_proof_that_needs_nothing_else(log: Log, device: Device) -> None:
    signed = device.many(9)
    for leaf in signed:
        log.put(leaf)
    with log.read() as db:
        for leaf in signed:
            found = service.proof(db, merkle.leaf_hash(leaf))
            assert found
            verify_proof(found.text(), leaf=leaf, key=log.verifier_key)
            with pytest.raises(BadProof):
                verify_proof(found.text(), leaf=leaf + b"x", key=log.verifier_key)
        assert service.proof(db, bytes(32)) is None


def test_checkpoint_is_signed_and_names_the_root_of_all_leaves(log: Log, device: Device) -> None:
    signed = device.many(300)
    log.put(*signed[:100])
    log.put(*signed[100:])
    with log.read() as db:
        newest = service.checkpoint(db)
    verified = verify_checkpoint(newest.note, key=log.verifier_key)
    tree = merkle.Tree()
    tree.append(merkle.leaf_hash(leaf) for leaf in signed)
    assert (verified.size, verified.root) == (300, tree.root())


def test_same_event_again_is_stored_once_and_receipted_again(log: Log, device: Device) -> None:
    signed = device.many(3)
    log.put(*signed)
    outcome = log.put(*signed, signed[0])
    assert (outcome.entries, outcome.duplicates) == (0, 4)
    assert log.receipt(outcome).up_to_seq == 3
    assert log.stored() == signed


def test_same_event_twice_in_one_batch_is_stored_once(log: Log, device: Device) -> None:
    first = device.next()
    outcome = log.put(first, first)
    assert (outcome.entries, outcome.duplicates) == (1, 1)


def test_gap_holds_the_receipt_back_until_it_closes(log: Log, device: Device) -> None:
    one, two, three, four, five = device.many(5)
    assert log.receipt(log.put(one, five)).up_to_seq == 1
    with log.read() as db:
        (gap,) = service.open_gaps(db, SCOPE)
    assert (gap.first_seq, gap.last_seq) == (2, 4)
    assert log.receipt(log.put(three)).up_to_seq == 1
    with log.read() as db:
        assert [(gap.first_seq, gap.last_seq) for gap in service.open_gaps(db, SCOPE)] == [(2, 2), (4, 4)]
    assert log.receipt(log.put(two)).up_to_seq == 3
    last = log.receipt(log.put(four))
    assert (last.up_to_seq, last.chain_hash) == (5, events.chain_hash(five))
    with log.read() as db:
        assert service.open_gaps(db, SCOPE) == []


def test_any_order_of_arrival_ends_in_the_same_chain(log: Log, device: Device, rng: random.Random) -> None:
    signed = device.many(40)
    shuffled = rng.sample(signed * 2, 80)
    while shuffled:
        size = rng.randrange(1, 9)
        outcome = log.put(*shuffled[:size])
        shuffled = shuffled[size:]
    assert log.receipt(outcome).up_to_seq == 40
    assert sorted(log.events_of(device)) == list(range(1, 41))
    assert set_aside(log) == []


def test_no_receipt_before_the_first_event_is_there(log: Log, device: Device) -> None:
    device.next()
    assert log.receipts(log.put(device.next())) == []


def test_two_histories_quarantine_the_device_and_keep_both(log: Log, device: Device) -> None:
    one, two = device.many(2)
    log.put(one, two)
    other = device.event(seq=2, previous=events.chain_hash(one), counter=99)
    outcome = log.put(other)
    assert (outcome.entries, outcome.set_aside) == (0, 1)
    (kept,) = set_aside(log)
    assert (kept.reason, kept.seq) == (Reason.EQUIVOCATION, 2)
    with log.read() as db:
        (head,) = service.device_heads(db, SCOPE)
    assert head.quarantined_at == log.clock.now()
    (entry,) = entries_of(log, EntryType.EQUIVOCATION)
    assert (entry["stored"], entry["other"]) == (merkle.leaf_hash(two), merkle.leaf_hash(other))

    log.put(device.next())
    assert {row.reason for row in set_aside(log)} == {Reason.EQUIVOCATION, Reason.DEVICE_QUARANTINED}
    assert log.receipt(log.put(two)).up_to_seq == 2  # what was accepted before stays receipted


def test_equivocation_needs_a_valid_signature(log: Log, device: Device, rng: random.Random) -> None:
    one = device.next()
    log.put(one)
    forger = Device(rng)
    forged = forger.event(seq=1, previous=events.FIRST_PREVIOUS, counter=5)
    broken = bytearray(device.event(seq=1, previous=events.FIRST_PREVIOUS, counter=6))
    broken[-1] ^= 1
    log.put(forged, bytes(broken))
    assert {row.reason for row in set_aside(log)} == {Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE}
    assert log.receipt(log.put(device.next())).up_to_seq == 2


def test_event_that_does_not_follow_is_set_aside(log: Log, device: Device) -> None:
    one, two, three, four = device.many(4)
    log.put(one, four)
    stranger = device.event(seq=3, previous=bytes(32))  # four does not name it
    orphan = device.event(seq=2, previous=bytes(32))  # it does not name one
    outcome = log.put(stranger, orphan)
    assert outcome.entries == 0
    assert [row.reason for row in set_aside(log)] == [Reason.BROKEN_CHAIN, Reason.BROKEN_CHAIN]
    assert log.receipt(log.put(two, three)).up_to_seq == 4


def test_what_cannot_be_read_is_kept_and_put_on_record(log: Log, device: Device) -> None:
    noise = [b"", b"\x00", b"\xff" * 9000, device.next()[:-1]]
    outcome = log.put(*noise)
    assert (outcome.entries, outcome.set_aside) == (0, 4)
    kept = set_aside(log)
    assert {row.reason for row in kept} == {Reason.MALFORMED}
    assert sorted(row.size for row in kept) == sorted(len(leaf) for leaf in noise)
    log.put(noise[1])
    assert sorted(row.times for row in set_aside(log)) == [1, 1, 1, 2]
    (entry,) = entries_of(log, EntryType.EVENTS_SET_ASIDE)
    assert (entry["count"], entry["reasons"]) == (4, ["malformed"])


def test_events_that_came_before_enrolment_are_admitted_after_it(log: Log, rng: random.Random) -> None:
    device = Device(rng)
    signed = device.many(3)
    log.put(*reversed(signed))
    assert {row.reason for row in set_aside(log)} == {Reason.UNKNOWN_KEY}
    log.enrol(device)
    outcome = log.put()
    assert outcome.events == 3
    assert log.receipt(outcome).up_to_seq == 3
    assert set_aside(log) == []


def test_suspended_device_still_reports_and_a_revoked_one_does_not(log: Log, device: Device) -> None:
    for status in (KeyStatus.SUSPENDED, KeyStatus.REVOKED):
        with log.database.write() as db:
            service.set_device_key_status(db, device_id="D1", generation=1, status=status)
        log.put(device.next())
    assert log.events_of(device) == [1]
    assert [row.reason for row in set_aside(log)] == [Reason.REVOKED_KEY]


def test_new_key_generation_is_a_chain_of_its_own(log: Log, device: Device, rng: random.Random) -> None:
    renewed = Device(rng, generation=2)
    log.enrol(renewed)
    outcome = log.put(*device.many(2), *renewed.many(3))
    assert [(made.generation, made.up_to_seq) for made in log.receipts(outcome)] == [(1, 2), (2, 3)]
    with pytest.raises(ValueError, match="another key"):
        log.enrol(Device(rng), generation=2)


def test_receipt_names_photos_that_are_stored_until_one_is_acknowledged(log: Log, device: Device) -> None:
    log.put(device.next())
    photos = [bytes([number]) * 32 for number in range(10)]
    for photo in photos:
        with log.database.write() as db:
            service.photo_stored(db, device_id="D1", generation=1, digest=photo, now=log.clock.now())
    first, second = log.receipts(log.put())
    assert sorted(first.photo_digests + second.photo_digests) == photos
    done = Acknowledged(chain_key=("D1", 1), up_to_seq=1, photos=first.photo_digests)
    outcome = log.put(device.next(), acknowledged=(done,))
    assert log.receipt(outcome).photo_digests == second.photo_digests
    with log.read() as db:
        assert service.device_heads(db, SCOPE)[0].acked_seq == 1


def test_event_sent_again_has_its_photo_named_again(log: Log, device: Device) -> None:
    photo = b"p" * 32
    seen = events.ExtraStroke(strokes=1, photo_digest=photo)
    leaf = device.next(seen)
    log.put(leaf)
    with log.database.write() as db:
        service.photo_stored(db, device_id="D1", generation=1, digest=photo, now=log.clock.now())
    done = Acknowledged(chain_key=("D1", 1), up_to_seq=1, photos=log.receipt(log.put()).photo_digests)
    assert done.photos == (photo,)
    log.put(acknowledged=(done,))
    assert log.receipt(log.put(leaf)).photo_digests == (photo,)


def test_business_step_is_in_the_log_only_if_it_committed(log: Log) -> None:
    seal = UUID(int=5)

    def register(db: Session) -> service.EntryRef:
        return service.record(
            db,
            key=log.keys[Purpose.ENTRY],
            entry_type=EntryType.SEAL_REGISTERED,
            refs={"seal": seal, "device": ["D1"]},
            public={"form": "physical"},
            private={"name": "Acme S.A."},
            tenant_id=TENANT,
            branch_path="/spain/",
            now=log.clock.now(),
            rng=log.rng,
            clock=log.clock,
        )

    with log.database.write() as db:
        register(db)
        db.rollback()  # the step failed after it was recorded
    assert log.put().entries == 0
    with log.database.write() as db:
        ref = register(db)
    assert log.put().entries == 1
    with log.read() as db:
        (found,) = service.find(db, SCOPE, ref=f"seal:{seal}")
        assert found.leaf_hash == ref.leaf_hash
        assert peek(found.leaf).entry_id == ref.entry_id
        assert service.find(db, SCOPE, device_id="D1") == [found]
        assert service.queued(db) == 0


def test_erasing_an_opening_keeps_leaf_and_proof(log: Log) -> None:
    with log.database.write() as db:
        ref = service.record(
            db,
            key=log.keys[Purpose.ENTRY],
            entry_type=EntryType.PERSON_ADDED,
            refs={"person": UUID(int=9)},
            private={"name": "Ana Ruiz", "email": "ana@example.com"},
            tenant_id=TENANT,
            branch_path="/",
            now=log.clock.now(),
            rng=log.rng,
            clock=log.clock,
        )
    log.put()
    with log.read() as db:
        found = service.entry(db, SCOPE, ref.leaf_hash)
        openings = service.openings(db, SCOPE, ref.leaf_hash)
    assert found
    commitments = peek(found.leaf).commitments
    assert {label: opening and opening.commitment() for label, opening in openings.items()} == commitments
    assert b"Ana" not in found.leaf
    with log.database.write() as db:
        assert service.erase_openings(db, SCOPE, ref.leaf_hash, labels=["name"], now=log.clock.now()) == 1
    with log.read() as db:
        assert service.openings(db, SCOPE, ref.leaf_hash)["name"] is None
        assert service.openings(db, SCOPE, ref.leaf_hash)["email"] is not None
        proof = service.proof(db, ref.leaf_hash)
    assert proof
    verify_proof(proof.text(), leaf=found.leaf, key=log.verifier_key)


def test_nobody_sees_entries_of_another_branch_or_tenant(log: Log, device: Device) -> None:
    leaf = device.next(token_event(b"t" * 16))
    log.put(leaf)
    leaf_hash = merkle.leaf_hash(leaf)

    def sees(tenant: UUID, branch: str) -> bool:
        scope = Scope(tenant_id=tenant, branch_path=branch, person_id=UUID(int=1))
        with log.read() as db:
            found = service.find(db, scope, ref=f"token:{b't'.hex() * 16}")
            assert bool(found) == (service.entry(db, scope, leaf_hash) is not None)
            assert bool(found) == bool(service.device_heads(db, scope))
        return bool(found)

    assert sees(TENANT, "/")
    assert sees(TENANT, "/spain/")
    assert not sees(TENANT, "/spain/madrid/")
    assert not sees(TENANT, "/france/")
    assert not sees(UUID(int=8), "/")


def test_projection_job_is_promised_in_the_batch_of_the_events(log: Log, device: Device) -> None:
    log.put(*device.many(2))
    log.put(*device.many(3))
    with log.read() as db:
        jobs = db.exec(select(Job)).all()
    assert [(job.kind, job.payload) for job in jobs] == [
        ("events.project", {"from": 0, "to": 1}),
        ("events.project", {"from": 2, "to": 4}),
    ]


def test_second_sequencer_cannot_start_while_the_first_lives(log: Log, device: Device) -> None:
    with pytest.raises(Fenced, match="holds the log"):
        log.new_sequencer().open()
    assert log.put(device.next()).entries == 1


def test_sequencer_that_lost_its_lease_cannot_write(log: Log, device: Device) -> None:
    one, two = device.many(2)
    stale = log.sequencer
    log.put(one)
    log.clock.advance(LEASE + timedelta(seconds=1))
    log.sequencer = log.new_sequencer()
    log.sequencer.open()
    with pytest.raises(Fenced):
        stale.commit([Arrival(two, GATEWAY)])
    with pytest.raises(Fenced):
        stale.renew()
    assert log.stored() == [one]
    assert log.put(two).size == 2


def test_restart_goes_on_where_the_log_ended(log: Log, device: Device) -> None:
    signed = device.many(600)
    for start in range(0, 600, 200):
        log.put(*signed[start : start + 200])
        log.restart()
    with log.read() as db:
        size, root = service.head(db)
    tree = merkle.Tree()
    tree.append(merkle.leaf_hash(leaf) for leaf in signed)
    assert (size, root) == (600, tree.root())


@pytest.mark.parametrize("lost", ["before_commit", "after_commit"])
def test_batch_survives_a_crash_whole_or_not_at_all(log: Log, device: Device, lost: str) -> None:
    first, second = device.many(2)
    log.put(first)

    def crash(*_: object) -> None:
        raise ConnectionResetError

    if lost == "before_commit":
        log.sequencer._on_events = crash
        with pytest.raises(ConnectionResetError):
            log.put(second)
    else:
        log.put(second)  # committed, but nobody was told
    log.restart()
    assert log.stored() == ([first] if lost == "before_commit" else [first, second])
    outcome = log.put(second)  # the broker brings it again
    assert log.stored() == [first, second]
    assert log.receipt(outcome).up_to_seq == 2


def test_unacknowledged_receipts_are_due_again_less_and_less_often(log: Log, device: Device) -> None:
    log.receipts(log.put(device.next()))
    waits = []
    for _ in range(4):
        waited = 0
        while not log.desk.overdue():
            log.clock.advance(1)
            waited += 1
        waits.append(waited)
    assert waits == [10, 20, 40, 80]


def test_acknowledged_receipt_is_not_sent_again(log: Log, device: Device) -> None:
    outcome = log.put(device.next())
    (made,) = log.desk.make(outcome.due)
    done = log.desk.acknowledged(hashlib.sha256(made.data).digest())
    assert done
    log.put(acknowledged=(done,))
    log.clock.advance(3600)
    assert log.desk.overdue() == []
    log.desk.load()  # as after a restart
    assert log.desk.overdue() == []


def test_same_receipt_bytes_after_a_restart(log: Log, device: Device) -> None:
    outcome = log.put(device.next())
    (before,) = log.desk.make(outcome.due)
    log.restart()
    desk = ReceiptDesk(log.database, signer=log.keys[Purpose.RECEIPT], clock=log.clock)
    desk.load()
    assert desk.make(desk.overdue()) == [before]
