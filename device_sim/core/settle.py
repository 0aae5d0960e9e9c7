"""After a power cut: what happened to a stroke that was allowed? The mechanical counter knows (design: D5)."""

from device_sim.core import service
from device_sim.core.memory import COUNTER_SENSOR, Memory
from firmware_protocol import events, trace
from firmware_protocol.cose import SigningKey
from firmware_protocol.events import Body, Cause, Outcome
from firmware_protocol.trace import TraceCode


def after_boot(memory: Memory, *, counter: int, key: SigningKey) -> list[Body]:
    """The events that settle an open stroke, close an open grant and explain the counter. Same input, same answer."""
    settled: list[Body] = []
    counted, used = memory.counted, memory.strokes_used
    work = memory.work
    if memory.intent is not None and work is not None:
        outcome = _outcome(counter - memory.intent.counter)
        code = trace_code(memory, counter=counter, key=key) if outcome is Outcome.RECOVERED else None
        settled.append(
            events.Settled(token_id=work.token_id, stroke=memory.intent.stroke, outcome=outcome, trace_code=code)
        )
        used += outcome is not Outcome.ABORTED
        counted = memory.intent.counter if outcome is Outcome.ABORTED else counter
    if memory.service is not None:
        settled += service.expired(memory, cover_closed=True)  # an open cover is felt right after
    elif work is not None:
        settled.append(events.Closed(token_id=work.token_id, strokes_used=used, cause=Cause.REBOOT))
    return settled + unexplained(counter - counted, counter=counter, token_id=None)


def unexplained(moved: int, *, counter: int, token_id: bytes | None) -> list[Body]:
    """What to say about presses that no stroke explains; nothing when there are none."""
    if moved > 0:
        return [events.ExtraStroke(strokes=moved, token_id=token_id)]
    if moved < 0:
        return [events.Sensor(sensor=COUNTER_SENSOR, value=counter)]
    return []


def trace_code(memory: Memory, *, counter: int, key: SigningKey) -> bytes:
    """The signed code of a stroke under the open grant; the same bytes however often it is made."""
    work = memory.work
    if work is None:
        raise ValueError("a trace code belongs to a grant")
    code = TraceCode(use=work.token_id[:8], document=work.document_digest[:16], counter=counter, head=work.head_id[:4])
    return trace.sign(code, key=key)


def _outcome(moved: int) -> Outcome:
    match moved:
        case 0:
            return Outcome.ABORTED
        case 1:
            return Outcome.RECOVERED
        case _:
            return Outcome.UNKNOWN
