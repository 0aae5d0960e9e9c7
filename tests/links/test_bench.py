"""The figures of `bench device` for the links, in their short form."""

import asyncio

from dashboard.bench import _links


def test_both_links_carry_a_burst_through_shipped_code() -> None:
    assert asyncio.run(_links.serial_mb_s(messages=256)) > 0
    assert asyncio.run(_links.ble_kb_s(messages=256)) > 0
