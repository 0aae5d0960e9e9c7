"""What keepers wrote is on record once, with its words as commitments, and closes nothing."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from server.devices.errors import NoSuchDevice
from server.ledger import entry_codec
from server.ledger import service as ledger
from server.ledger.service import EntryType
from server.tokens import service
from server.tokens.schemas import NoteIn, NoteKind, NoteRead
from tests.server.office import Office
from tests.server.world import Company

NOTE_ID = "018f0000-0000-7000-8000-000000000001"


def tell(office: Office, **said: object) -> None:
    note = NoteIn.model_validate(
        {"note_id": NOTE_ID, "kind": "stopped", "text": "doubt: odd amount", "at_ms": 5} | said
    )
    with office.run.db.write() as db:
        service.take_note(db, office.run, office.gateway.gateway, device_id=office.pen.device_id, said=note)


def of_device(office: Office, company: Company) -> list[NoteRead]:
    with office.run.db.read() as db:
        return service.notes_of_device(db, company.everywhere, office.pen.device_id)


def test_a_note_about_a_job_is_on_record_once_and_shows_with_its_request(office: Office, company: Company) -> None:
    request = company.approved()
    token = office.token(request)
    for _ in range(2):  # the answer was lost
        tell(office, token_id=token.token_id.hex(), operator_id=str(company.keeper.id), stroke=1)
    (note,) = of_device(office, company)
    assert (note.kind, note.text, note.by) == (NoteKind.STOPPED, "doubt: odd amount", company.keeper.name)
    assert note.written_at == datetime.fromtimestamp(0.005, UTC)
    with office.run.db.read() as db:
        assert [n.leaf_hash for n in service.notes_of_request(db, company.everywhere, request.id)] == [note.leaf_hash]
    office.deliver()
    with office.run.db.read() as db:
        entries = ledger.find(db, company.everywhere, ref=f"request:{request.id}", entry_type=EntryType.KEEPER_NOTE)
    (entry,) = entries
    assert entry.leaf_hash == note.leaf_hash
    said = entry_codec.peek(entry.leaf)
    assert said.public == {"kind": "stopped", "stroke": 1, "at_ms": 5}
    assert b"odd amount" not in entry.leaf
    assert str(company.keeper.id).encode() not in entry.leaf


def test_words_about_a_job_that_this_device_never_had_are_kept_for_the_device(office: Office, company: Company) -> None:
    tell(office, kind="extra_stroke", text="The sleeve.", token_id="ee" * 16, operator_id=str(UUID(int=7)), seq=41)
    (note,) = of_device(office, company)
    assert (note.request_id, note.by, note.seq) == (None, "", 41)


def test_another_branch_does_not_read_it_and_another_device_is_refused(office: Office, company: Company) -> None:
    tell(office)
    with office.run.db.read() as db:
        assert service.notes_of_device(db, company.scope(company.stranger), office.pen.device_id) == []
    note = NoteIn.model_validate({"note_id": NOTE_ID, "kind": "stopped", "text": "x", "at_ms": 5})
    with pytest.raises(NoSuchDevice), office.run.db.write() as db:
        service.take_note(db, office.run, office.gateway.gateway, device_id="NO-SUCH", said=note)
