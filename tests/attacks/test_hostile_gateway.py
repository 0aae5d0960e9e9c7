"""What a gateway in the wrong hands tries with evidence: withhold, reorder, re-address, erase, swap. None works unseen.

Forging and altering are in test_broker.py, tokens and permits in test_stolen_gateway.py.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dashboard.demo.cast import GATEWAY
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import cbor, cose, events, messages, orders, tokens
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Receipt
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from server.core.scope import Scope
from server.ledger import service as ledger
from server.ledger.schemas import DeviceHead, OpenGap
from tests.attacks.stolen_gateway import StolenGateway, stolen
from tests.fixtures.running import approved, at_headquarters, books, fsck


@pytest.fixture(scope="module")
def thief(company: Stage) -> Iterator[StolenGateway]:
    books(company)
    with stolen(company) as gateway:
        yield gateway
    books(company)  # what the thief did not carry, the honest gateway does
    fsck(company)


def send(thief: StolenGateway, event: bytes, *, device: str | None = None) -> None:
    topic = f"seal/v1/{GATEWAY}/up/evt/{device or thief.stage.device_id}"
    thief.publish(topic, event)


def fresh_events(thief: StolenGateway, count: int) -> list[bytes]:
    """The device makes `count` events more; scans of paper, which need no permission."""
    stage = thief.stage
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    until("lay", "the page lying still", lambda: stage.beside.get("state", "/state")["page_still"])
    first = thief.ask(messages.StatusRequest(), messages.Status).last_seq + 1
    for _ in range(count):
        thief.ask(messages.CaptureRequest(), messages.Captured)
    last = thief.ask(messages.StatusRequest(), messages.Status).last_seq
    stage.beside.post("take", "/take-away")
    assert last == first + count - 1
    return [thief.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent).event for seq in range(first, last + 1)]


def settle(thief: StolenGateway) -> None:
    """Carry everything that the device has, as an honest gateway would."""
    status = thief.ask(messages.StatusRequest(), messages.Status)
    for seq in range(max(1, status.acked_seq + 1), status.last_seq + 1):
        send(thief, thief.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent).event)
    until("ledger", "every event being accepted", lambda: head(thief).prefix_seq >= status.last_seq)


def head(thief: StolenGateway) -> DeviceHead:
    with at_headquarters(thief.stage) as run, run.db.read() as db:
        return ledger.device_heads(db, Scope.system(thief.stage.players.tenant_id))[0]


def gaps(thief: StolenGateway) -> list[OpenGap]:
    with at_headquarters(thief.stage) as run, run.db.read() as db:
        return ledger.open_gaps(db, Scope.system(thief.stage.players.tenant_id))


def read_receipt(data: bytes) -> Receipt:
    return from_map(Receipt, cbor.decode_map(cose.parse1(data).payload))


def last_receipt(thief: StolenGateway, *, at_least: int) -> bytes:
    while True:
        data = thief.order("receipt")
        if read_receipt(data).up_to_seq >= at_least:
            return data


def test_an_event_that_is_withheld_leaves_a_gap_and_no_receipt_goes_beyond_it(thief: StolenGateway) -> None:
    settle(thief)
    withheld, *rest = fresh_events(thief, 3)
    seq = events.peek(withheld).header.seq
    for event in rest:
        send(thief, event)
    found = until("ledger", "the gap being noticed", lambda: gaps(thief) or None)
    assert [(gap.device_id, gap.first_seq, gap.last_seq) for gap in found] == [(thief.stage.device_id, seq, seq)]
    assert (head(thief).last_seq, head(thief).prefix_seq) == (seq + 2, seq - 1)
    send(thief, withheld)
    until("ledger", "the gap being closed by the late event", lambda: not gaps(thief))
    assert head(thief).prefix_seq == seq + 2


def test_events_in_another_order_or_again_and_again_end_in_the_same_chain(
    thief: StolenGateway, rng: random.Random
) -> None:
    settle(thief)
    made = fresh_events(thief, 5)
    shuffled = made * 3
    rng.shuffle(shuffled)
    for event in shuffled:
        send(thief, event)
    last = events.peek(made[-1]).header.seq
    until("ledger", "every event being accepted", lambda: head(thief).prefix_seq == last)
    with at_headquarters(thief.stage) as run, run.db.read() as db:
        size, _root = ledger.head(db)
        kept = [leaf.leaf for leaf in ledger.leaves(db, first=0, last=size - 1)]
    assert [kept.count(event) for event in made] == [1] * len(made)
    assert head(thief).quarantined_at is None
    assert not gaps(thief)


def test_an_event_under_another_device_s_name_is_not_taken_for_it(thief: StolenGateway) -> None:
    settle(thief)
    (event,) = fresh_events(thief, 1)
    before = head(thief)
    send(thief, event, device="CB-OTHER000")
    settle(thief)  # the same event under its own name still counts
    with at_headquarters(thief.stage) as run, run.db.read() as db:
        heads = ledger.device_heads(db, Scope.system(thief.stage.players.tenant_id))
    assert [one.device_id for one in heads] == [thief.stage.device_id]
    assert heads[0].last_seq == before.last_seq + 1


def test_no_receipt_but_the_ledger_s_own_makes_the_device_forget(thief: StolenGateway) -> None:
    settle(thief)
    made = fresh_events(thief, 2)
    last = events.peek(made[-1]).header.seq
    for event in made:
        send(thief, event)
    real = last_receipt(thief, at_least=last)
    fields = read_receipt(real)
    with at_headquarters(thief.stage) as run:
        key, token_key = run.keys.signer(Purpose.RECEIPT), run.keys.signer(Purpose.TOKEN)
        beyond = orders.sign(replace(fields, up_to_seq=last + 7), key=key)
        other_chain = orders.sign(replace(fields, chain_hash=bytes(32)), key=key)
        other_device = orders.sign(replace(fields, device_id="CB-OTHER000"), key=key)
        other_key = orders.sign(fields, key=token_key)
    altered = real[:-1] + bytes([real[-1] ^ 1])
    assert thief.refused(messages.ReceiptRequest(receipt=beyond)) is Reason.WRONG_CHAIN
    assert thief.refused(messages.ReceiptRequest(receipt=other_chain)) is Reason.WRONG_CHAIN
    assert thief.refused(messages.ReceiptRequest(receipt=other_device)) is Reason.WRONG_DEVICE
    assert thief.refused(messages.ReceiptRequest(receipt=other_key)) is Reason.UNKNOWN_KEY
    assert thief.refused(messages.ReceiptRequest(receipt=altered)) is Reason.BAD_SIGNATURE
    for event in made:  # nothing was erased, and the bytes are the same
        seq = events.peek(event).header.seq
        assert thief.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent).event == event
    thief.ask(messages.ReceiptRequest(receipt=real), messages.Accepted)


def test_other_bytes_than_the_photo_that_was_signed_for_are_refused(thief: StolenGateway) -> None:
    settle(thief)
    (event,) = fresh_events(thief, 1)
    body = events.peek(event).body
    assert isinstance(body, events.PageSeen)
    settle(thief)
    picture = thief.stage.beside.send("picture", "GET", "/view.jpg").content
    swapped = thief.try_put(f"blobs/{body.photo_digest.hex()}", picture)
    assert 400 <= swapped.status_code < 500, swapped.text
    unannounced = thief.try_put(f"blobs/{hashlib.sha256(picture).hexdigest()}", picture)
    assert 400 <= unannounced.status_code < 500, unannounced.text


def test_a_token_opens_for_no_more_strokes_than_it_names(thief: StolenGateway) -> None:
    stage = thief.stage
    token = thief.token(approved(stage))
    seal = tokens.read(cose.parse1(token).payload).seal
    granted = thief.ask(messages.TokenRequest(token=token), messages.Granted)
    assert granted.strokes_left == seal.max_strokes
    longer = token.replace(cbor.encode(seal.max_strokes), cbor.encode(20), 1)
    assert isinstance(thief.say(messages.TokenRequest(token=longer)), messages.Refused)
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    until("lay", "the page lying still", lambda: stage.beside.get("state", "/state")["page_still"])
    seen = thief.ask(messages.CaptureRequest(), messages.Captured)
    permit = orders.Permit(
        device_id=stage.device_id,
        token_id=granted.token_id,
        stroke=seal.max_strokes + 1,
        page=stage.contract.page,
        page_digest=orders.page_digest(seal.document_digest, stage.contract.page),
        photo_digest=seen.photo_digest,
        stroke_nonce=seen.stroke_nonce,
    )
    with at_headquarters(stage) as run:
        signed = orders.sign(permit, key=run.keys.signer(Purpose.PERMIT))
    assert thief.refused(messages.PermitRequest(permit=signed)) is Reason.WRONG_STROKE
    assert stage.beside.pull()["pressed"] is False
    stage.beside.post("take", "/take-away")
    thief.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
