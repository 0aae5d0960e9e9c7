"""Pairing: a window opened at the device, a commitment, terms, six digits that a person compares (design: D4)."""

from dataclasses import dataclass
from typing import Final

from device_sim.core.checks import No
from device_sim.core.log import Attached, EventLog
from device_sim.core.ports import Parts
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from firmware_protocol import cbor, events, messages, pairing
from firmware_protocol.labelled import to_map
from firmware_protocol.orders import Terms
from firmware_protocol.reasons import Reason

WINDOW_MS: Final = pairing.WINDOW_S * 1000


@dataclass(slots=True, kw_only=True)
class _Window:
    """One press of the button. It takes one commitment: a second try needs a person again."""

    closes_ms: int
    nonce: bytes
    commitment: bytes | None = None
    terms: Terms | None = None
    digits: str | None = None


class Pairing:
    """A device belongs to nobody until its person confirmed; after that it refuses every further pairing."""

    def __init__(self, *, device_id: str, parts: Parts, log: EventLog, time: Timekeeper) -> None:
        self._device_id = device_id
        self._parts = parts
        self._log = log
        self._time = time
        self._window: _Window | None = None

    @property
    def digits(self) -> str | None:
        """On the device's display while it waits for its person."""
        return self._window.digits if self._window else None

    def press_button(self) -> bool:
        """Opens the window. False: this device belongs to somebody, or the ledger of its old owner lacks something."""
        if self._log.memory.paired or self._log.memory.released_seq is not None:
            return False
        closes_ms = self._time.uptime_ms + WINDOW_MS
        self._window = _Window(closes_ms=closes_ms, nonce=self._parts.rng.token_bytes(NONCE_SIZE))
        return True

    def close_late(self) -> bool:
        """Whether the window closed just now, because its time is over."""
        if self._window is None or self._time.uptime_ms < self._window.closes_ms:
            return False
        self._window = None
        return True

    def commit(self, commitment: bytes) -> messages.PairDevice | No:
        window = self._open()
        if isinstance(window, No):
            return window
        if window.commitment not in (None, commitment):
            detail = "another commitment was made; press the pairing button again"
            return No(reason=Reason.PAIRING_CLOSED, detail=detail)
        window.commitment = commitment
        return messages.PairDevice(device_id=self._device_id, public_key=self._log.key.public_key, nonce=window.nonce)

    def reveal(self, terms: Terms) -> messages.Accepted | No:
        """The terms behind the commitment; from now on the device shows the digits."""
        window = self._open()
        if isinstance(window, No):
            return window
        if window.commitment is None or pairing.commitment(terms) != window.commitment:
            return No(reason=Reason.BAD_SIGNATURE, detail="these terms were not committed to")
        window.terms = terms
        window.digits = pairing.digits(
            terms, device_id=self._device_id, device_key=self._log.key.public_key, device_nonce=window.nonce
        )
        return messages.Accepted()

    def status(self) -> messages.PairStatus | No:
        window = self._open()
        if isinstance(window, No) and not self._log.memory.paired:
            return window
        return messages.PairStatus(confirmed=self._log.memory.paired)

    def confirm(self) -> None:
        """The person compared the digits; without terms there is nothing to confirm. Raises: StorageFailed."""
        terms = self._window.terms if self._window else None
        if terms is None:
            return
        paired = events.Paired(
            installation_id=terms.installation_id,
            terms_digest=pairing.commitment(terms),
            root_key=terms.root_key,
            public_key=self._log.key.public_key,
        )
        self._log.write(Attached(body=paired, attachment=cbor.encode(to_map(terms))))
        self._window = None

    def _open(self) -> _Window | No:
        if self._log.memory.paired:
            return No(reason=Reason.ALREADY_PAIRED, detail="this device belongs to somebody")
        return self._window or No(reason=Reason.PAIRING_CLOSED, detail="press the pairing button first")
