"""The roots that this client trusts, got by another way than the thing it checks: one small JSON file each.

Folders: ~/.config/cinnabar/roots, and roots/ in CINNABAR_HOME if that is set. A file names the root key, what it is
called, whether it is a demo, and the newest trust bundle seen, so that an older one is never taken again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.verification.trust import BundleBroken, TrustBundle, is_demo_root, read_bundle

KEY_SIZE: Final = 32


class BadRoot(Exception):
    """This root cannot be pinned, or a pin is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A root and the newest bundle under it that this client has seen."""

    root: bytes
    name: str
    demo: bool
    bundle: TrustBundle | None = None


def folders(environment: Mapping[str, str]) -> list[Path]:
    """Where pins are looked for; the first is where a person's own pins go."""
    config = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config")
    found = [config / "cinnabar" / "roots"]
    if home := environment.get("CINNABAR_HOME"):
        found.append(Path(home) / "roots")
    return found


def pin(folder: Path, *, root: bytes, name: str, demo: bool, bundle: bytes | None = None) -> Path:
    """Trust `root` from now on; `bundle` is the newest trust bundle under it. An older one never replaces a newer.

    Raises: BadRoot, when key and demo mark disagree or the bundle is of another root.
    """
    if len(root) != KEY_SIZE or is_demo_root(root) != demo:
        raise BadRoot(
            "this key cannot be pinned as a demo root" if demo else "a demo root is never pinned as a real one"
        )
    if bundle is not None and _read(bundle).root_key != root:
        raise BadRoot("the trust bundle is under another root")
    path = folder / f"{root.hex()[:16]}.json"
    known = read(path) if path.exists() else None
    if bundle is None or (known and known.bundle and known.bundle.version > _read(bundle).version):
        kept = json.loads(path.read_bytes()).get("bundle", "") if known else ""
    else:
        kept = bundle.hex()
    folder.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    body = {"root": root.hex(), "name": name, "demo": demo, "bundle": kept}
    fresh.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="ascii")
    fresh.replace(path)
    return path


def read(path: Path) -> Pin:
    """Raises: BadRoot."""
    try:
        body = json.loads(path.read_bytes())
        root, demo = bytes.fromhex(body["root"]), body["demo"] is True
        bundle = _read(bytes.fromhex(body["bundle"])) if body.get("bundle") else None
        name = str(body["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRoot(f"{path} cannot be read") from error
    if len(root) != KEY_SIZE or is_demo_root(root) != demo or (bundle is not None and bundle.root_key != root):
        raise BadRoot(f"{path} does not fit its root")
    return Pin(root=root, name=name, demo=demo, bundle=bundle)


def read_all(places: Iterable[Path]) -> list[Pin]:
    """Every pin in these folders. Raises: BadRoot."""
    return [read(path) for folder in places if folder.is_dir() for path in sorted(folder.glob("*.json"))]


def of_bundle(data: bytes) -> Pin:
    """A pin for `--trust FILE`: the caller vouches for this trust bundle's root. Raises: BadRoot."""
    bundle = _read(data)
    return Pin(root=bundle.root_key, name=bundle.anchor.name, demo=bundle.demo, bundle=bundle)


def _read(data: bytes) -> TrustBundle:
    try:
        return read_bundle(data)
    except BundleBroken as error:
        raise BadRoot(f"not a trust bundle: {error}") from error
