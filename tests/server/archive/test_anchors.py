"""Time stamps over checkpoints: made, checked, exported, and accepted by tools that we did not write."""

import dataclasses
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import decode_timestamp_response
from rfc3161_client.verify import VerifierBuilder

from server.archive import service
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.core.settings import TimeAuthoritySetting
from server.core.trustfile import TrustFile
from server.eseals import anchoring, ca
from server.eseals.anchoring import Anchoring, NoStamp
from server.eseals.authority import open_authority
from server.eseals.signer import LocalSigner
from server.eseals.stamp_check import verify_apart
from server.eseals.tsa import TimestampAuthority
from server.ledger import service as ledger
from server.ledger.publishing import FOLDER, Publisher
from server.verification import bundle, container, manifest
from server.verification.anchors import STAMPED
from server.verification.bundle import BundleVerdict, Outcome
from server.verification.roots import of_bundle
from tests.server.archive.stamping import stamp
from tests.server.office import Office
from tests.server.world import Company


def publish(run: Runtime) -> int:
    """Size of the checkpoint that strangers get now."""
    Publisher(run.db, folder=run.settings.home / FOLDER, witnesses=(), quorum=0, clock=run.clock).round()
    with run.db.read() as db:
        return ledger.published_size(db)


def openssl_accepts(folder: Path, note: bytes, answer: bytes, root: x509.Certificate, at: int) -> bool:
    for name, data in (("note", note), ("a.tsr", answer), ("root.pem", root.public_bytes(Encoding.PEM))):
        (folder / name).write_bytes(data)
    command = ["openssl", "ts", "-verify", "-data", "note", "-in", "a.tsr", "-CAfile", "root.pem", "-attime", str(at)]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return b"Verification: OK" in done.stdout


def test_stamped_bundle_verifies_here_and_with_tools_of_others(
    office: Office, company: Company, tmp_path: Path
) -> None:
    run = office.run
    request, _code = stamp(office, company)
    service.file_request(run, tenant_id=company.tenant.id, request_id=request.id)
    office.sequencer.commit([])
    size = publish(run)
    (kept,) = Anchoring().stamp_due(run)
    assert (kept.size, kept.authority, kept.own) == (size, "own", True)
    data = service.build_bundle(run, company.scope(company.auditor), request_id=request.id)
    members, _faults = container.unpack(data)
    root, now = open_authority(run).root, int(run.now().timestamp())
    note, answer = members[STAMPED], members["anchors/own.tsr"]
    assert members["checkpoint"].startswith(note)
    assert openssl_accepts(tmp_path, note, answer, root, now)
    assert not openssl_accepts(tmp_path, note.replace(b"/log", b"/lag"), answer, root, now)
    read = decode_timestamp_response(answer)
    assert VerifierBuilder().add_root_certificate(root).build().verify_message(read, note)
    assert verdict(run, data).outcome is Outcome.GOOD
    with run.db.read() as db:
        assert [one.authority for one in ledger.recent_checkpoints(db)[0].anchors] == ["own"]


def test_stamp_over_anything_else_is_named(office: Office, company: Company) -> None:
    run = office.run
    request, _code = stamp(office, company)
    service.file_request(run, tenant_id=company.tenant.id, request_id=request.id)
    office.sequencer.commit([])
    publish(run)
    Anchoring().stamp_due(run)
    data = service.build_bundle(run, company.scope(company.auditor), request_id=request.id)
    members, _faults = container.unpack(data)
    (own,) = anchoring.authorities(run, ["own"])
    other = anchoring.stamp(b"another note", own, nonce=bytes(8), now=run.now())[0]
    listed = manifest.parse(members.pop(manifest.NAME))
    for member in (STAMPED, "anchors/own.tsr", "anchors/other.txt"):
        found = verdict(run, bundle.build({**members, member: other}, request=listed.request, record=listed.record))
        assert found.outcome is Outcome.REFUSED
        assert member in found.named


def verdict(run: Runtime, data: bytes) -> BundleVerdict:
    pin = of_bundle(TrustFile(run.settings.home).bundle())
    return bundle.verify(data, pins=[pin], now=int(run.now().timestamp()))


class _Authority(BaseHTTPRequestHandler):
    """A time-stamp authority of another company on HTTP; the server's `answer` decides what it says."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, data = self.server.answer(body)  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Silent."""


Answer = Callable[[bytes], tuple[int, bytes]]


def an_authority(now: datetime) -> tuple[x509.Certificate, TimestampAuthority]:
    """Root certificate and time-stamp authority of some other company."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    holder = ca.Holder(organization="Elsewhere Ltd", common_name="Time", country="XX")
    root = ca.make_root(root_key, holder=holder, now=now, serial=bytes(16), demo=False)
    issuer = ca.Authority(key=root_key, certificate=root)
    leaf = ca.issue_tsa_certificate(issuer, key.public_key(), holder=holder, now=now, serial=b"\x02" * 16)
    return root, TimestampAuthority(LocalSigner(key=key, certificate=leaf, chain=(root,)))


@dataclasses.dataclass
class Elsewhere:
    """`run` has this authority in its settings."""

    run: Runtime
    authority: TimestampAuthority
    server: ThreadingHTTPServer

    def answers(self, how: Answer) -> None:
        self.server.answer = how  # type: ignore[attr-defined]

    def well(self, request: bytes) -> tuple[int, bytes]:
        return 200, self.authority.stamp(request, now=self.run.now(), serial=bytes(15) + b"\x09")


@pytest.fixture
def elsewhere(office: Office, tmp_path: Path) -> Iterator[Elsewhere]:
    root, authority = an_authority(office.run.now())
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    certificates = tmp_path / "tsa.pem"
    certificates.write_bytes(root.public_bytes(Encoding.PEM))
    url = f"http://127.0.0.1:{server.server_address[1]}/tsr"
    setting = TimeAuthoritySetting(name="tsa.example", url=url, certificates=certificates)
    run = dataclasses.replace(
        office.run, settings=office.run.settings.model_copy(update={"time_authorities": (setting,)})
    )
    found = Elsewhere(run, authority, server)
    found.answers(found.well)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def names(kept: list[ledger.AnchorRead]) -> list[str]:
    return [one.authority for one in kept]


def test_authority_elsewhere_stamps_when_the_log_grew_and_not_more_often(
    elsewhere: Elsewhere, office: Office, company: Company, clock: FixedClock
) -> None:
    run, work = elsewhere.run, Anchoring()
    office.sequencer.commit([])
    assert work.stamp_due(run) == []  # nothing published
    publish(run)
    assert names(work.stamp_due(run)) == ["own", "tsa.example"]
    clock.advance(timedelta(minutes=11))
    assert work.stamp_due(run) == []  # the log has not grown
    company.approved()
    office.sequencer.commit([])
    publish(run)
    assert names(work.stamp_due(run)) == ["own", "tsa.example"]
    company.approved()
    office.sequencer.commit([])
    publish(run)
    assert work.stamp_due(run) == []  # not yet 10 minutes


class Running(FixedClock):
    """Its hand moves each time that somebody looks, as a real one's does."""

    def monotonic(self) -> float:
        self._monotonic += 1e-6
        return self._monotonic


def test_stamps_are_made_while_the_clock_runs(office: Office) -> None:
    office.sequencer.commit([])
    publish(office.run)
    running = dataclasses.replace(office.run, clock=Running(office.run.now()))
    assert names(Anchoring().stamp_due(running)) == ["own"]


@pytest.mark.parametrize("lie", ["status", "garbage", "refusal", "stale", "stranger", "long"])
def test_answer_that_does_not_hold_is_not_kept(
    elsewhere: Elsewhere, office: Office, clock: FixedClock, lie: str
) -> None:
    _root, stranger = an_authority(office.run.now())

    def stale(request: bytes) -> tuple[int, bytes]:
        """A stamp with the right digest and another nonce."""
        at = request.index(b"\x02\x09\x01")
        return elsewhere.well(request[: at + 3] + bytes(8) + request[at + 11 :])

    how: dict[str, Answer] = {
        "status": lambda _request: (503, b""),
        "garbage": lambda _request: (200, b"\x30\x03\x02\x01\x00"),
        "refusal": lambda _request: elsewhere.well(b"no request"),
        "stale": stale,
        "stranger": lambda request: (200, stranger.stamp(request, now=elsewhere.run.now(), serial=bytes(16))),
        "long": lambda _request: (200, bytes(anchoring.MAX_ANSWER + 1)),
    }
    elsewhere.answers(how[lie])
    office.sequencer.commit([])
    publish(elsewhere.run)
    work = Anchoring()
    assert names(work.stamp_due(elsewhere.run)) == ["own"]
    elsewhere.answers(elsewhere.well)
    assert work.stamp_due(elsewhere.run) == []  # left alone for one interval
    clock.advance(timedelta(minutes=11))
    assert names(work.stamp_due(elsewhere.run)) == ["tsa.example"]


def test_stamp_of_an_expired_authority_is_refused(office: Office) -> None:
    (own,) = anchoring.authorities(office.run, ["own"])
    late = office.run.now() + timedelta(days=ca.TSA_DAYS + 30)
    with pytest.raises(NoStamp):
        anchoring.stamp(b"note", own, nonce=bytes(8), now=late)


def test_no_stamps_when_the_settings_say_never(office: Office) -> None:
    office.sequencer.commit([])
    publish(office.run)
    settings = office.run.settings.model_copy(update={"anchor_minutes": 0})
    assert Anchoring().stamp_due(dataclasses.replace(office.run, settings=settings)) == []


def test_a_stamp_is_checked_in_another_process(office: Office) -> None:
    run = office.run
    (own,) = anchoring.authorities(run, ["own"])
    answer, at = anchoring.stamp(b"a note", own, nonce=bytes(8), now=run.now(), check=verify_apart)
    assert at == anchoring.verify(answer, b"a note", certificates=own.certificates, now=run.now())
    with pytest.raises(anchoring.NoStamp, match="signature does not hold"):
        verify_apart(answer, b"another note", certificates=own.certificates, now=run.now())
