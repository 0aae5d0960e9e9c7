"""What keepers wrote stands on the device's page and on the request's, in words of the reader's language."""

from server.tokens import service as tokens
from server.tokens.schemas import NoteIn
from tests.dashboard.screens.conftest import Visitor
from tests.server.office import Office
from tests.server.world import Company


def test_notes_of_keepers_stand_with_their_device_and_their_request(
    visitor: Visitor, office: Office, company: Company
) -> None:
    asked = company.approved()
    token = office.token(asked)
    said = {"note_id": "018f0000-0000-7000-8000-000000000001", "kind": "stopped", "text": "wrong_paper: <b>thin</b>"}
    note = NoteIn.model_validate(said | {"at_ms": 5, "token_id": token.token_id.hex()})
    with office.run.db.write() as db:
        tokens.take_note(db, office.run, office.gateway.gateway, device_id=office.pen.device_id, said=note)
    visitor.sign_in("admin")
    words = "wrong paper: &lt;b&gt;thin&lt;/b&gt;"
    device = visitor.get(f"/devices/{office.pen.device_id}")
    assert words in device.text
    assert f"/requests/{asked.id}" in device.text
    assert words in visitor.get(f"/requests/{asked.id}").text
