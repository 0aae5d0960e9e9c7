"""The broker's files of deploy/ on a real Mosquitto: who gets in, under which name, and what he may say and hear."""

import datetime as dt
import ssl
from pathlib import Path

import pytest

from dashboard.cli.broker import write_files
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import DownKind
from server.identity import service as identity
from tests.deploy.conftest import DEPLOY, Client, Site, directives, new_installation

REFUSED = 0x80
"""MQTT 5: reason codes from here on are failures; 0x87 is "not authorized", 0x8E "session taken over"."""
NOT_AUTHORIZED = 0x87


def gets_in(client: Client) -> bool:
    """Whether the broker lets it in. TLS 1.3: a refused certificate shows only with the first byte read."""
    try:
        with client:
            found, reason = client.said.get(timeout=20)
            return found == "connect" and int(reason.value) < REFUSED  # type: ignore[attr-defined]
    except (ssl.SSLError, OSError):
        return False


def test_a_certificate_of_our_own_authority_gets_in(site: Site) -> None:
    assert gets_in(site.client("gw-01", site.login("gw-01")))


def test_without_a_certificate_nobody_gets_in(site: Site) -> None:
    assert not gets_in(site.client("gw-01", None))


def test_an_expired_certificate_is_refused(site: Site) -> None:
    past = site.run.now() - dt.timedelta(days=91)
    assert not gets_in(site.client("gw-01", site.login("gw-01", now=past)))


def test_a_certificate_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    other = new_installation(tmp_path / "other")
    try:
        assert not gets_in(site.client("gw-01", site.login("gw-01", run=other)))
    finally:
        other.close()


def test_the_servers_own_https_certificate_is_no_login(site: Site) -> None:
    """It is of the same authority, but made for servers only."""
    together = site.folder / "https-as-client.pem"
    together.write_bytes((site.folder / "mosquitto" / "cert.pem").read_bytes())
    together.write_bytes(together.read_bytes() + (site.folder / "mosquitto" / "key.pem").read_bytes())
    assert not gets_in(site.client("gw-01", together))


def test_a_stolen_client_id_puts_nobody_out(site: Site) -> None:
    with site.client("gw-02", site.login("gw-02"), clean=False) as victim:
        assert not victim.answer("connect").is_failure
        assert not victim.subscribe("seal/v1/gw-02/down/token/+").is_failure
        with site.client("gw-02", site.login("gw-01"), clean=False) as thief:
            assert not thief.answer("connect").is_failure  # as gw-01, whatever it calls itself
            thief.subscribe("seal/v1/gw-02/down/token/+")
            with site.client("cinnabar-web", site.login("cinnabar-web")) as server:
                assert not server.answer("connect").is_failure
                assert not server.publish("seal/v1/gw-02/down/token/CB-1", b"token").is_failure
                assert victim.hear() == "seal/v1/gw-02/down/token/CB-1"
            assert thief.heard == []
        assert victim.said.empty(), "the victim was put out"


def test_a_gateway_cannot_speak_for_another(site: Site) -> None:
    with site.client("cinnabar-ledger", site.login("cinnabar-ledger")) as ledger:
        assert not ledger.subscribe("seal/v1/+/up/evt/+").is_failure
        for topic in (
            "seal/v1/gw-02/up/evt/CB-1",
            "seal/v1/gw-02/status",
            "seal/v1/gw-01/down/token/CB-1",
            "seal/v1/gw-01/down/receipt/CB-1",
            "anything/else",
        ):
            # Each time anew: Mosquitto 2.0.11 says no and puts a client out with the next thing it says.
            with site.client("gw-01", site.login("gw-01")) as gateway:
                assert gateway.publish(topic).value == NOT_AUTHORIZED, topic
        with site.client("gw-01", site.login("gw-01")) as gateway:
            assert not gateway.publish("seal/v1/gw-01/up/evt/CB-1", b"mine").is_failure
            assert ledger.hear() == "seal/v1/gw-01/up/evt/CB-1"
        assert ledger.heard == [("seal/v1/gw-01/up/evt/CB-1", b"mine")], "nothing but its own arrived"


def test_a_gateway_hears_only_its_own_orders(site: Site) -> None:
    with site.client("gw-01", site.login("gw-01")) as spy, site.client("gw-03", site.login("gw-03")) as other:
        for topic in ("#", "seal/v1/#", "seal/v1/+/down/#", "seal/v1/gw-03/down/#", "seal/v1/+/up/#"):
            spy.subscribe(topic)  # Mosquitto grants the subscription and passes nothing on
        assert not other.subscribe("seal/v1/gw-03/down/#").is_failure
        with site.client("cinnabar-web", site.login("cinnabar-web")) as server:
            assert not server.publish("seal/v1/gw-03/down/permit/CB-3").is_failure
            assert other.hear() == "seal/v1/gw-03/down/permit/CB-3"
            assert not server.publish("seal/v1/gw-01/down/permit/CB-1").is_failure
            assert spy.hear() == "seal/v1/gw-01/down/permit/CB-1"
    assert {topic for topic, _ in spy.heard} == {"seal/v1/gw-01/down/permit/CB-1"}


def test_each_role_of_the_server_has_its_own_half(site: Site) -> None:
    for role, allowed in (
        ("cinnabar-ledger", {DownKind.RECEIPT}),
        ("cinnabar-web", set(DownKind) - {DownKind.RECEIPT}),
    ):
        for kind in DownKind:
            with site.client(role, site.login(role)) as client:
                assert client.publish(f"seal/v1/gw-01/down/{kind}/CB-1").is_failure == (kind not in allowed), kind


def test_a_box_that_was_taken_back_is_refused_after_a_reload(site: Site) -> None:
    run = site.run
    with run.db.write() as db:
        tenant = identity.create_tenant(db, run, name="Branches")
        scope = Scope.system(tenant.id)
        made = devices.enrol_gateway(db, run, scope, gateway_id="gw-lost", name="Lost", branch_path="/")
        key_file = site.folder / "lost.pem"
        answer = devices.issue_certificate(db, run, made.gateway, request=_request(key_file))
    key_file.write_text(answer.certificate + key_file.read_text())
    assert gets_in(site.client("gw-lost", key_file))
    with run.db.write() as db:
        devices.forget_gateway(db, run, scope, gateway_id="gw-lost", reason="stolen from the office")
    assert write_files(run, site.folder / "mosquitto") == ["crl.pem"]
    assert write_files(run, site.folder / "mosquitto") == [], "nothing changes twice"
    site.broker.reload()
    assert not gets_in(site.client("gw-lost", key_file))
    assert gets_in(site.client("gw-01", site.login("gw-01"))), "everybody else still gets in"


def test_no_gateway_is_named_like_a_role(site: Site) -> None:
    from server.devices.errors import NameReserved

    with site.run.db.write() as db:
        tenant = identity.create_tenant(db, site.run, name="Elsewhere")
        with pytest.raises(NameReserved):
            devices.enrol_gateway(
                db, site.run, Scope.system(tenant.id), gateway_id="cinnabar-ledger", name="x", branch_path="/"
            )


def test_the_file_takes_every_silent_limit_away() -> None:
    set_to = directives((DEPLOY / "mosquitto" / "mosquitto.conf").read_text())
    wanted = {
        "allow_anonymous": "false",
        "require_certificate": "true",
        "use_identity_as_username": "true",
        "use_username_as_clientid": "true",
        "set_tcp_nodelay": "true",
        "max_queued_messages": "0",
        "max_inflight_messages": "0",
    }
    assert {name: set_to.get(name) for name in wanted} == wanted


def _request(key_file: Path) -> bytes:
    """A PKCS#10 request; its key goes to `key_file`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from server.core import keyfile

    key = ec.generate_private_key(ec.SECP256R1())
    key_file.write_bytes(keyfile.plain_pem(key))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
