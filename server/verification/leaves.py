"""The leaves of a bundle: each with the key that may have signed it, its place in the log, and its openings."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from firmware_protocol import cbor, cose, events, orders, tokens
from firmware_protocol.errors import BadSignature, Malformed, ProtocolError, UnknownKey
from firmware_protocol.events import Event
from firmware_protocol.orders import Permit
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import Token
from server.ledger import entry_codec, merkle, proof
from server.ledger.checkpoint import VerifierKey
from server.ledger.entry_codec import Entry, Opening
from server.verification.checks import Checks
from server.verification.trust import DeviceStatus, TrustBundle

Value: TypeAlias = Entry | Token | Permit | Event

MAX_OPENING: Final = 1024 * 1024
_SUFFIX: Final = ".cose"


class NotSigned(Exception):
    """No key of the installation that may sign such a leaf signed it; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf whose signature holds. `index`: its place in the log, -1 where the proof does not hold."""

    member: str
    leaf_hash: bytes
    data: bytes
    value: Value
    index: int
    opened: dict[str, Any] = field(default_factory=dict)  # label -> value, where the bundle opens the commitment
    raw: dict[str, bytes] = field(default_factory=dict)  # label -> the value's deterministic CBOR

    @property
    def digest(self) -> bytes:
        """SHA-256 of the signed bytes, as events and entries name a token or permit."""
        return hashlib.sha256(self.data).digest()


def verified(data: bytes, trust: TrustBundle) -> Value:
    """What `data` says, once the right key signed it for the right purpose.

    Entries: the entry key in force at the entry's time. Tokens and permits: an issuer key. Events: the device's key of
    that generation. Raises: NotSigned.
    """
    issuers = trust.keys_for(Purpose.TOKEN) | trust.keys_for(Purpose.PERMIT)
    readers: tuple[tuple[Callable[[], Value], str], ...] = (
        (lambda: _entry(data, trust), "an entry"),
        (lambda: tokens.verify(data, keys=issuers), "a token"),
        (lambda: orders.verify(Permit, data, keys=issuers), "a permit"),
        (lambda: _event(data, trust), "a device event"),
    )
    reasons = []
    for read, what in readers:
        try:
            return read()
        except UnknownKey:
            continue
        except ProtocolError as error:
            reasons.append((not isinstance(error, BadSignature), f"as {what}: {error}"))
    raise NotSigned(min(reasons)[1] if reasons else "no key in the trust bundle may sign this")


def read_all(members: Mapping[str, bytes], *, trust: TrustBundle, log: VerifierKey, checks: Checks) -> list[Leaf]:
    """Every `entries/` member whose signature holds, in log order; faults are named in `checks`."""
    leaves: list[Leaf] = []
    unsigned: list[tuple[str, str]] = []
    unproven: list[tuple[str, str]] = []
    names = [name for name in members if name.startswith("entries/")]
    for name in names:
        data = members[name]
        leaf_hash = merkle.leaf_hash(data)
        if name != f"entries/{leaf_hash.hex()}{_SUFFIX}":
            unsigned.append((name, "its name is not its leaf hash: it was exchanged or changed"))
            continue
        index = _proven(members, leaf_hash, data, log=log, faults=unproven)
        try:
            value = verified(data, trust)
        except NotSigned as error:
            unsigned.append((name, str(error)))
            continue
        leaves.append(Leaf(member=name, leaf_hash=leaf_hash, data=data, value=value, index=index))
    checks.group("signatures", unsigned, summary=f"{len(leaves)} entries, each signed by the key that may sign it")
    checks.group("log proofs", unproven, summary=f"{len(leaves)} entries lead to the signed checkpoint")
    return sorted(leaves, key=lambda leaf: leaf.index)


def open_all(leaves: list[Leaf], members: Mapping[str, bytes], checks: Checks) -> None:
    """Fill `opened` from the `openings/` members; every salt and value must give the commitment in the entry."""
    faults: list[tuple[str, str]] = []
    count = 0
    by_hash = {leaf.leaf_hash.hex(): leaf for leaf in leaves}
    for name in (name for name in members if name.startswith("openings/")):
        leaf = by_hash.get(name.removeprefix("openings/").removesuffix(".json"))
        entry = leaf.value if leaf else None
        if leaf is None or not isinstance(entry, Entry):
            faults.append((name, "it opens no entry of this bundle"))
            continue
        try:
            fields = parse_openings(members[name])
        except Malformed as error:
            faults.append((name, str(error)))
            continue
        for label, opening in fields.items():
            if entry.commitments.get(label) != opening.commitment():
                faults.append((name, f"salt and value of '{label}' do not give the commitment in the signed entry"))
                continue
            leaf.opened[label], leaf.raw[label] = cbor.decode(opening.value), opening.value
            count += 1
    checks.group("openings", faults, summary=f"{count} salted values give the commitments in signed entries")


def write_openings(openings: Mapping[str, Opening]) -> bytes:
    """An `openings/` member: label -> salt and value (deterministic CBOR), in hex."""
    body = {label: {"salt": one.salt.hex(), "value": one.value.hex()} for label, one in openings.items()}
    return (json.dumps(body, indent=1, sort_keys=True) + "\n").encode("ascii")


def parse_openings(data: bytes) -> dict[str, Opening]:
    """Raises: Malformed."""
    if len(data) > MAX_OPENING:
        raise Malformed("longer than openings are")
    try:
        fields = {
            str(label): Opening(bytes.fromhex(one["salt"]), bytes.fromhex(one["value"]))
            for label, one in json.loads(data).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("not the JSON of openings") from error
    for opening in fields.values():
        cbor.decode(opening.value)
        if len(opening.salt) != entry_codec.SALT_SIZE:
            raise Malformed(f"a salt has {entry_codec.SALT_SIZE} bytes")
    if write_openings(fields) != data:
        raise Malformed("openings are written in one way only, and this is another")
    return fields


def _proven(
    members: Mapping[str, bytes], leaf_hash: bytes, data: bytes, *, log: VerifierKey, faults: list[tuple[str, str]]
) -> int:
    """The entry's index in the log, -1 when its proof is missing or does not hold."""
    name = f"proofs/{leaf_hash.hex()}.tlog-proof"
    try:
        found = proof.verify(members[name].decode("utf-8"), leaf=data, key=log)
    except KeyError:
        faults.append((name, "it is missing"))
    except UnicodeDecodeError:
        faults.append((name, "it is not text"))
    except proof.BadProof as error:
        faults.append((name, str(error)))
    else:
        if found.checkpoint.note.encode("utf-8") == members.get("checkpoint"):
            return found.index
        faults.append((name, "it leads to another checkpoint than the bundle's"))
    return -1


def _entry(data: bytes, trust: TrustBundle) -> Entry:
    entry = entry_codec.verify(data, keys=trust.keys_for(Purpose.ENTRY))
    in_force = trust.keys_for(Purpose.ENTRY, at=entry.time_ms // 1000)
    if cose.parse1(data).key_id not in in_force:
        raise Malformed("the entry key was not in force at the entry's time")
    return entry


def _event(data: bytes, trust: TrustBundle) -> Event:
    header = events.peek(data).header
    device = trust.device(header.device_id, header.generation)
    if device is None:
        raise Malformed(f"the trust bundle does not know device {header.device_id}, key {header.generation}")
    event = events.verify(data, keys=cose.keyring(device.public_key))
    if device.status is DeviceStatus.COMPROMISED and (header.time_ms is None or header.time_ms >= device.since * 1000):
        raise Malformed(f"device {header.device_id} was reported compromised, and this was not signed before that")
    return event
