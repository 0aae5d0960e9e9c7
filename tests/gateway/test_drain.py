"""An office that was long without a network: everything goes up in order, once, and nothing stays behind."""

from dashboard.bench import drain


def test_what_waited_for_days_reaches_the_ledger_in_order() -> None:
    """2 devices, more events than any broker holds back, more than a device remembers hashes of deleted events."""
    drained = drain.measure(devices_count=2, count=1_200, photos=20)
    assert drained.in_order, "each device's events once, ascending, from the first"
    assert drained.events_left == 0
    assert drained.events >= 1_200
