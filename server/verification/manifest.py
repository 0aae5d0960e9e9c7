"""`manifest.json`, schema 1: what a bundle is about, and every other member with its size and SHA-256.

Nobody signs the manifest. What binds the set of members is `record`: the leaves and photos that existed when the record
was filed; the signed RECORD_FILED entry carries its digest, so nothing of it can be left out.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from firmware_protocol import cbor

NAME: Final = "manifest.json"
SCHEMA: Final = 1
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class BadManifest(Exception):
    """The manifest is not what this schema demands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was on record at filing: the approved document, leaf hashes, photo digests; 32 bytes each."""

    document: bytes
    leaves: tuple[bytes, ...]
    photos: tuple[bytes, ...]

    def digest(self) -> bytes:
        """What RECORD_FILED names: SHA-256 over a prefix and the sorted lists in deterministic CBOR."""
        body = [self.document, sorted(set(self.leaves)), sorted(set(self.photos))]
        return hashlib.sha256(b"seal/1/record" + cbor.encode(body)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    request: str  # UUID of the request
    record: Record
    members: dict[str, tuple[int, bytes]]  # name -> size, SHA-256


def build(members: Mapping[str, bytes], *, request: str, record: Record) -> bytes:
    """The manifest of `members`, which does not hold it yet."""
    body = {
        "schema": SCHEMA,
        "request": request,
        "record": {
            "document": record.document.hex(),
            "leaves": sorted(leaf.hex() for leaf in record.leaves),
            "photos": sorted(photo.hex() for photo in record.photos),
        },
        "members": [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(members.items())
        ],
    }
    return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode("ascii")


def parse(data: bytes) -> Manifest:
    """Raises: BadManifest."""
    try:
        body = json.loads(data)
        if body["schema"] != SCHEMA:
            raise BadManifest(f"schema {body['schema']!r} is not known here; this reader knows {SCHEMA}")
        record = body["record"]
        manifest = Manifest(
            request=_text(body["request"]),
            record=Record(
                document=_digest(record["document"]),
                leaves=_digests(record["leaves"]),
                photos=_digests(record["photos"]),
            ),
            members={_text(row["name"]): (int(row["size"]), _digest(row["sha256"])) for row in body["members"]},
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadManifest("it is not the JSON of a manifest") from error
    if NAME in manifest.members or len(manifest.members) != len(body["members"]):
        raise BadManifest("it names a member twice, or itself")
    return manifest


def _digests(values: Iterable[Any]) -> tuple[bytes, ...]:
    return tuple(_digest(value) for value in values)


def _digest(value: object) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("not a SHA-256 in lowercase hex")
    return bytes.fromhex(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
