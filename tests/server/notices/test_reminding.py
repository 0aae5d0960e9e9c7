"""A keeper who waits for an answer about a doubtful page has those who may give it reminded, once."""

from typing import Any
from uuid import UUID

import pytest

from server.app import create_api
from server.identity import service as identity
from server.identity.schemas import PersonRead
from server.notices import service as notices
from server.notices.schemas import NoticeRead
from server.tokens import service as tokens
from server.tokens.schemas import PermitOut
from tests.server.office import Office
from tests.server.tokens.doubt import doubtful_photo
from tests.server.world import Client, Company


@pytest.fixture
def doubt(office: Office, company: Company) -> PermitOut:
    token = office.token(company.approved())
    photo = doubtful_photo(office)
    event = office.page_seen(token.token_id, 1, photo, nonce=b"n" * 16)
    return tokens.ask_permit(
        office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=photo
    )


def told(office: Office, person: PersonRead) -> list[NoticeRead]:
    with office.run.db.read() as db:
        return notices.unread(db, office.run, office.company.scope(person))


def remind(office: Office, case_id: str) -> tuple[int, Any]:
    client = Client(create_api(office.run), headers=office.headers)
    answer = client.post(f"/gateway/v1/devices/{office.pen.device_id}/cases/{case_id}/reminder", json={})
    return answer.status_code, answer.json()


def test_who_may_answer_is_reminded_once_until_somebody_answers(
    office: Office, company: Company, doubt: PermitOut
) -> None:
    for _again in range(2):
        status, said = remind(office, doubt.case_id)
        assert status == 200
        names = said["names"]
        assert company.boss.name in names
        assert company.keeper.name not in names, "the keeper who waits"
        assert company.clerk.name not in names, "who asked for the stamp"
    (notice,) = told(office, company.boss)
    assert notice.link == f"/cases/{doubt.case_id}"
    assert office.pen.device_id in notice.text
    assert told(office, company.keeper) == told(office, company.clerk) == []
    with office.run.db.read() as db:
        everybody = identity.people(db, company.everywhere)
        case = tokens.case(db, office.run, company.everywhere, UUID(doubt.case_id))
        may = {one.name for one in everybody if tokens.may_answer(db, office.run, company.scope(one), case)}
    assert set(names) == may
    with office.run.db.write() as db:
        tokens.answer_case(
            db,
            office.run,
            company.scope(company.boss),
            case_id=UUID(doubt.case_id),
            anyway=False,
            reason="another contract",
        )
    assert told(office, company.boss) == [], "nobody waits any more"
    status, said = remind(office, doubt.case_id)
    assert (status, said["code"]) == (409, "case_closed")
    assert remind(office, str(UUID(int=7)))[0] == 404
