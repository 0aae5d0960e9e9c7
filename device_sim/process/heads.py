"""The engraved heads in their slots: artwork for the scene, ids for the core. Kept in the device's home."""

import json
from pathlib import Path

from device_sim.core.memory import SLOTS
from device_sim.process.disk import write_durably
from device_sim.scene.head import HeadArtwork

ID_SIZE = 8


class Heads:
    """One file per slot: slot-N.json with id and diameter, slot-N.png with the artwork."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._mounted: dict[int, tuple[bytes, HeadArtwork]] = {}
        for slot in range(SLOTS):
            about = folder / f"slot-{slot}.json"
            if about.exists():
                known = json.loads(about.read_bytes())
                picture = (folder / f"slot-{slot}.png").read_bytes()
                head = HeadArtwork.from_png(picture, known["diameter_mm"])
                self._mounted[slot] = bytes.fromhex(known["head_id"]), head

    def mount(self, slot: int, *, head_id: bytes, png: bytes, diameter_mm: float) -> None:
        """Raises: ArtworkInvalid; ValueError for a slot or an id that can't be."""
        if not 0 <= slot < SLOTS or len(head_id) != ID_SIZE:
            raise ValueError(f"slots are 0 to {SLOTS - 1}, a head id has {ID_SIZE} bytes")
        head = HeadArtwork.from_png(png, diameter_mm)
        about = {"head_id": head_id.hex(), "diameter_mm": diameter_mm}
        write_durably(self._folder / f"slot-{slot}.png", png)
        write_durably(self._folder / f"slot-{slot}.json", json.dumps(about).encode())
        self._mounted[slot] = head_id, head

    def in_slot(self, slot: int) -> bytes | None:
        found = self._mounted.get(slot)
        return found[0] if found else None

    def artwork(self, slot: int) -> HeadArtwork | None:
        found = self._mounted.get(slot)
        return found[1] if found else None
