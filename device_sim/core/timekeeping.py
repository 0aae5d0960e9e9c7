"""Uptime, and the time of day as far as it was signed over a nonce of this boot (design: D4, "No clock needed")."""

from device_sim.core.checks import NONCE_LIFE_MS, Moment, Nonce
from device_sim.core.ports import Clock, Rng

NONCE_SIZE = 16


class Timekeeper:
    """Starts at boot; what it learned is gone with the power, only the floor in the journal stays."""

    def __init__(self, *, clock: Clock, rng: Rng) -> None:
        self._clock = clock
        self._rng = rng
        self._started_ms = clock.now_ms()
        self._unix_at_start_ms: int | None = None
        self.boot_nonce = self._fresh()
        self._nonce_spent = False

    @property
    def uptime_ms(self) -> int:
        return self._clock.now_ms() - self._started_ms

    @property
    def moment(self) -> Moment:
        known = self._unix_at_start_ms
        return Moment(now_ms=self.uptime_ms, unix_ms=None if known is None else known + self.uptime_ms)

    def offer_nonce(self) -> bytes:
        """For HELLO: the one that is out while it is young, so that a repeated HELLO spoils no answer on its way."""
        if self._nonce_spent or self.uptime_ms - self.boot_nonce.made_ms > NONCE_LIFE_MS // 2:
            self.boot_nonce = self._fresh()
            self._nonce_spent = False
        return self.boot_nonce.value

    def open_nonce(self) -> Nonce | None:
        """The boot nonce that signed time may come back over."""
        return None if self._nonce_spent else self.boot_nonce

    def set(self, unix_ms: int) -> int | None:
        """Signed time came. Returns how far the own idea was off, in ms, or None when there was none."""
        had = self.moment.unix_ms
        self._unix_at_start_ms = unix_ms - self.uptime_ms
        self._nonce_spent = True
        return None if had is None else abs(unix_ms - had)

    def _fresh(self) -> Nonce:
        return Nonce(value=self._rng.token_bytes(NONCE_SIZE), made_ms=self.uptime_ms)
