"""When a receipt is made: at once, and in a backlog when it is worth its signature."""

from server.ledger.receipts import WAIT_S, WORTH, DueReceipts

ONE, OTHER = ("CB-1", 1), ("CB-2", 1)


def test_without_a_backlog_receipts_are_made_at_once() -> None:
    due = DueReceipts()
    due.add([ONE, OTHER], events=2, now=5.0)
    assert due.take(now=5.0, backlog=False) == {ONE, OTHER}
    assert due.take(now=5.0, backlog=False) == set()


def test_in_a_backlog_they_wait_until_each_covers_many_events() -> None:
    due = DueReceipts()
    due.add([ONE, OTHER], events=2, now=5.0)
    assert due.take(now=5.0, backlog=True) == set()
    due.add([ONE], events=2 * WORTH - 3, now=5.1)
    assert due.take(now=5.1, backlog=True) == set()
    due.add([ONE], events=1, now=5.2)
    assert due.take(now=5.2, backlog=True) == {ONE, OTHER}
    due.add([ONE], events=1, now=5.3)
    assert due.take(now=5.3, backlog=True) == set(), "what was counted before was for other receipts"


def test_no_backlog_makes_the_first_of_them_wait_longer_than_agreed() -> None:
    due = DueReceipts()
    due.add([ONE], events=1, now=5.0)
    due.add([OTHER], events=1, now=5.0 + WAIT_S / 2)
    assert due.take(now=5.0 + WAIT_S * 0.99, backlog=True) == set()
    assert due.take(now=5.0 + WAIT_S, backlog=True) == {ONE, OTHER}
