"""Passkeys on the keeper's page: what the browser is asked for, and its answer on the way to the device.

The device makes the challenge and checks the answer itself, so nothing of this needs headquarters. A new passkey does:
headquarters keeps it, and puts it into the roster once its owner confirmed it there.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from firmware_protocol import messages, passkeys
from gateway.desk import Desk
from gateway.errors import DeviceRefused, NoPasskey, OutOfOrder, PasskeyNotKnown
from gateway.operators import Operators

CHALLENGE_SIZE: Final = 32
MOST_OFFERED: Final = 64
"""Credential ids that a browser is asked for; those of more keepers find their page on another gateway."""


class Passkeys:
    def __init__(self, desk: Desk, operators: Operators) -> None:
        self._desk = desk
        self._device = desk.device
        self._office = desk.office
        self._operators = operators

    async def ask(self, rp_id: str) -> dict[str, Any]:
        """For navigator.credentials.get; binary values in base64url. Raises: NoPasskey, DeviceRefused."""
        if not self._known(rp_id):
            await self._operators.refresh()  # confirmed a moment ago
        known = self._known(rp_id)
        if not known:
            raise NoPasskey
        await self._operators.relay()
        answer = await self._device.ask(messages.PasskeyChallengeRequest(), messages.PasskeyChallenge)
        challenge = passkeys.challenge(self._device.device_id, answer.nonce)
        return {"challenge": _text(challenge), "rp_id": rp_id, "credentials": [_text(one) for one in known]}

    async def sign_in(self, answered: dict[str, str]) -> dict[str, Any]:
        """`answered`: credential_id, authenticator_data, client_data and signature of the browser, in base64url.

        Raises: PasskeyNotKnown, DeviceRefused, HeadOfficeRefused.
        """
        credential_id = _bytes(answered.get("credential_id", ""))
        person = next((one for one in self._operators.people() if credential_id.hex() in _credentials(one)), None)
        if person is None:
            raise PasskeyNotKnown
        request = messages.PasskeyRequest(
            operator=bytes.fromhex(person["operator"]),
            credential=passkeys.short_id(credential_id),
            authenticator_data=_bytes(answered.get("authenticator_data", "")),
            client_data=_bytes(answered.get("client_data", "")),
            signature=_raw(_bytes(answered.get("signature", ""))),
        )
        told: list[bytes] = []

        async def show() -> bool:
            try:
                identified = await self._device.ask(request, messages.Identified, slow=True)
            except DeviceRefused as error:
                if error.name == "WRONG_OPERATOR":
                    raise PasskeyNotKnown from error
                raise
            told.append(identified.event)
            return True

        async def tell() -> dict[str, Any]:
            return await self._office.head_office.sign_in_passkey(self._device.device_id, told[0])

        return await self._operators.admit(person, "passkey", show=show, tell=tell)

    def new(self, rp_id: str) -> dict[str, Any]:
        """For navigator.credentials.create, for whoever is signed in. Raises: OutOfOrder, when nobody is."""
        here = self._here()
        person = next((one for one in self._operators.people() if one["person_id"] == here["operator_id"]), None)
        return {
            "challenge": _text(os.urandom(CHALLENGE_SIZE)),  # nobody checks it: there is no attestation
            "rp_id": rp_id,
            "user_id": _text(str(here["operator_id"]).encode()),
            "username": person["username"] if person is not None else here["name"],
            "name": here["name"],
            "credentials": [_text(one) for one in self._known(rp_id)],
        }

    async def register(self, made: dict[str, str]) -> str:
        """`made`: rp_id, and authenticator_data in base64url. Six digits by which its owner knows it at headquarters.

        Raises: OutOfOrder, HeadOfficeRefused, HeadOfficeUnreachable.
        """
        answer = await self._office.head_office.register_passkey(
            self._device.device_id,
            operator_id=str(self._here()["operator_id"]),
            rp_id=made.get("rp_id", ""),
            authenticator_data=_bytes(made.get("authenticator_data", "")),
        )
        return f"{answer['number'][:3]} {answer['number'][3:]}"

    def _here(self) -> dict[str, Any]:
        if self._desk.operator is None:
            raise OutOfOrder("Nobody is signed in. Sign in with your name and PIN first.")
        return self._desk.operator

    def _known(self, rp_id: str) -> list[bytes]:
        """Credential ids of this page, of everybody who may operate here."""
        keys = [key for person in self._operators.people() for key in person.get("passkeys", ())]
        return [bytes.fromhex(key["credential_id"]) for key in keys if key["rp_id"] == rp_id][:MOST_OFFERED]


def _credentials(person: dict[str, Any]) -> set[str]:
    return {key["credential_id"] for key in person.get("passkeys", ())}


def _raw(signature: bytes) -> bytes:
    """The two halves of a DER signature, as devices take them. Raises: PasskeyNotKnown."""
    half = passkeys.SIGNATURE_SIZE // 2
    try:
        first, second = decode_dss_signature(signature)
        return first.to_bytes(half, "big") + second.to_bytes(half, "big")
    except (ValueError, OverflowError) as error:
        raise PasskeyNotKnown from error


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Raises: PasskeyNotKnown."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (NotBase64, ValueError) as error:
        raise PasskeyNotKnown from error
