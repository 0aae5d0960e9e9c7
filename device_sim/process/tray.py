"""ports.Camera over the scene: one worker takes the photos, so that nobody waits for the shutter."""

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from device_sim.core.errors import StorageFailed
from device_sim.core.ports import Glance, NoShot, PhotoOrder, Shot
from device_sim.process.disk import PhotoFolder
from device_sim.process.faults import Fault, Faults
from device_sim.scene.scene import Scene
from firmware_protocol.reasons import Reason

Deliver = Callable[[int, Shot | Glance | NoShot], None]


class Tray:
    """The scene is touched by one thread at a time: with `scene()`."""

    def __init__(self, scene: Scene, *, photos: PhotoFolder, faults: Faults) -> None:
        self._scene = scene
        self._photos = photos
        self._faults = faults
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[PhotoOrder | None] = queue.SimpleQueue()

    @property
    def page_present(self) -> bool:
        return self._scene.sheet_present

    @property
    def page_token(self) -> int:
        return self._scene.page_token

    @contextmanager
    def scene(self) -> Iterator[Scene]:
        with self._lock:
            yield self._scene

    def start(self, order: PhotoOrder) -> None:
        self._orders.put(order)

    def stop(self) -> None:
        self._orders.put(None)

    def work(self, deliver: Deliver) -> None:
        """The worker's life; ends after `stop`."""
        while (order := self._orders.get()) is not None:
            deliver(order.number, self._carry_out(order))

    def _carry_out(self, order: PhotoOrder) -> Shot | Glance | NoShot:
        if order.look:
            return self._look()
        with self._lock:
            printed = self._print(order)
            if self._faults.has(Fault.CAMERA_FAILS):
                return NoShot(reason=Reason.CAMERA_FAILED, code_printed=printed)
            page_token = self._scene.page_token
            photo = self._scene.photograph(order.strip)
        preview = hashlib.sha256(photo.preview_jpeg).digest()
        full = hashlib.sha256(photo.full_jpeg).digest()
        try:
            self._photos.keep([(preview, photo.preview_jpeg), (full, photo.full_jpeg)])
        except StorageFailed:
            return NoShot(reason=Reason.STORAGE_FAILED, code_printed=printed)
        self._faults.reach("after_photo")
        return Shot(preview_digest=preview, photo_digest=full, page_token=page_token, code_printed=printed)

    def _look(self) -> Glance | NoShot:
        if self._faults.has(Fault.CAMERA_FAILS):
            return NoShot(reason=Reason.CAMERA_FAILED)
        with self._lock:
            picture, place = self._scene.look()
        digest = hashlib.sha256(picture).digest()
        self._photos.hold(digest, picture)
        return Glance(digest=digest, place=place)

    def _print(self, order: PhotoOrder) -> bool:
        """The coder's part, before the shutter opens. Whether anything was printed."""
        if order.cancelled:
            printed = self._scene.print_cancelled()
            self._faults.reach("after_cancelled")
            return printed
        if order.code is None:
            return False
        printed = self._scene.print_code(order.code.url, short_code=order.code.short_code)
        self._faults.reach("after_print")
        return printed
