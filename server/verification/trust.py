"""The trust bundle: which keys speak for one installation (docs/decisions/0010-trust-bundle.md).

Two layers, each a COSE_Sign1 with purpose seal/1/bundle:

* the **anchor**, signed by the offline root: installation, issuer keys, log, e-seal authorities, witnesses;
* the **bundle**, signed by the anchor's bundle key, anchor inside: devices, revocations, withdrawals, a version.

So a new device needs no root, and a stolen server can never replace an issuer key. Pure: bytes in, values out.

Anchor map: 1 kind (1), 2 installation id, 3 name, 4 host, 5 demo, 6 number, 7 issued, 8 expires, 9 root key,
10 keys [[purpose, key, from, until or null]], 11 log name, 12 authorities [DER], 13 witnesses [[name, key, own]].
Bundle map: 1 kind (2), 2 anchor, 3 version, 4 issued, 5 expires, 6 devices [[id, generation, key, status, since]],
7 CRLs [DER], 8 withdrawals [[kind, id, since, reason]], and only when there are any 9 withdrawn codes of imprints
(withdrawn.py). Times are Unix seconds.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, NoReturn
from uuid import UUID

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import ProtocolError
from firmware_protocol.purposes import Purpose
from server.verification import withdrawn

MAX_BUNDLE_BYTES: Final = 8 * 1024 * 1024
"""100,000 devices at about 70 bytes; more is not a bundle."""
LIFETIME_S: Final = 400 * 86400
"""A client that got no newer bundle for this long says "cannot confirm"."""
DEMO_ROOT_MARK: Final = 0xDE3
"""The first 12 bits of a demo root's key id; `init` makes roots until one has it, or, for production, has it not."""
_KIND_ANCHOR: Final = 1
_KIND_BUNDLE: Final = 2


class BundleBroken(Exception):
    """The bytes are no trust bundle, or its own signatures do not hold together."""


class DeviceStatus(IntEnum):
    ACTIVE = 1
    SUSPENDED = 2  # its past events count, new ones are held
    RETIRED = 3  # ended in order at `since`
    COMPROMISED = 4  # nothing it signed after `since` counts


class Standing(StrEnum):
    """What a client may think of a bundle whose signatures hold."""

    TRUSTED = "trusted"
    UNKNOWN_ROOT = "unknown_root"  # consistent, but nobody pinned this root
    EXPIRED = "expired"
    OUTDATED = "outdated"  # a newer version was seen before


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """A key of the installation itself."""

    purpose: Purpose
    public_key: bytes  # 32 bytes
    valid_from: int
    valid_until: int | None  # None: in use


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    name: str
    public_key: bytes
    own: bool  # run by the operator: shown, never counted in a quorum


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKey:
    device_id: str
    generation: int
    public_key: bytes
    status: DeviceStatus
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A code, seal or key that no longer speaks for itself."""

    kind: str  # 'code', 'seal', 'key'
    id: bytes
    since: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What the offline root vouches for."""

    installation_id: UUID
    name: str
    host: str
    demo: bool
    number: int  # counts the root's signatures; never goes down
    issued: int
    expires: int
    root_key: bytes  # a claim until it is compared with a pinned one
    keys: tuple[IssuerKey, ...]
    log_name: str  # origin line of the log's checkpoints
    authorities: tuple[bytes, ...] = ()  # X.509 DER: e-seal and time stamp authorities
    witnesses: tuple[WitnessKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBundle:
    """A bundle whose signatures hold; whether to believe it is `standing`."""

    anchor: Anchor
    version: int
    issued: int
    expires: int
    devices: tuple[DeviceKey, ...] = ()
    crls: tuple[bytes, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    withdrawn_codes: bytes = b""  # as withdrawn.pack makes it

    @property
    def root_key(self) -> bytes:
        return self.anchor.root_key

    @property
    def demo(self) -> bool:
        return self.anchor.demo

    def keys_for(self, purpose: Purpose, *, at: int | None = None) -> dict[bytes, bytes]:
        """Key id to public key, as `cose.verify1` takes it; with `at`, only keys in force at that time."""
        return cose.keyring(
            *(
                key.public_key
                for key in self.anchor.keys
                if key.purpose is purpose and (at is None or key.valid_from <= at < (key.valid_until or at + 1))
            )
        )

    def device(self, device_id: str, generation: int) -> DeviceKey | None:
        for device in self.devices:
            if (device.device_id, device.generation) == (device_id, generation):
                return device
        return None

    def withdrawn_since(self, code_hash: bytes) -> int | None:
        """Unix second from which the code with this SHA-256 does not speak for itself; None: it does."""
        told = [one.since for one in self.withdrawals if one.kind == "code" and one.id == code_hash]
        return told[0] if told else withdrawn.since(self.withdrawn_codes, code_hash)

    def standing(self, *, pinned: Collection[bytes], now: int, minimum_version: int = 0) -> Standing:
        """`pinned`: root public keys this client got by another way; `minimum_version`: the highest it ever saw."""
        if self.root_key not in pinned:
            return Standing.UNKNOWN_ROOT
        if self.version < minimum_version:
            return Standing.OUTDATED
        if now >= min(self.expires, self.anchor.expires):
            return Standing.EXPIRED
        return Standing.TRUSTED


def is_demo_root(public_key: bytes) -> bool:
    """Whether this root carries the demo mark, which shows in the key itself and cannot be signed away."""
    return int.from_bytes(cose.key_id(public_key)[:2], "big") >> 4 == DEMO_ROOT_MARK


def sign_anchor(anchor: Anchor, *, root: SigningKey) -> bytes:
    """Raises: BundleBroken, when the root is not the one named, or its demo mark says otherwise."""
    if root.public_key != anchor.root_key or is_demo_root(anchor.root_key) != anchor.demo:
        raise BundleBroken("this root does not fit this anchor")
    body = {
        1: _KIND_ANCHOR,
        2: anchor.installation_id.bytes,
        3: anchor.name,
        4: anchor.host,
        5: anchor.demo,
        6: anchor.number,
        7: anchor.issued,
        8: anchor.expires,
        9: anchor.root_key,
        10: [[key.purpose.value, key.public_key, key.valid_from, key.valid_until] for key in anchor.keys],
        11: anchor.log_name,
        12: list(anchor.authorities),
        13: [[witness.name, witness.public_key, witness.own] for witness in anchor.witnesses],
    }
    return cose.sign1(cbor.encode(body), key=root, purpose=Purpose.BUNDLE)


def issue(
    anchor: bytes,
    *,
    key: SigningKey,
    version: int,
    issued: int,
    expires: int,
    devices: Sequence[DeviceKey] = (),
    crls: Sequence[bytes] = (),
    withdrawals: Sequence[Withdrawal] = (),
    withdrawn_codes: bytes = b"",
) -> bytes:
    """A new bundle around a signed `anchor`; `key` is the anchor's bundle key.

    Raises: BundleBroken, when the anchor does not know this key.
    """
    body = {
        1: _KIND_BUNDLE,
        2: anchor,
        3: version,
        4: issued,
        5: expires,
        6: [[d.device_id, d.generation, d.public_key, int(d.status), d.since] for d in devices],
        7: list(crls),
        8: [[w.kind, w.id, w.since, w.reason] for w in withdrawals],
    } | ({9: withdrawn_codes} if withdrawn_codes else {})
    bundle = cose.sign1(cbor.encode(body), key=key, purpose=Purpose.BUNDLE)
    read_bundle(bundle)
    return bundle


def reissue(
    anchor: bytes,
    current: bytes,
    *,
    key: SigningKey,
    issued: int,
    devices: Sequence[DeviceKey] | None = None,
    crls: Sequence[bytes] | None = None,
    withdrawals: Sequence[Withdrawal] | None = None,
    withdrawn_codes: bytes | None = None,
) -> bytes:
    """The next version of `current`, good for 400 days; what is None stays as it was.

    As a step: `TrustFile(home).update(lambda anchor, current: reissue(anchor, current, key=..., issued=...))`.
    Raises: BundleBroken.
    """
    before = read_bundle(current)
    return issue(
        anchor,
        key=key,
        version=before.version + 1,
        issued=issued,
        expires=issued + LIFETIME_S,
        devices=before.devices if devices is None else devices,
        crls=before.crls if crls is None else crls,
        withdrawals=before.withdrawals if withdrawals is None else withdrawals,
        withdrawn_codes=before.withdrawn_codes if withdrawn_codes is None else withdrawn_codes,
    )


def read_bundle(data: bytes) -> TrustBundle:
    """The bundle in `data`, with both signatures checked; the root is still only a claim.

    Raises: BundleBroken.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleBroken("too long for a trust bundle")
    try:
        signed = cose.parse1(data)
        body = _fields(signed.payload, kind=_KIND_BUNDLE, labels=8, optional=9)
        codes = _bytes(body.get(9, b""))
        withdrawn.unpack(codes)
        anchor = read_anchor(_bytes(body[2]))
        keys = cose.keyring(*(key.public_key for key in anchor.keys if key.purpose is Purpose.BUNDLE))
        cose.verify1(data, keys=keys, purpose=Purpose.BUNDLE)
        return TrustBundle(
            anchor=anchor,
            version=_int(body[3]),
            issued=_int(body[4]),
            expires=_int(body[5]),
            devices=tuple(_device(*_items(row, 5)) for row in _items(body[6])),
            crls=tuple(_bytes(der) for der in _items(body[7])),
            withdrawals=tuple(_withdrawal(*_items(row, 4)) for row in _items(body[8])),
            withdrawn_codes=codes,
        )
    except (ProtocolError, ValueError) as error:
        raise BundleBroken(str(error)) from error


def read_anchor(data: bytes) -> Anchor:
    """The anchor in `data`, signed by the root that it names.

    Raises: BundleBroken.
    """
    try:
        body = _fields(cose.parse1(data).payload, kind=_KIND_ANCHOR, labels=13)
        root = _bytes(body[9], size=32)
        cose.verify1(data, keys=cose.keyring(root), purpose=Purpose.BUNDLE)
        anchor = Anchor(
            installation_id=UUID(bytes=_bytes(body[2], size=16)),
            name=_text(body[3]),
            host=_text(body[4]),
            demo=_bool(body[5]),
            number=_int(body[6]),
            issued=_int(body[7]),
            expires=_int(body[8]),
            root_key=root,
            keys=tuple(_issuer(*_items(row, 4)) for row in _items(body[10])),
            log_name=_text(body[11]),
            authorities=tuple(_bytes(der) for der in _items(body[12])),
            witnesses=tuple(_witness(*_items(row, 3)) for row in _items(body[13])),
        )
    except (ProtocolError, ValueError) as error:
        raise BundleBroken(str(error)) from error
    if is_demo_root(root) != anchor.demo:
        raise BundleBroken("the demo mark of the root and the anchor disagree")
    return anchor


def _issuer(purpose: object, public_key: object, valid_from: object, valid_until: object) -> IssuerKey:
    return IssuerKey(
        purpose=Purpose(_text(purpose)),
        public_key=_bytes(public_key, size=32),
        valid_from=_int(valid_from),
        valid_until=None if valid_until is None else _int(valid_until),
    )


def _witness(name: object, public_key: object, own: object) -> WitnessKey:
    return WitnessKey(name=_text(name), public_key=_bytes(public_key, size=32), own=_bool(own))


def _device(device_id: object, generation: object, public_key: object, status: object, since: object) -> DeviceKey:
    return DeviceKey(
        device_id=_text(device_id),
        generation=_int(generation),
        public_key=_bytes(public_key, size=32),
        status=DeviceStatus(_int(status)),
        since=_int(since),
    )


def _withdrawal(kind: object, identifier: object, since: object, reason: object) -> Withdrawal:
    return Withdrawal(kind=_text(kind), id=_bytes(identifier), since=_int(since), reason=_text(reason))


def _fields(payload: bytes, *, kind: int, labels: int, optional: int = 0) -> dict[int, Any]:
    body = cbor.decode_map(payload)
    if set(body) - {optional} != set(range(1, labels + 1)) or body[1] != kind:
        _refuse("labels")
    return body


def _items(value: object, size: int | None = None) -> list[object]:
    if not isinstance(value, list) or (size is not None and len(value) != size):
        _refuse("list")
    return value


def _bytes(value: object, *, size: int | None = None) -> bytes:
    if not isinstance(value, bytes) or (size is not None and len(value) != size):
        _refuse("byte string")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        _refuse("text")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _refuse("number")
    return value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        _refuse("truth value")
    return value


def _refuse(what: str) -> NoReturn:
    raise BundleBroken(f"a trust bundle has another {what} here")
