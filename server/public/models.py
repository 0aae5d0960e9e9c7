"""Tables of `server.public`: what the snapshot is made of. All of it can be made again from the ledger."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from server.core.db import BIG


def _number() -> Any:  # noqa: ANN401 - a column
    return Column(BIG, nullable=False)


class PublicCodeRow(SQLModel, table=True):
    """One trace code that exists, and the places to compare."""

    __tablename__ = "public_code"

    code_hash: bytes = Field(primary_key=True, max_length=32)
    short_code: str = Field(index=True)
    tenant_id: UUID
    seal_id: UUID
    form: int  # snapshot.Form
    time_ms: int = Field(sa_column=_number())
    pages: int
    copy_number: int
    copies: int
    page: int
    imprints: int = 1  # on its sheet, that this code stands for: more than one only on a label
    label_code: str = (
        ""  # short code of the label on its sheet; "": the device printed this one itself, or there is none
    )
    status: int  # snapshot.Status
    withdrawn_ms: int = Field(default=0, sa_column=_number())
    sealed_digest: bytes | None = Field(default=None, max_length=32)
    places: list[Any] = Field(sa_type=JSON)  # [[page, line, position, letters, salt hex, digest hex]]


class PublicSealRow(SQLModel, table=True):
    """A seal with a status page."""

    __tablename__ = "public_seal"

    seal_id: UUID = Field(primary_key=True)
    tenant_id: UUID
    state_since_ms: int = Field(sa_column=_number())
    codes_since_ms: int = Field(sa_column=_number())


class PublicCursor(SQLModel, table=True):
    """How much of the log has been looked at; row `id` 1."""

    __tablename__ = "public_cursor"

    id: int = Field(default=1, primary_key=True)
    next_index: int = Field(default=0, sa_column=_number())
