"""The order of steps, guarded in one place (design: D5)."""

from enum import Enum, auto

from device_sim.core.errors import OutOfOrder
from firmware_protocol.messages import State


class Step(Enum):
    TOKEN_ACCEPTED = auto()
    PAPER_SCANNED = auto()
    """A photo for a request that is yet to be written; no grant is open."""
    PAGE_PHOTOGRAPHED = auto()
    PAGE_MOVED = auto()
    LATCH_FREED = auto()
    HEAD_PRESSED = auto()
    STROKE_ENDED = auto()
    """DONE or CANCELLED is durable."""
    GRANT_CLOSED = auto()


def next_state(state: State, step: Step) -> State:  # noqa: PLR0911 - one case, one return
    """Where `step` leads from `state`. Raises: OutOfOrder."""
    match state, step:
        case State.LOCKED, Step.PAPER_SCANNED:
            return State.LOCKED
        case State.LOCKED, Step.TOKEN_ACCEPTED:
            return State.GRANTED
        case ((State.GRANTED | State.PAGE_SEEN), Step.PAGE_PHOTOGRAPHED):
            return State.PAGE_SEEN
        case ((State.GRANTED | State.PAGE_SEEN), Step.PAGE_MOVED):
            return State.GRANTED
        case ((State.GRANTED | State.PAGE_SEEN), Step.LATCH_FREED):
            return State.UNLOCKED
        case State.UNLOCKED, Step.HEAD_PRESSED:
            return State.PRESSED
        case ((State.UNLOCKED | State.PRESSED), Step.STROKE_ENDED):
            return State.GRANTED
        case ((State.GRANTED | State.PAGE_SEEN), Step.GRANT_CLOSED):
            return State.LOCKED
        case _:
            raise OutOfOrder(state=state.name, step=step.name)
