"""What the core needs from the world. process/ has the real parts, tests and simulations bring their own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from firmware_protocol.cose import SigningKey
from firmware_protocol.reasons import Reason


class Clock(Protocol):
    """The device's own timer."""

    def now_ms(self) -> int:
        """Milliseconds since an arbitrary start; never goes back while the power is on, worth nothing after."""
        ...


class Rng(Protocol):
    def token_bytes(self, n: int) -> bytes:
        """`n` bytes that nobody can guess."""
        ...


class Disk(Protocol):
    """A few named files. A power cut may leave any prefix of an append that was not yet synced."""

    def read(self, name: str) -> bytes:
        """The whole file; empty when there is none. Raises: StorageFailed."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Durable only after `sync`. Raises: StorageFailed."""
        ...

    def sync(self, name: str) -> None:
        """Everything appended so far survives a power cut. Raises: StorageFailed."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """The new content, durable, or still the old one; never a mixture. Raises: StorageFailed."""
        ...

    def free_bytes(self) -> int:
        """Room for further writes."""
        ...


class Counter(Protocol):
    """The mechanical counter on the head's shaft: only a press moves it, nothing sets it back."""

    def read(self) -> int: ...


class Latch(Protocol):
    """The solenoid. One release lets the lever through once; the spring then holds it again by itself."""

    def release(self) -> None: ...

    def hold(self) -> None:
        """After this returns no press begins. A press that had begun shows in the counter."""
        ...

    def trip(self, sensor: str) -> None:
        """The housing's own flag for this sensor falls, and bars the lever: no release frees it.

        Mechanics, not memory: it needs no storage and outlasts a power cut.
        """
        ...

    def tripped(self) -> tuple[str, ...]:
        """The flags that are down, in the order in which they fell."""
        ...

    def rearm(self) -> None:
        """Every flag is up again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeToPrint:
    """What the inline coder puts beside the imprint."""

    url: str
    short_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOrder:
    """One photo to take: `strip` shows in the picture; `code`, or the word CANCELLED, is printed first."""

    number: int
    strip: bytes
    code: CodeToPrint | None = None
    cancelled: bool = False
    """Print CANCELLED across the sheet first (Shot.code_printed says whether it was)."""
    look: bool = False
    """No photo: a small picture without the strip, kept in RAM until the next one. Its outcome is a Glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One exposure: both pictures are on disk, durable, under their SHA-256 before this exists."""

    preview_digest: bytes
    photo_digest: bytes
    page_token: int  # the tray's when the shutter opened
    code_printed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A small picture of the tray, in RAM under its SHA-256. `place`: as in messages.Looked."""

    digest: bytes
    place: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoShot:
    """The photo could not be taken (CAMERA_FAILED) or not be kept (STORAGE_FAILED)."""

    reason: Reason
    code_printed: bool = False


class Camera(Protocol):
    """The tray: paper sensor, camera, coder. A photo takes hundreds of milliseconds, so it is only started here."""

    @property
    def page_present(self) -> bool: ...

    @property
    def page_token(self) -> int:
        """A number that changes whenever a sheet is laid, moved or taken away."""
        ...

    def start(self, order: PhotoOrder) -> None:
        """Returns at once; the outcome comes back through Device.photographed, once for every order."""
        ...


class Photos(Protocol):
    """Pictures on disk, each under its SHA-256."""

    def forget(self, digest: bytes) -> None:
        """Delete one; a missing one is no error."""
        ...

    def keep_only(self, digests: Iterable[bytes]) -> None:
        """At boot: delete pictures that no signed event names (the power went before their event was written)."""
        ...


class Tripwire(Protocol):
    """Named points between two steps, where a test may cut the power."""

    def reach(self, point: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a device is built from."""

    clock: Clock
    rng: Rng
    disk: Disk
    counter: Counter
    latch: Latch
    camera: Camera
    photos: Photos
    key: SigningKey
    tripwire: Tripwire
    later_key: Callable[[int], SigningKey] | None = None
    """The key of generation 2, 3, ...: made when first asked for, durable, another for each. None: no release."""
