"""Ways of stamping: what each token says, and what the approvers agreed to."""

import pytest

from firmware_protocol import cose, orders
from firmware_protocol import tokens as wire
from firmware_protocol.tokens import MAX_TOKEN, Mode, PageCheck
from server.approvals import service as approvals
from server.approvals.errors import BadRange, MustBeLeafedThrough, OfflineNotAllowed
from server.core.clock import FixedClock
from server.devices import outbox
from server.devices import service as devices
from server.devices import tasks as device_tasks
from server.seals import service as seals
from server.seals.schemas import ApprovalRule, Stage
from server.tokens import service
from server.tokens.errors import OfflineRefused, StillOpen
from server.tokens.schemas import TokenOut
from tests.server.office import Office
from tests.server.world import Company, contract_pdf

TWO_PAGES = ({"page": 1, "x_mm": 100, "y_mm": 100}, {"page": 2, "x_mm": 100, "y_mm": 100})
ONE_PAGE = ({"page": 1, "x_mm": 100, "y_mm": 100},)


def signed(office: Office, out: TokenOut) -> wire.Token:
    """The token that goes down, read as a device reads it, once it is authentic."""
    with office.run.db.read() as db:
        found = [message.payload for message in outbox.due(db, office.run.now()) if message.kind == "token"]
    key = devices.issuer_keys(office.run)[0]
    read = [wire.verify(payload, keys=cose.keyring(key)) for payload in found]
    assert all(len(payload) <= MAX_TOKEN for payload in found)
    return next(token for token in read if token.token_id == out.token_id)


def rule(company: Company, **more: object) -> None:
    with company.run.db.write() as db:
        seals.set_rule(
            db,
            company.run,
            company.everywhere,
            seal_id=company.seal.id,
            rule=ApprovalRule.model_validate({"stages": (Stage(name="Finance"),)} | more),
        )


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"places": ONE_PAGE}, ("single", Mode(0), PageCheck.BEFORE, None, None)),
        ({"places": TWO_PAGES}, ("batch", Mode.BATCH, PageCheck.BEFORE, 1, 2)),
        ({"places": ONE_PAGE, "bound": True}, ("single", Mode.BOUND, PageCheck.BEFORE, None, None)),
        ({"places": TWO_PAGES, "stamping": "continuous"}, ("continuous", Mode.CONTINUOUS, PageCheck.NONE, None, None)),
        (
            {"places": ONE_PAGE, "stamping": "straddle", "first_page": 1, "last_page": 2},
            ("straddle", Mode.STRADDLE, PageCheck.BEFORE, 1, 2),
        ),
        ({"places": TWO_PAGES, "sweep": True}, ("batch", Mode.BATCH | Mode.SWEEP, PageCheck.BEFORE, 1, 2)),
    ],
    ids=["single", "batch", "bound", "continuous", "straddle", "sweep"],
)
def test_a_token_says_how_it_stamps(
    office: Office,
    company: Company,
    form: dict[str, object],
    said: tuple[object, ...],
) -> None:
    out = office.token(company.approved(form=form))
    token = signed(office, out)
    seal = token.seal
    assert (out.mode, seal.mode, seal.page_check, seal.first_page, seal.last_page) == said
    assert out.sweep_pages == (2 if "sweep" in form else 0)


def test_a_swept_token_takes_the_strokes_of_one_copy(office: Office, company: Company) -> None:
    request = company.approved(form={"places": TWO_PAGES, "copies": 3, "sweep": True})
    with office.run.db.read() as db:
        (job,) = service.jobs(db, office.run, office.gateway.gateway, device_id=office.pen.device_id)
    assert (job.sweep, job.pages_total, [page.copy_number for page in job.pages]) == (True, 2, [1, 1])
    assert office.token(request).strokes == 2


def test_a_seal_may_require_leafing_through(office: Office, company: Company) -> None:
    rule(company, sweep_from_pages=3)
    assert not company.approved().leaf_through
    long = company.approved(pdf=contract_pdf(pages=3))
    assert (long.sweep, long.leaf_through) == (False, True)
    assert office.token(long).sweep_pages == 3


def policies(office: Office) -> list[orders.Policy]:
    """What is on its way down now, as the device reads it."""
    keys = cose.keyring(*devices.issuer_keys(office.run))
    with office.run.db.read() as db:
        due = [message.payload for message in outbox.due(db, office.run.now()) if message.kind == "policy"]
    return [orders.verify(orders.Policy, payload, keys=keys) for payload in due]


def test_a_device_with_only_such_seals_is_ordered_to_refuse_without_leafing(office: Office, company: Company) -> None:
    before = company.approved(form={"places": ONE_PAGE})
    about = {"tenant": str(company.seal.tenant_id), "seal": str(company.seal.id)}
    for required, sent in ((True, 1), (True, 1), (False, 2)):
        rule(company, sweep_required=required)
        device_tasks.follow_rule(office.run, about)
        (policy,) = policies(office)
        assert (policy.sweep_required, policy.epoch) == (required, sent)
        with office.run.db.read() as db:
            device = devices.device(db, company.everywhere, office.pen.device_id)
            (job,) = service.jobs(db, office.run, office.gateway.gateway, device_id=office.pen.device_id)
        assert (device.sweep_required, job.sweep) == (required, required), "also what was approved before the rule"
    rule(company, sweep_required=True)
    device_tasks.follow_rule(office.run, about)
    assert office.token(before).sweep_pages == 2


@pytest.mark.parametrize("stamping", ["continuous", "voucher"])
def test_what_must_be_leafed_through_is_not_stamped_unseen(company: Company, stamping: str) -> None:
    rule(company, sweep_required=True, max_offline_strokes=5)
    with pytest.raises(MustBeLeafedThrough):
        company.draft(form={"stamping": stamping, "copies": 1})


def test_the_way_of_stamping_is_part_of_what_is_approved(company: Company) -> None:
    one = company.submitted(form={"places": ONE_PAGE})
    other = company.submitted(form={"places": ONE_PAGE, "bound": True})
    assert one.digest != other.digest


@pytest.mark.parametrize(
    "form",
    [
        {"stamping": "straddle"},
        {"stamping": "straddle", "first_page": 2, "last_page": 2},
        {"stamping": "straddle", "first_page": 1, "last_page": 3},
        {"stamping": "straddle", "first_page": 1, "last_page": 2, "places": TWO_PAGES},
    ],
)
def test_a_straddle_names_its_pages(company: Company, form: dict[str, object]) -> None:
    with pytest.raises(BadRange):
        company.draft(form=form)


def allow_offline(office: Office, company: Company, strokes: int) -> None:
    rule(company, max_offline_strokes=strokes)
    with office.run.db.write() as db:
        devices.set_offline(
            db, office.run, company.everywhere, device_id=office.pen.device_id, max_offline_strokes=strokes
        )


def voucher(office: Office, request_id: object) -> TokenOut:
    with office.run.db.write() as db:
        return service.issue_voucher(
            db,
            office.run,
            office.gateway.gateway,
            device_id=office.pen.device_id,
            request_id=request_id,  # type: ignore[arg-type]
            operator_id=office.company.keeper.id,
        )


def test_without_a_rule_nothing_is_stamped_offline(office: Office, company: Company) -> None:
    with pytest.raises(OfflineNotAllowed):
        company.draft(form={"stamping": "voucher", "copies": 1})
    rule(company, max_offline_strokes=2)
    request = company.approved(form={"stamping": "voucher", "copies": 2})
    with pytest.raises(OfflineRefused):  # the device allows none
        voucher(office, request.id)
    allow_offline(office, company, 2)
    with pytest.raises(OfflineRefused):  # its approvers agreed to no such use
        voucher(office, company.approved(form={"copies": 1}).id)


def test_a_voucher_is_bound_counted_and_never_issued_twice(office: Office, company: Company, clock: FixedClock) -> None:
    allow_offline(office, company, 2)
    request = company.approved(form={"stamping": "voucher", "copies": 2})
    first = voucher(office, request.id)
    token = signed(office, first)
    assert (first.mode, token.nonce, token.exi_s, token.seal.voucher_counter) == ("voucher", None, None, 1)
    assert (token.seal.mode, token.seal.page_check) == (Mode.VOUCHER, PageCheck.NONE)
    assert token.expires_at - token.issued_at <= 24 * 3600
    assert voucher(office, request.id).token_id == first.token_id
    with pytest.raises(StillOpen):  # not twice in any form, before the device's own CLOSED
        office.token(request)
    other = company.approved(form={"stamping": "voucher", "copies": 1})
    assert signed(office, voucher(office, other.id)).seal.voucher_counter == 2
    clock.advance(25 * 3600)
    with office.run.db.read() as db:
        remaining = service.left(db, office.run, approvals.request(db, office.run, company.everywhere, request.id))
    assert remaining.strokes == 0, "the device has not said what it did, and the spare is for a spoiled sheet"
    assert remaining.silent_token is not None
