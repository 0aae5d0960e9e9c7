"""`bench device`: links, core, and the way from a gateway's outbox into the ledger, each by its own measurement.

`bench core` and `bench drain` print the same figures alone, with what is behind them.
"""

import asyncio

from dashboard.bench import core, drain
from dashboard.bench._links import ble_kb_s, serial_mb_s
from dashboard.figures import Options, Report

QUICK_MESSAGES = 400
MESSAGES = 4_000


def run(options: Options) -> Report:
    """Raises: StoryFailed."""
    messages = QUICK_MESSAGES if options.quick else MESSAGES
    inside = core.run(options)
    drained = drain.run(options)
    links = {
        "serial_mb_s": round(asyncio.run(serial_mb_s(messages)), 2),
        "ble_kb_s": round(asyncio.run(ble_kb_s(messages)), 1),
    }
    figures = links | inside.figures | drained.figures
    return Report(
        figures=figures,
        counts=inside.counts | drained.counts,
        targets=inside.targets | drained.targets,
        notes=("links: framing, threads and ATT; a pseudo terminal has no baud rate, the air no radio", *drained.notes),
    )
