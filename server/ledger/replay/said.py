"""One business entry as the replay reads it: the signed leaf, and the commitments that the openings beside it open."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from firmware_protocol import cbor
from firmware_protocol.errors import Malformed
from server.ledger.entry_codec import Entry, Opening


class Gone(Exception):
    """A commitment that this decision needs has no opening that fits; `label` names it."""

    def __init__(self, index: int, label: str) -> None:
        super().__init__(f"what entry {index} commits to as '{label}' is not shown")
        self.index = index
        self.label = label


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """`index`: the entry's place in the log, which is the order of what happened."""

    index: int
    entry: Entry
    openings: Mapping[str, Opening]

    @property
    def time_ms(self) -> int:
        return self.entry.time_ms

    def ref(self, kind: str) -> str:
        """The one reference of this kind, bytes in lowercase hex; "" without."""
        value = self.entry.refs.get(kind, "")
        first = (value[0] if value else "") if isinstance(value, list) else value
        return first.hex() if isinstance(first, bytes) else first

    def text(self, name: str) -> str:
        value = self.entry.public.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """0 for anything that is not a number."""
        value = self.entry.public.get(name)
        return value if type(value) is int else 0

    def data(self, name: str) -> bytes:
        value = self.entry.public.get(name)
        return value if isinstance(value, bytes) else b""

    def raw(self, label: str) -> bytes:
        """The deterministic CBOR behind a commitment. Raises: Gone, without an opening that gives the commitment."""
        opening = self.openings.get(label)
        if opening is None or opening.commitment() != self.entry.commitments.get(label):
            raise Gone(self.index, label)
        return opening.value

    def opened(self, label: str) -> Any:  # noqa: ANN401 - any value a business step holds
        """Raises: Gone."""
        try:
            return cbor.decode(self.raw(label))
        except Malformed as error:
            raise Gone(self.index, label) from error

    def person(self, label: str) -> UUID | None:
        """The person behind a commitment; None: the installation itself. Raises: Gone."""
        if label not in self.entry.commitments:
            return None
        value = self.opened(label)
        try:
            return None if value is None else UUID(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise Gone(self.index, label) from error
