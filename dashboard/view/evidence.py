"""An entry of the ledger in words: who signed it, what it says, which of its commitments can be opened. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from firmware_protocol import cbor, cose, events, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event
from firmware_protocol.tokens import Token
from server.core.i18n import _
from server.core.runtime import Runtime
from server.ledger import entry_codec
from server.ledger.entry_codec import Opening
from server.ledger.schemas import EntryRead, LeafKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line. `kept`: open (public), opened (a commitment whose value is shown), closed (only its commitment)."""

    name: str
    value: str
    kept: str = "open"


def decoded(entry: EntryRead, openings: Mapping[str, Opening | None]) -> list[Fact]:
    """What the signed bytes say. An entry that this version cannot read shows nothing and stays downloadable."""
    try:
        if entry.kind is LeafKind.ENTRY:
            return _of_entry(entry, openings)
        if entry.kind is LeafKind.EVENT:
            return facts_of_event(events.peek(entry.leaf))
        if entry.kind is LeafKind.TOKEN:
            return _of_token(tokens.read(cose.parse1(entry.leaf).payload))
    except ProtocolError:
        return []
    claims = cbor.decode_map(cose.parse1(entry.leaf).payload)
    return [Fact(name=str(label), value=_shown(value)) for label, value in claims.items()]


def signer_of(entry: EntryRead, run: Runtime) -> str:
    if entry.kind is LeafKind.EVENT:
        return _("Device %(device)s, key generation %(generation)s") % {
            "device": entry.device_id,
            "generation": entry.generation,
        }
    if entry.kind is LeafKind.ENTRY:
        return _("This server's ledger key (%(name)s)") % {"name": run.settings.installation}
    return _("This server's key for orders to devices (%(name)s)") % {"name": run.settings.installation}


def _of_entry(entry: EntryRead, openings: Mapping[str, Opening | None]) -> list[Fact]:
    said = entry_codec.peek(entry.leaf)
    facts = [
        Fact(name="time", value=datetime.fromtimestamp(said.time_ms / 1000, UTC).isoformat(timespec="milliseconds"))
    ]
    facts += [Fact(name=name, value=_shown(value)) for name, value in said.refs.items()]
    for name, value in said.public.items():
        facts += _each(name, value) if isinstance(value, dict) else [Fact(name=name, value=_shown(value))]
    for name, commitment in said.commitments.items():
        opening = openings.get(name)
        if opening is None:
            facts.append(Fact(name=name, value=commitment.hex(), kept="closed"))
        else:
            facts.append(Fact(name=name, value=_shown(cbor.decode(opening.value)), kept="opened"))
    return facts


def _each(name: str, values: Mapping[object, object]) -> list[Fact]:
    """A line for each of several values: `keys.time`, `keys.entry`."""
    return [Fact(name=f"{name}.{part}", value=_shown(value)) for part, value in values.items()]


def _of_token(token: Token) -> list[Fact]:
    """Its times are seconds; shown as milliseconds, like those of entries."""
    times = (("not_before_ms", token.not_before), ("expires_ms", token.expires_at))
    parts: list[tuple[str, object]] = [("device", token.device_id), ("token_id", token.token_id)]
    parts += [(name, moment * 1000) for name, moment in times]
    parts += [(name, getattr(token.seal, name)) for name in token.seal.__dataclass_fields__]
    return [Fact(name=name, value=_shown(value)) for name, value in parts if value is not None]


def facts_of_event(event: Event) -> list[Fact]:
    """Header and body of a device's report."""
    header, body = event.header, event.body
    parts = [(name, getattr(part, name)) for part in (header, body) for name in part.__dataclass_fields__]
    return [Fact(name=name, value=_shown(value)) for name, value in parts if value is not None]


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever CBOR holds
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    return getattr(value, "name", None) or str(value)
