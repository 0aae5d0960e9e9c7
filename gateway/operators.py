"""Who stands at the device: checked by the device itself, and by headquarters while it can be reached.

The roster that headquarters signs goes to the device; its names and salts stay here, so a change of keeper works
without headquarters, too. A PIN or badge is never kept. Passkeys: passkeys.py.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from firmware_protocol import messages, operators
from firmware_protocol.messages import Status
from firmware_protocol.operators import Method
from gateway.desk import Desk
from gateway.errors import DeviceRefused, GatewayError, HeadOfficeUnreachable, NotKnownHere

ROSTER_EVERY_S: Final = 60.0
BADGE_PURPOSE: Final = b"seal/1/badge"
Show = Callable[[], Awaitable[bool]]
Tell = Callable[[], Awaitable[dict[str, Any]]]

log = structlog.get_logger("gateway.operators")


class Operators:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._device = desk.device
        self._office = desk.office
        self._relayed: tuple[int, int] | None = None  # (boot, number) that the device has
        self._turn = asyncio.Lock()

    # The roster

    async def keep_roster(self) -> None:
        """Until cancelled: the newest roster is here and on the device."""
        while True:
            await self.refresh()
            await asyncio.sleep(ROSTER_EVERY_S)

    async def refresh(self) -> None:
        try:
            answer = await self._office.head_office.roster(self._device.device_id)
            if answer != self._roster():
                self._office.notebook.keep_roster(self._device.device_id, answer)
        except GatewayError as error:
            log.info("no_new_roster", device=self._device.device_id, error=str(error))
        await self.relay()

    async def relay(self) -> None:
        """The device gets the roster that is here, unless it has it."""
        roster = self._roster()
        hello = self._device.hello
        if roster is None or hello is None or self._relayed == (hello.boot, roster["number"]):
            return
        try:
            for part in roster["parts"]:
                await self._device.ask(messages.RosterRequest(roster=bytes.fromhex(part)), messages.Accepted)
            self._relayed = (hello.boot, roster["number"])
        except GatewayError as error:
            log.info("roster_not_taken", device=self._device.device_id, error=str(error))

    def _roster(self) -> dict[str, Any] | None:
        return self._office.notebook.roster(self._device.device_id)

    def people(self) -> list[dict[str, Any]]:
        roster = self._roster()
        return list(roster["people"]) if roster else []

    # Signing in

    async def sign_in(self, username: str, pin: str) -> dict[str, Any]:
        """Raises: DeviceRefused, HeadOfficeRefused, HeadOfficeUnreachable, NotKnownHere."""

        def known() -> dict[str, Any] | None:
            return next((one for one in self.people() if one["username"].lower() == username.lower()), None)

        if known() is None:
            await self.refresh()  # somebody new
        try:
            return await self._sign_in(known(), Method.PIN, pin, username=username)
        except NotKnownHere:
            number = (self._roster() or {}).get("number")
            await self.refresh()  # the PIN may have been changed since
            if (self._roster() or {}).get("number") == number:
                raise
            return await self._sign_in(known(), Method.PIN, pin, username=username)

    async def badge(self, text: str) -> dict[str, Any]:
        """Whoever wears it; the keeper before is signed out. Raises: as `sign_in`."""
        lookup = hashlib.sha256(BADGE_PURPOSE + text.encode()).digest()[:8].hex()

        def wearer() -> dict[str, Any] | None:
            return next((one for one in self.people() if one.get("badge_lookup") == lookup), None)

        if wearer() is None:
            await self.refresh()  # a badge that was given out a moment ago
        person = wearer()
        here = self._desk.operator
        if person is not None and here is not None and here.get("operator_id") == person["person_id"]:
            return here
        return await self._sign_in(person, Method.BADGE, text, username=None)

    async def _sign_in(
        self, person: dict[str, Any] | None, method: Method, secret: str, *, username: str | None
    ) -> dict[str, Any]:
        async def show() -> bool:
            return person is not None and await self._at_device(person, method, secret)

        async def tell() -> dict[str, Any]:
            if username is None:
                return await self._office.head_office.sign_in_badge(self._device.device_id, secret)
            return await self._office.head_office.sign_in(self._device.device_id, username, secret)

        return await self.admit(person, method.name.lower(), show=show, tell=tell)

    async def admit(self, person: dict[str, Any] | None, method: str, *, show: Show, tell: Tell) -> dict[str, Any]:
        """`show`: whether the device took it; `tell`: who it is, as headquarters says, which may be out of reach.

        Raises: what the two raise, and HeadOfficeUnreachable only when the device did not take it either.
        """
        async with self._turn:
            at_device = await show()
            before = str((self._desk.operator or {}).get("operator_id", ""))
            try:
                signed = await tell()
            except HeadOfficeUnreachable:
                if person is None or not at_device:
                    raise
                signed = {"operator_id": person["person_id"], "name": person["name"], "offline": True}
            except GatewayError:
                if at_device:
                    await self._leave_device()
                raise
            if self._desk.session.token_id and not at_device and before != signed["operator_id"]:
                # the device closes another person's job by itself only if it knows who is who
                await self._device.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
            self._desk.operator = signed | {"at_device": at_device, "method": method}
        self._office.changed()
        return self._desk.operator

    async def _at_device(self, person: dict[str, Any], method: Method, secret: str) -> bool:
        """Whether the device took the proof; without an entry for this method it is not asked."""
        salt = next((way["salt"] for way in person["methods"] if way["method"] == int(method)), None)
        if salt is None:
            return False
        proof = await asyncio.to_thread(operators.proof, secret, salt=bytes.fromhex(salt))
        request = messages.OperatorRequest(operator=bytes.fromhex(person["operator"]), method=method, proof=proof)
        try:
            await self._device.ask(request, messages.Accepted, slow=True)
        except DeviceRefused as error:
            if error.name == "WRONG_OPERATOR":
                raise NotKnownHere from error
            raise
        return True

    async def sign_out(self) -> None:
        if (self._desk.operator or {}).get("at_device"):
            await self._leave_device()
        self._desk.operator = None
        self._office.changed()

    async def _leave_device(self) -> None:
        """As well as it can be done: who leaves is gone here in any case, and nobody stamps without a sign-in here."""
        try:
            await self._device.ask(messages.OperatorLeaveRequest(), messages.Accepted)
        except GatewayError as error:
            log.info("operator_stays", device=self._device.device_id, error=str(error))

    def saw(self, status: Status, before: Status | None) -> None:
        """A device that was started again signed everybody out."""
        here = self._desk.operator
        gone = before is not None and before.operator is not None and status.operator is None
        if gone and here is not None and here.get("at_device"):
            self._desk.operator = None
