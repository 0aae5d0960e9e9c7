"""Seals: registered once, taken out of use with a reason, destroyed for good."""

import pytest

from server.core.runtime import Runtime
from server.identity.errors import NoSuchBranch
from server.seals import service
from server.seals.errors import HeadTaken, NoSuchSeal, NotAPicture, SealDestroyed, SealNotActive
from server.seals.schemas import ApprovalRule, SealState, Stage
from tests.fixtures.databases import on_both
from tests.server.world import HEAD, ONE_APPROVER, Company, artwork

pytestmark = on_both


def test_the_specimen_is_what_was_registered(company: Company, run: Runtime) -> None:
    with run.db.read() as db:
        assert service.specimen(db, run, company.everywhere, company.seal.id) == artwork()


@pytest.mark.parametrize("picture", [b"", b"GIF89a", b"\xff\xd8\xff\xe0 a photo"])
def test_a_specimen_is_a_png(company: Company, run: Runtime, picture: bytes) -> None:
    with pytest.raises(NotAPicture), run.db.write() as db:
        service.register_seal(
            db,
            run,
            company.everywhere,
            name="x",
            legal_name="x",
            branch_path="/",
            artwork_png=picture,
            diameter_mm=38,
            rule=ONE_APPROVER,
        )


def test_no_seal_in_a_branch_that_does_not_exist(company: Company, run: Runtime) -> None:
    with pytest.raises(NoSuchBranch), run.db.write() as db:
        service.register_seal(
            db,
            run,
            company.everywhere,
            name="x",
            legal_name="x",
            branch_path="/atlantis/",
            artwork_png=artwork(),
            diameter_mm=38,
            rule=ONE_APPROVER,
        )


def test_a_head_belongs_to_one_seal(company: Company, run: Runtime) -> None:
    for head_id in (HEAD, bytes(8)):
        with pytest.raises(HeadTaken), run.db.write() as db:
            service.register_head(db, run, company.everywhere, seal_id=company.seal.id, head_id=head_id)
    with run.db.read() as db:
        assert service.seal_of_head(db, company.tenant.id, HEAD).id == company.seal.id


def test_destroyed_is_final(company: Company, run: Runtime) -> None:
    def to(state: SealState) -> None:
        with run.db.write() as db:
            service.set_state(db, run, company.everywhere, seal_id=company.seal.id, state=state, reason="two witnesses")

    to(SealState.DISPUTED)
    with run.db.read() as db, pytest.raises(SealNotActive):
        service.usable_seal(db, company.scope(company.clerk), company.seal.id)
    to(SealState.ACTIVE)
    to(SealState.DESTROYED)
    with pytest.raises(SealDestroyed):
        to(SealState.ACTIVE)


def test_another_branch_cannot_see_or_use_it(company: Company, run: Runtime) -> None:
    scope = company.scope(company.stranger)
    with run.db.read() as db:
        assert service.usable_seals(db, scope) == []
        with pytest.raises(NoSuchSeal):
            service.usable_seal(db, scope, company.seal.id)
        assert [seal.id for seal in service.usable_seals(db, company.scope(company.clerk))] == [company.seal.id]


def test_a_new_rule_is_a_new_version(company: Company, run: Runtime) -> None:
    rule = ApprovalRule(stages=(Stage(name="Two of finance", quorum=2),))
    with run.db.write() as db:
        changed = service.set_rule(db, run, company.everywhere, seal_id=company.seal.id, rule=rule)
    assert (changed.rule_version, changed.rule) == (2, rule)


def test_a_quorum_that_nobody_can_meet_is_refused(company: Company) -> None:
    with pytest.raises(ValueError, match="more decisions"):
        Stage(name="x", people=(company.boss.id,), quorum=2)
