import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.core.runtime import Runtime
from server.jobs.sandbox import Workers
from server.public.app import JUDGES
from tests.server.public.site import Site
from tests.server.verification.story_maker import Key
from tests.server.world import clock, company, installation, keys, run, with_passwords, workers

__all__ = ["clock", "company", "installation", "keys", "run", "with_passwords", "workers"]


@pytest.fixture(scope="session")
def judges() -> Iterator[Workers]:
    judges = Workers(functions=(JUDGES,))
    yield judges
    judges.close()


@pytest.fixture
def site(run: Runtime, judges: Workers, tmp_path: Path, rng: random.Random) -> Site:
    device = Key(Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)))
    return Site(run=run, device=device, path=tmp_path / "public" / "snapshot.cose", judges=judges)
