"""The keeper's work at one device, as a model of gateway/stamping.py; the session rules are the real ones."""

from typing import TYPE_CHECKING, Final

from firmware_protocol import messages
from firmware_protocol.messages import Status
from firmware_protocol.operators import Method
from firmware_protocol.tokens import Mode
from gateway.rules import facts
from gateway.rules.session import Plan, Step
from tests.simulation.accounts import Issued, Order
from tests.simulation.carrying import Carrying
from tests.simulation.peeking import nonce_of_permit, nonce_of_token, voucher_in
from tests.simulation.people import proof
from tests.simulation.timeline import Failed, Talk, Turn

if TYPE_CHECKING:
    from tests.simulation.agent import Agent


Held = tuple[Issued, bytes]
"""A voucher in the office's notebook."""
_VOUCHER_OVER: Final = ("voucher_spent", "expired", "replayed", "old_epoch")
_VOUCHER_MARKS: Final = {
    "voucher_spent": "voucher_twice_refused",
    "expired": "voucher_late_refused",
    "clock_doubt": "voucher_without_time_refused",
    "operator_needed": "foreign_operator_refused",
}


class Desk:
    """What a keeper asks of the office: one thing at a time."""

    def __init__(self, agent: "Agent", carrying: Carrying) -> None:
        self._agent, self._office, self._device_id = agent, agent.office, agent.device_id
        self._carrying = carrying
        self._work = Turn()

    def start(self, order: Order, *, voucher: "Held | None" = None) -> Talk[None]:
        """Challenge, token, grant; or a voucher that is here. Raises: Failed."""
        if self._agent.session.busy and self._agent.session.step is not Step.DONE:
            raise Failed("out_of_order")
        if self._agent.session.alarm:
            self._agent.step(facts.AlarmExplained())
        yield self._work.take()
        try:
            yield from self._close_open_grant()
            yield from (self._fetch_and_grant(order) if voucher is None else self._grant_voucher(voucher))
        finally:
            self._work.give()
        self._agent.look_at_tray()

    def _close_open_grant(self) -> Talk[None]:
        if self._agent.status is not None and self._agent.status.token_id is not None:
            yield from self._agent.ask(messages.RelockRequest(close_grant=True), messages.Accepted)

    @property
    def operator(self) -> bytes | None:
        """Who is signed in, as far as the office knows."""
        return None if self._agent.status is None else self._agent.status.operator

    def _fetch_and_grant(self, order: Order) -> Talk[None]:
        operator = self.operator
        nonce = (yield from self._agent.ask(messages.ChallengeRequest(), messages.Challenge)).nonce
        issued, token = yield from self._carrying.await_down(
            "token",
            lambda data: nonce_of_token(data) == nonce,
            lambda: self._agent.call(lambda: self._office.server.token(self._device_id, order.number, nonce, operator)),
        )
        yield from self._grant(issued, token)

    def _grant(self, issued: Issued, token: bytes) -> Talk[None]:
        request = messages.TokenRequest(token=token, title="a job")
        granted = yield from self._agent.ask(request, messages.Granted, slow=True)
        claims = issued.token
        plan = Plan(
            request_id=str(issued.order.number),
            title="a job",
            pages=tuple((page, 1) for page in issued.plan),
            mode="continuous" if claims.seal.mode & Mode.CONTINUOUS else "batch",
            page_check=claims.seal.page_check.name.lower(),
        )
        started = facts.Started(plan=plan, token_id=granted.token_id.hex(), strokes=granted.strokes_left)
        self._agent.step(started)
        self._agent.saw((yield from self._agent.ask(messages.StatusRequest(), Status)))

    # --- without a network --------------------------------------------------------------------------------------------

    @property
    def vouchers(self) -> list["Held"]:
        return self._office.vouchers.setdefault(self._device_id, [])

    def take_voucher(self, order: Order) -> Talk[None]:
        """For later. Raises: Failed."""
        operator = self.operator
        issued, signed = yield from self._carrying.await_down(
            "token",
            lambda data: (token := voucher_in(data)) is not None and token.seal.document_digest == order.document,
            lambda: self._agent.call(lambda: self._office.server.voucher(self._device_id, order.number, operator)),
        )
        if (issued, signed) not in self.vouchers:
            self.vouchers.append((issued, signed))

    def _grant_voucher(self, voucher: "Held") -> Talk[None]:
        try:
            yield from self._grant(*voucher)
        except Failed as failed:
            if failed.code in _VOUCHER_OVER and voucher in self.vouchers:
                self.vouchers.remove(voucher)
            if failed.code in _VOUCHER_MARKS:
                self._agent.stand.marks.hit(_VOUCHER_MARKS[failed.code])
            raise
        if not self._office.server.alive or "http" in self._office.network.weather.cut:
            self._agent.stand.marks.hit("voucher_while_cut_off")

    # --- who is there -------------------------------------------------------------------------------------------------

    def sign_in(self, operator: bytes, *, right: bool = True) -> Talk[None]:
        """`right`: with the right PIN. Raises: Failed."""
        if self._agent.status is not None and self._agent.status.token_id is not None:
            self._agent.stand.marks.hit("hand_over_in_a_grant")
        if right:
            self._agent.stand.account.knocked.add(operator)
        secret = proof(operator) if right else bytes(32)
        try:
            yield from self._agent.ask(
                messages.OperatorRequest(operator=operator, method=Method.PIN, proof=secret), messages.Accepted
            )
        except Failed as failed:
            if failed.code in ("wrong_operator", "too_many_tries"):
                self._agent.stand.marks.hit("sign_in_refused")
            raise
        yield from self._agent.look()

    def leave(self) -> Talk[None]:
        """The keeper goes. Raises: Failed."""
        yield from self._agent.ask(messages.OperatorLeaveRequest(), messages.Accepted)

    # --- strokes ------------------------------------------------------------------------------------------------------

    def capture(self) -> Talk[None]:
        """Photograph, have it judged, free the latch for one stroke."""
        yield self._work.take()
        try:
            if not self._agent.session.busy or self._agent.session.step in (Step.READY, Step.DONE):
                return
            yield from self._photograph_and_unlock()
        except Failed as failed:
            self._agent.step(facts.WentWrong(code=failed.code, text=""))
        finally:
            self._work.give()

    def _photograph_and_unlock(self) -> Talk[None]:
        seen = yield from self._agent.ask(messages.CaptureRequest(), messages.Captured, slow=True)
        if self._agent.session.plan is not None and self._agent.session.plan.unchecked:
            yield from self._agent.look()  # no permit is asked for: the device frees the latch by itself
            return
        self._agent.step(facts.PhotoTaken())
        yield from self._carrying.drain(at_least=seen.seq)
        event = self._office.outbox.event(self._device_id, 1, seen.seq)
        if event is None:
            event = (yield from self._agent.ask(messages.ReadEventRequest(seq=seen.seq), messages.SignedEvent)).event
        preview = yield from self._carrying.fetch(seen.preview_digest)
        answer, permit = yield from self._carrying.await_down(
            "permit",
            lambda data: nonce_of_permit(data) == seen.stroke_nonce,
            lambda: self._agent.call(lambda: self._office.server.permit(self._device_id, event, preview)),
        )
        self._agent.step(facts.PageJudged(answer=answer[0], reason="differs", page=0))
        if permit:
            yield from self._agent.ask(messages.PermitRequest(permit=permit), messages.Unlocked, slow=True)
            self._agent.step(facts.LatchFree())

    def abort(self) -> Talk[None]:
        """Lock first, always."""
        self._agent.step(facts.Aborted())
        yield from self._agent.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
