"""What the worker does by itself after a stamping: the record is filed, the snapshot written."""

from server.archive import service, tasks
from server.core.trustfile import TrustFile
from server.ledger import service as ledger
from server.public import source
from server.public import tasks as public_tasks
from server.public.snapshot import read
from server.verification.trust import read_anchor
from tests.fixtures.databases import on_both
from tests.server.archive.stamping import stamp
from tests.server.office import Office
from tests.server.world import Company

pytestmark = on_both


def test_the_worker_files_the_record_and_writes_the_snapshot(office: Office, company: Company) -> None:
    run = office.run
    request, _code = stamp(office, company)
    about = {"tenant": str(company.tenant.id), "request": str(request.id)}
    tasks.file_request(run, about)
    with run.db.read() as db:
        assert service.record(db, company.everywhere, request.id) is not None
        assert ledger.queued(db) == 1
    public_tasks.snapshot(run, {})
    path = source.path_in(run.settings.home)
    root = read_anchor(TrustFile(run.settings.home).anchor()).root_key
    assert len(read(path.read_bytes(), root=root).snapshot.codes) == 1
    path.unlink()


def test_a_request_with_strokes_missing_is_not_filed(office: Office, company: Company) -> None:
    request = company.approved()
    tasks.file_request(office.run, {"tenant": str(company.tenant.id), "request": str(request.id)})
    with office.run.db.read() as db:
        assert service.record(db, company.everywhere, request.id) is None
