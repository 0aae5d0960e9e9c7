"""The time-stamp authority against OpenSSL and rfc3161-client, and its refusals."""

import hashlib

import pytest
from asn1crypto import core, tsp
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import TimestampRequestBuilder, decode_timestamp_response
from rfc3161_client.verify import VerifierBuilder

from server.eseals import der, tsa
from tests.eseals.conftest import NOW, Installation, Tool, make_installation

MESSAGE = b"what is stamped"
SERIAL = b"\x07" * 16


def request(**changes: object) -> bytes:
    fields = {
        "version": 1,
        "message_imprint": {
            "hash_algorithm": {"algorithm": "sha256"},
            "hashed_message": hashlib.sha256(MESSAGE).digest(),
        },
        "cert_req": True,
    }
    return bytes(tsp.TimeStampReq(fields | changes).dump())


def refusal(answer: bytes) -> set[str]:
    status = tsp.PKIStatusInfo.load(der.only(answer, der.SEQUENCE), strict=True)
    assert status["status"].native == "rejection"
    return set(status["fail_info"].native)


def test_openssl_accepts_the_stamp(installation: Installation, tool: Tool) -> None:
    (tool.folder / "message").write_bytes(MESSAGE)
    tool.run("openssl", "ts", "-query", "-data", "message", "-sha512", "-cert", "-out", "q.tsq")
    answer = installation.tsa.stamp((tool.folder / "q.tsq").read_bytes(), now=NOW, serial=SERIAL)
    (tool.folder / "a.tsr").write_bytes(answer)
    verify = ("openssl", "ts", "-verify", "-in", "a.tsr", "-CAfile", "root.pem", "-attime", str(int(NOW.timestamp())))
    for against in (("-queryfile", "q.tsq"), ("-data", "message")):
        result = tool.run(*verify, *against)
        assert b"Verification: OK" in result.stdout, result.stderr
    shown = tool.run("openssl", "ts", "-reply", "-in", "a.tsr", "-text").stdout
    assert b"Nov 21 12:00:00 2026 GMT" in shown
    (tool.folder / "message").write_bytes(b"something else")
    assert b"Verification: OK" not in tool.run(*verify, "-data", "message").stdout


def test_rfc3161_client_accepts_the_stamp(installation: Installation) -> None:
    query = TimestampRequestBuilder().data(MESSAGE).nonce(nonce=True).cert_request(cert_request=True).build()
    answer = decode_timestamp_response(installation.tsa.stamp(query.as_bytes(), now=NOW, serial=SERIAL))
    root, own = installation.root.certificate, installation.tsa.certificates[0]
    verifier = VerifierBuilder().add_root_certificate(root).tsa_certificate(own).nonce(query.nonce).build()
    assert verifier.verify_message(answer, MESSAGE)
    assert answer.tst_info.gen_time == NOW
    assert answer.tst_info.policy.dotted_string == tsa.POLICY


def test_nonce_is_echoed_and_certificates_come_only_when_asked_for(installation: Installation) -> None:
    with_all = tsp.TimeStampResp.load(installation.tsa.stamp(request(nonce=2**63), now=NOW, serial=SERIAL))
    token = with_all["time_stamp_token"]["content"]
    assert token["encap_content_info"]["content"].parsed["nonce"].native == 2**63
    assert len(token["certificates"]) == 2
    bare = tsp.TimeStampResp.load(installation.tsa.stamp(request(cert_req=False), now=NOW, serial=SERIAL))
    assert len(bare["time_stamp_token"]["content"]["certificates"]) == 0


def test_same_request_time_and_serial_give_the_same_bytes(installation: Installation) -> None:
    first, again, other = (installation.tsa.stamp(request(), now=NOW, serial=s) for s in (SERIAL, SERIAL, b"\x08" * 16))
    assert first == again != other


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (request(message_imprint={"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": bytes(20)}), "bad_alg"),
        (
            request(message_imprint={"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(31)}),
            "bad_data_format",
        ),
        (request(req_policy="1.2.3.4"), "unaccepted_policy"),
        (
            request(extensions=[{"extn_id": "1.2.3", "critical": True, "extn_value": b"\x05\x00"}]),
            "unaccepted_extensions",
        ),
        (request(version=2), "bad_request"),
        (b"", "bad_data_format"),
        (b"GET / HTTP/1.1", "bad_data_format"),
        (request() + b"\x00", "bad_data_format"),
        (request()[:-1], "bad_data_format"),
        (b"\x30\x82\x20\x00" + bytes(8192), "bad_data_format"),
    ],
)
def test_what_cannot_be_stamped_is_refused_with_its_reason(
    installation: Installation, changed: bytes, expected: str
) -> None:
    assert refusal(installation.tsa.stamp(changed, now=NOW, serial=SERIAL)) == {expected}


@given(st.binary(max_size=80))
def test_any_bytes_get_an_answer(noise: bytes) -> None:
    assert refusal(AUTHORITY.tsa.stamp(noise, now=NOW, serial=SERIAL)) <= {"bad_data_format", "bad_request"}


AUTHORITY = make_installation()


@given(st.integers(min_value=0, max_value=2**160))
def test_integers_are_read_back_by_another_library(value: int) -> None:
    assert core.Integer.load(der.integer(value), strict=True).native == value


def test_certificate_is_for_time_stamps_only(installation: Installation, tool: Tool) -> None:
    (tool.folder / "tsa.pem").write_bytes(installation.tsa.certificates[0].public_bytes(Encoding.PEM))
    (tool.folder / "seal.pem").write_bytes(installation.seal.certificate.public_bytes(Encoding.PEM))
    at = ("-attime", str(int(NOW.timestamp())))
    check = ("openssl", "verify", "-x509_strict", "-CAfile", "root.pem", *at)
    assert tool.run(*check, "-purpose", "timestampsign", "tsa.pem").returncode == 0
    assert tool.run(*check, "-purpose", "smimesign", "seal.pem").returncode == 0
    assert tool.run(*check, "-purpose", "timestampsign", "seal.pem").returncode != 0
