"""Somebody with every file of a bundle and none of its keys: the same document, photos, request and installation."""

import hashlib
import random
from dataclasses import dataclass, field, replace

from server.core.clock import SystemClock
from server.verification import trust
from server.verification.manifest import NAME, parse
from tests.server.verification.story_maker import StoryMaker


@dataclass
class Forger(StoryMaker):
    """`real`: the members of the bundle to copy."""

    real: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.request = parse(self.real[NAME]).request
        self.document = self.real["document.pdf"]
        self.expires = int(SystemClock().now().timestamp()) + 86_400
        self._pictures = [data for name, data in self.real.items() if name.startswith("photos/")]

    def photo(self, stroke: int, when: str) -> bytes:
        data = self._pictures[(2 * stroke + (when == "after")) % len(self._pictures)]
        digest = hashlib.sha256(data).digest()
        self.others[f"photos/{digest.hex()}.jpg"] = data
        self.photos.append(digest)
        return digest

    def trust_bundle(self, *, version: int | None = None) -> bytes:
        """The real installation by id, name and host; every key another."""
        own = trust.read_bundle(super().trust_bundle(version=version))
        claimed = trust.read_bundle(self.real["trust.cose"]).anchor
        anchor = replace(
            own.anchor,
            installation_id=claimed.installation_id,
            name=claimed.name,
            host=claimed.host,
            expires=claimed.expires,
        )
        return trust.issue(
            trust.sign_anchor(anchor, root=self.keys["root"]),
            key=self.keys["bundle"],
            version=own.version,
            issued=own.issued,
            expires=own.expires,
            devices=own.devices,
            withdrawals=(),
        )


def forged(members: dict[str, bytes], rng: random.Random) -> bytes:
    """A bundle that is whole and consistent, signed with keys it brings along."""
    return Forger(rng, demo=True, real=members).stamp(strokes=1).bundle()
