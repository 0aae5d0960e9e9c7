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
    SWEEP_BEGUN = auto()
    PAGE_LEAFED = auto()
    SWEEP_ENDED = auto()
    SERVICE_BEGUN = auto()
    SAMPLE_ENDED = auto()
    """The sample's DONE or CANCELLED is durable, the service goes on."""
    SERVICE_ENDED = auto()


def next_state(state: State, step: Step) -> State:
    """Where `step` leads from `state`. Raises: OutOfOrder."""
    for way in (_before_a_stroke, _in_service):
        after = way(state, step)
        if after is not None:
            return after
    match state, step:
        case ((State.GRANTED | State.PAGE_SEEN | State.SERVICE), Step.LATCH_FREED):
            return State.UNLOCKED
        case State.UNLOCKED, Step.HEAD_PRESSED:
            return State.PRESSED
        case ((State.UNLOCKED | State.PRESSED), Step.STROKE_ENDED):
            return State.GRANTED
        case ((State.GRANTED | State.PAGE_SEEN | State.SWEEPING), Step.GRANT_CLOSED):
            return State.LOCKED
        case _:
            raise OutOfOrder(state=state.name, step=step.name)


def _in_service(state: State, step: Step) -> State | None:
    """The sample of a service, which no permit asks for."""
    match state, step:
        case ((State.LOCKED | State.SUSPENDED), Step.SERVICE_BEGUN):
            return State.SERVICE
        case State.SERVICE, Step.PAGE_PHOTOGRAPHED:
            return State.SERVICE
        case ((State.UNLOCKED | State.PRESSED), Step.SAMPLE_ENDED):
            return State.SERVICE
        case State.SERVICE, Step.SERVICE_ENDED:
            return State.LOCKED
        case _:
            return None


def _before_a_stroke(state: State, step: Step) -> State | None:  # noqa: PLR0911 - one case, one return
    match state, step:
        case State.LOCKED, Step.PAPER_SCANNED:
            return State.LOCKED
        case State.LOCKED, Step.TOKEN_ACCEPTED:
            return State.GRANTED
        case ((State.GRANTED | State.PAGE_SEEN), Step.PAGE_PHOTOGRAPHED):
            return State.PAGE_SEEN
        case ((State.GRANTED | State.PAGE_SEEN), Step.PAGE_MOVED):
            return State.GRANTED
        case State.GRANTED, Step.SWEEP_BEGUN:
            return State.SWEEPING
        case State.SWEEPING, Step.PAGE_LEAFED:
            return State.SWEEPING
        case State.SWEEPING, Step.SWEEP_ENDED:
            return State.GRANTED
        case _:
            return None
