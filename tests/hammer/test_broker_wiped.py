"""The short form of `campaign broker`: the broker forgets everything once, the sequencer dies once, in mid-stream."""

import random

from dashboard.campaign import broker


def test_a_broker_that_forgets_everything_costs_only_a_second_sending(rng: random.Random) -> None:
    found = broker.send(broker.Size(events=800, devices=2, mishaps={broker.BROKER: 1, broker.SEQUENCER: 1}), rng)
    assert found.done == {broker.BROKER: 1, broker.SEQUENCER: 1}
    assert found.events >= 800
    assert (found.lost, found.duplicated, found.fsck) == (0, 0, "")
