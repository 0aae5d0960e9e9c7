"""Keys at rest, the offline root and its shares, certificates, and the trust bundle they make together."""

import itertools
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from asn1crypto import keys as pkcs8
from asn1crypto import pem as armour
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings, strategies
from sqlmodel import col, select

from dashboard.cli.init import create_installation
from firmware_protocol import cbor, cose
from firmware_protocol.purposes import Purpose
from server.core import ceremony, keyfile, shamir, tls
from server.core.ceremony import HomeExists
from server.core.clock import FixedClock, SystemClock
from server.core.db import Database
from server.core.keyfile import KeyUnreadable, Passphrase
from server.core.keystore import SERVER_PURPOSES, KeyStore
from server.core.rng import SeededRng, SystemRng
from server.core.settings import Settings
from server.core.shamir import Share, SharesBroken
from server.core.trustfile import TrustFile
from server.ledger import entry_codec
from server.ledger.entry_types import EntryType
from server.ledger.models import LedgerQueue
from server.verification import trust
from server.verification.trust import BundleBroken, DeviceKey, DeviceStatus, Standing, Withdrawal

PASSPHRASE = b"a long and random passphrase"


@pytest.fixture(scope="module")
def keys(demo_home: Settings) -> KeyStore:
    return KeyStore.open(demo_home)


def test_openssl_reads_our_key_files(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here")
    (tmp_path / "k.pem").write_bytes(keyfile.seal(Ed25519PrivateKey.generate(), Passphrase(PASSPHRASE), SystemRng()))
    command = [openssl, "pkcs8", "-in", "k.pem", "-passin", f"pass:{PASSPHRASE.decode()}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert b"BEGIN PRIVATE KEY" in done.stdout
    described = subprocess.run([openssl, "asn1parse", "-in", "k.pem"], cwd=tmp_path, capture_output=True, check=True)
    assert f"{keyfile.ITERATIONS:06X}".encode() in described.stdout  # openssl prints integers in hex


def test_a_key_file_opens_with_its_passphrase_alone() -> None:
    key = Ed25519PrivateKey.generate()
    pem = keyfile.seal(key, Passphrase(PASSPHRASE), SystemRng(), iterations=1000)
    opened = keyfile.unseal(pem, Passphrase(PASSPHRASE))
    assert isinstance(opened, Ed25519PrivateKey)
    assert opened.private_bytes_raw() == key.private_bytes_raw()
    for data, secret in ((pem, b"other"), (pem[:-40], PASSPHRASE), (b"", PASSPHRASE), (b"\xff", PASSPHRASE)):
        with pytest.raises(KeyUnreadable):
            keyfile.unseal(data, Passphrase(secret))


def test_no_guess_of_a_passphrase_ever_opens_a_key_file() -> None:
    """CBC has no tag: one wrong passphrase in 256 leaves fitting padding, and must fail all the same."""
    pem = keyfile.seal(Ed25519PrivateKey.generate(), Passphrase(PASSPHRASE), SystemRng(), iterations=1)
    for guess in range(1500):
        with pytest.raises(KeyUnreadable):
            keyfile.unseal(pem, Passphrase(b"guess %d" % guess))


def test_keys_of_one_home_are_stretched_once_and_encrypted_apart(demo_home: Settings) -> None:
    files = [path.read_bytes() for path in (demo_home.home / "keys").glob("*.pem")]
    envelopes = [pkcs8.EncryptedPrivateKeyInfo.load(armour.unarmor(data)[2])["encryption_algorithm"] for data in files]
    assert len({one.kdf_salt for one in envelopes}) == 1
    assert len({one.encryption_iv for one in envelopes}) == len(files) > 10


def test_each_purpose_has_its_own_key_and_signs_for_it_alone(keys: KeyStore) -> None:
    signers = {purpose: keys.signer(purpose) for purpose in (Purpose.TOKEN, Purpose.TRACE, Purpose.ENTRY)}
    assert len({signer.public_key for signer in signers.values()}) == 3
    for purpose, signer in signers.items():
        assert keys.public_key(purpose) == signer.public_key
        assert signer.key_id == cose.key_id(signer.public_key)
        signed = cose.sign1(b"payload", key=signer, purpose=purpose)
        assert cose.verify1(signed, keys=cose.keyring(signer.public_key), purpose=purpose) == b"payload"
    assert keys.signer(Purpose.TOKEN) is signers[Purpose.TOKEN]


def test_every_purpose_has_a_key_of_its_own(keys: KeyStore) -> None:
    assert len({keys.public_key(purpose) for purpose in SERVER_PURPOSES}) == len(SERVER_PURPOSES)


def test_no_key_signs_events_for_a_device(keys: KeyStore) -> None:
    with pytest.raises(KeyUnreadable):
        keys.signer(Purpose.EVENT)


def test_secrets_differ_by_use_and_survive_a_restart(keys: KeyStore, demo_home: Settings) -> None:
    assert keys.secret("cookies") == KeyStore.open(demo_home).secret("cookies")
    assert keys.secret("cookies") != keys.secret("short-codes")


def test_a_wrapped_record_key_opens_only_in_its_place(keys: KeyStore) -> None:
    wrapped = keys.wrap(bytes(32), context=b"record 1", rng=SystemRng())
    assert keys.unwrap(wrapped, context=b"record 1") == bytes(32)
    for broken, context in ((wrapped, b"record 2"), (wrapped[:-1], b"record 1"), (b"", b"record 1")):
        with pytest.raises(KeyUnreadable):
            keys.unwrap(broken, context=context)


def test_a_passphrase_file_that_others_can_read_is_refused(demo_home: Settings, tmp_path: Path) -> None:
    loose = tmp_path / "passphrase"
    loose.write_bytes(PASSPHRASE)
    loose.chmod(0o640)
    with pytest.raises(KeyUnreadable, match="chmod 600"):
        KeyStore.open(demo_home.model_copy(update={"key_passphrase_file": loose}))


def test_everything_secret_in_a_home_is_private(demo_home: Settings) -> None:
    home = demo_home.home
    assert home.stat().st_mode & 0o077 == 0
    for path in [*(home / "keys").iterdir(), *(home / "secrets").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    plain = [path for path in home.rglob("*") if path.is_file() and b"BEGIN PRIVATE KEY" in path.read_bytes()]
    assert plain == []


def test_init_never_overwrites(demo_home: Settings) -> None:
    with pytest.raises(HomeExists, match="already"):
        create_installation(demo_home, clock=SystemClock(), rng=SystemRng())


def test_production_init_splits_the_root_and_keeps_none_of_it(tmp_path: Path) -> None:
    production = Settings(home=tmp_path / "home", installation="Azulejos del Sur", host="seal.example")
    made = create_installation(production, clock=SystemClock(), rng=SystemRng(), threshold=2, shares=3)
    assert not trust.is_demo_root(made.root_key)
    with pytest.raises(KeyUnreadable):
        ceremony.demo_root(production)
    shares = [Share.parse(path.read_text().split("\n    ")[1].splitlines()[0]) for path in made.kit]
    sealed = (production.home / "keys" / ceremony.SEALED_ROOT).read_bytes()
    for pair in itertools.combinations(shares, 2):
        assert ceremony.open_root(sealed, list(pair)).public_key == made.root_key
    with pytest.raises(SharesBroken):
        ceremony.open_root(sealed, shares[:1])
    with pytest.raises(SharesBroken):
        ceremony.open_root(sealed[:-1] + b"\0", shares[:2])


@settings(max_examples=30, deadline=None)
@given(strategies.binary(min_size=1, max_size=40), strategies.integers(1, 4), strategies.integers(0, 3))
def test_any_threshold_of_shares_gives_the_secret_and_fewer_do_not(secret: bytes, k: int, extra: int) -> None:
    shares = shamir.split(secret, threshold=k, shares=k + extra, rng=SeededRng(k))
    for chosen in itertools.combinations(shares, k):
        assert shamir.combine([Share.parse(share.text()) for share in chosen]) == secret
    if k > 1:
        with pytest.raises(SharesBroken):
            shamir.combine(shares[: k - 1])


def test_a_mistyped_share_is_noticed() -> None:
    first, second = shamir.split(b"secret", threshold=2, shares=2, rng=SeededRng(1))
    text = first.text()
    for at in (0, 7, len(text) - 1):
        wrong = text[:at] + ("B" if text[at] != "B" else "C") + text[at + 1 :]
        with pytest.raises(SharesBroken):
            Share.parse(wrong)
    (other, _rest) = shamir.split(b"secret", threshold=2, shares=2, rng=SeededRng(2))
    with pytest.raises(SharesBroken, match="together"):
        shamir.combine([other, second])


def test_one_share_says_nothing_about_the_secret() -> None:
    """Every value of a one-byte secret is equally possible, given one of two shares."""
    rng = SeededRng(9)
    counts = [0] * 256
    for _try in range(4096):
        counts[shamir.split(b"\x41", threshold=2, shares=2, rng=rng)[0].data[0]] += 1
    assert max(counts) < 45  # 16 expected each; a share that leaned on the secret would stand out


def test_the_certificate_names_the_host_and_renews_itself(demo_home: Settings, keys: KeyStore) -> None:
    now = SystemClock().now()
    path = tls.ensure_certificate(demo_home, keys, now=now)
    first = path.read_bytes()
    assert tls.ensure_certificate(demo_home, keys, now=now).read_bytes() == first
    later = now + tls.CERTIFICATE_LIFETIME - timedelta(days=10)
    assert tls.ensure_certificate(demo_home, keys, now=later).read_bytes() != first
    moved = demo_home.model_copy(update={"bind": "127.0.0.2"})
    renewed = x509.load_pem_x509_certificate(tls.ensure_certificate(moved, keys, now=now).read_bytes())
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    tls.ensure_certificate(demo_home, keys, now=now)
    assert len(tls.ca_fingerprint(demo_home).split(":")) == 32


def test_the_local_ca_may_sign_for_this_host_alone(demo_home: Settings) -> None:
    ca = x509.load_pem_x509_certificate(tls.ca_certificate_pem(demo_home))
    allowed = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert allowed.critical
    assert x509.DNSName("localhost") in (allowed.value.permitted_subtrees or [])


NOW = int(time.time())


def test_the_first_bundle_is_trusted_by_who_pinned_the_root(demo_home: Settings) -> None:
    bundle = trust.read_bundle(TrustFile(demo_home.home).bundle())
    assert bundle.demo
    assert trust.is_demo_root(bundle.root_key)
    assert set(bundle.keys_for(Purpose.TOKEN)) == {cose.key_id(KeyStore.open(demo_home).public_key(Purpose.TOKEN))}
    assert {key.purpose for key in bundle.anchor.keys} == set(SERVER_PURPOSES)
    pinned = [ceremony.demo_root(demo_home).public_key]
    assert bundle.standing(pinned=pinned, now=NOW) is Standing.TRUSTED
    assert bundle.standing(pinned=[], now=NOW) is Standing.UNKNOWN_ROOT
    assert bundle.standing(pinned=pinned, now=bundle.expires) is Standing.EXPIRED
    assert bundle.standing(pinned=pinned, now=NOW, minimum_version=2) is Standing.OUTDATED


def test_the_log_begins_with_the_installation_and_its_keys(demo_home: Settings, keys: KeyStore) -> None:
    database = Database(demo_home.database_url)
    with database.read() as db:
        first = db.exec(select(LedgerQueue).order_by(col(LedgerQueue.id))).first()
    database.close()
    assert first is not None
    entry = entry_codec.verify(first.leaf, keys=cose.keyring(keys.public_key(Purpose.ENTRY)))
    assert entry.entry_type is EntryType.INSTALLATION
    assert entry.refs["installation"] == str(ceremony.installation_id(demo_home))
    assert entry.public["root_key"] == ceremony.demo_root(demo_home).public_key
    assert entry.public["keys"]["checkpoint"] == keys.public_key(Purpose.CHECKPOINT)
    assert set(entry.commitments) == {"name"}


def test_a_new_device_needs_no_root(demo_home: Settings, keys: KeyStore) -> None:
    file = TrustFile(demo_home.home)
    before = trust.read_bundle(file.bundle())
    device = DeviceKey(device_id="SD-1", generation=1, public_key=bytes(32), status=DeviceStatus.ACTIVE, since=NOW)
    gone = Withdrawal(kind="code", id=b"ABC", since=NOW, reason="void")

    def add(anchor: bytes, current: bytes) -> bytes:
        return trust.reissue(
            anchor, current, key=keys.signer(Purpose.BUNDLE), issued=NOW, devices=[device], withdrawals=[gone]
        )

    after = trust.read_bundle(file.update(add))
    assert (after.version, after.anchor) == (before.version + 1, before.anchor)
    assert after.device("SD-1", 1) == device
    assert after.device("SD-1", 2) is None
    assert after.withdrawals == (gone,)
    assert after.crls == before.crls
    assert trust.read_bundle(file.bundle()) == after


def test_every_flipped_byte_of_a_bundle_is_noticed(demo_home: Settings, seed: int) -> None:
    data = TrustFile(demo_home.home).bundle()
    positions = range(seed % 7, len(data), 7)
    for at in positions:
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(BundleBroken):
            trust.read_bundle(bytes(changed))
    for cut in (b"", data[:-1], data + b"\0", bytes(100)):
        with pytest.raises(BundleBroken):
            trust.read_bundle(cut)


def test_a_stolen_server_cannot_replace_an_issuer_key(demo_home: Settings, keys: KeyStore) -> None:
    """It has the bundle key and every other online key, but not the root."""
    real = trust.read_bundle(TrustFile(demo_home.home).bundle()).anchor
    mine = trust.IssuerKey(purpose=Purpose.TOKEN, public_key=bytes(32), valid_from=0, valid_until=None)
    with pytest.raises(BundleBroken):
        trust.sign_anchor(replace(real, keys=(*real.keys, mine)), root=keys.signer(Purpose.BUNDLE))
    body = cbor.decode_map(cose.parse1(TrustFile(demo_home.home).anchor()).payload)
    body[10] = [["seal/1/token", bytes(32), 0, None]]
    forged = cose.sign1(cbor.encode(body), key=keys.signer(Purpose.BUNDLE), purpose=Purpose.BUNDLE)
    with pytest.raises(BundleBroken):
        trust.issue(forged, key=keys.signer(Purpose.BUNDLE), version=9, issued=NOW, expires=NOW + 1)


def test_a_bundle_by_another_key_than_the_anchors_is_refused(demo_home: Settings, keys: KeyStore) -> None:
    anchor = TrustFile(demo_home.home).anchor()
    with pytest.raises(BundleBroken):
        trust.issue(anchor, key=keys.signer(Purpose.TOKEN), version=2, issued=NOW, expires=NOW + 1)
    with pytest.raises(BundleBroken):
        trust.read_bundle(anchor)


def test_a_demo_root_cannot_vouch_for_production(demo_home: Settings) -> None:
    root = ceremony.demo_root(demo_home)
    anchor = trust.read_anchor(TrustFile(demo_home.home).anchor())
    with pytest.raises(BundleBroken, match="fit"):
        trust.sign_anchor(replace(anchor, demo=False), root=root)
    body = cbor.decode_map(cose.parse1(TrustFile(demo_home.home).anchor()).payload)
    body[5] = False
    forged = cose.sign1(cbor.encode(body), key=root, purpose=Purpose.BUNDLE)
    with pytest.raises(BundleBroken, match="demo mark"):
        trust.read_anchor(forged)


def test_a_key_counts_only_in_its_time() -> None:
    clock = FixedClock()
    start = int(clock.now().timestamp())
    old = trust.IssuerKey(purpose=Purpose.TOKEN, public_key=bytes(32), valid_from=start, valid_until=start + 10)
    new = trust.IssuerKey(purpose=Purpose.TOKEN, public_key=b"\1" * 32, valid_from=start + 5, valid_until=None)
    anchor = trust.Anchor(
        installation_id=UUID(int=1),
        name="x",
        host="x",
        demo=True,
        number=1,
        issued=start,
        expires=start + 100,
        root_key=bytes(32),
        keys=(old, new),
        log_name="x/log",
    )
    bundle = trust.TrustBundle(anchor=anchor, version=1, issued=start, expires=start + 100)
    found = [len(bundle.keys_for(Purpose.TOKEN, at=start + second)) for second in (-1, 0, 5, 10, 99)]
    assert found == [0, 1, 2, 1, 1]
