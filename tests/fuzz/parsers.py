"""Every parser that reads what a stranger may have written, what it may raise, and bytes to begin with.

The Hypothesis tests beside this file and `campaign fuzz` (atheris) drive the same list.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from device_sim.core import records
from firmware_protocol import bulk, cbor, events, messages, orders, passkeys, tokens, trace
from firmware_protocol.cose import keyring, parse1, sign1
from firmware_protocol.errors import ProtocolError, WrongOperator
from firmware_protocol.fragments import FragmentAssembler
from firmware_protocol.framing import FrameDecoder, cobs_decode
from firmware_protocol.labelled import from_map
from firmware_protocol.purposes import Purpose
from server.identity import attested
from server.identity.errors import PasskeyUnreadable
from server.ledger import checkpoint, entry_codec, glance, mqtt_packets, proof
from server.ledger.checkpoint import BadCheckpoint
from server.ledger.entry_codec import Entry, Opening
from server.ledger.entry_types import EntryType
from server.ledger.mqtt_packets import BadPacket
from server.ledger.proof import BadProof
from server.verification import leaves, manifest, trust
from server.verification.manifest import BadManifest, Record
from server.verification.trust import Anchor, BundleBroken, DeviceKey, DeviceStatus, IssuerKey, Withdrawal, WitnessKey
from tests.device_sim.installation import ISSUER, ROOT
from tests.fixtures.authenticator import Authenticator

VECTORS: Final = Path(__file__).parents[1] / "vectors"
KEYS: Final = keyring(
    *(bytes.fromhex(key["public"]) for key in json.loads((VECTORS / "tokens.json").read_bytes())["keys"].values())
)


@dataclass(frozen=True, slots=True)
class Parser:
    """`vectors`: the files whose valid bytes are mutated; the parser may raise `allowed` and nothing else."""

    parse: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    vectors: tuple[str, ...] = ()
    seeds: tuple[bytes, ...] = ()


def _frames(data: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    half = len(data) // 2
    return decoder.feed(data[:half]) + decoder.feed(data[half:])


def _fragments(data: bytes) -> list[bytes | None]:
    """The first byte says how long a fragment is."""
    assembler, size = FragmentAssembler(), (data[0] if data else 0) + 1
    return [assembler.feed(data[at : at + size]) for at in range(1, len(data), size)]


def _packets(data: bytes) -> None:
    reader = mqtt_packets.Reader()
    half = len(data) // 2
    reader.feed(data[:half])
    reader.feed(data[half:])


def _glance(data: bytes) -> None:
    """What the short way takes, the long way takes with the same facts."""
    found = glance.glance(data)
    assert found is None or found == glance.glance_slowly(data), data.hex()


def _order(cls: type[Any]) -> Callable[[bytes], object]:
    return lambda data: from_map(cls, cbor.decode_map(parse1(data).payload))


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def _passkey(data: bytes) -> int:
    """A whole sign-in; the vectors of passkeys.json name what is in the roster."""
    request = messages.decode(data).message
    if not isinstance(request, messages.PasskeyRequest):
        raise WrongOperator
    return _assertion(request.client_data, request.authenticator_data, request.signature)


def _assertion(client_data: bytes, authenticator_data: bytes = bytes(37), signature: bytes = b"\x01" * 64) -> int:
    said = _SIGN_IN
    return passkeys.check(
        passkeys.Assertion(authenticator_data=authenticator_data, client_data=client_data, signature=signature),
        passkey=passkeys.Passkey.unpack(bytes.fromhex(said["passkey"])),
        challenge=passkeys.challenge(said["device_id"], bytes.fromhex(said["nonce"])),
        count=0,
    )


_SIGN_IN: Final = json.loads((VECTORS / "passkeys.json").read_bytes())["vectors"][0]
_OURS: Final = (ProtocolError,)
_NOTE: Final = b"log.example\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\xe2\x80\x94 log.example AAAAAAAA\n"
_DIGEST: Final = bytes(32)
_MANIFEST: Final = manifest.build(
    {"a": b"a"}, request="R", record=Record(document=_DIGEST, leaves=(_DIGEST,), photos=())
)
_OPENINGS: Final = leaves.write_openings({"reason": Opening(bytes(16), b"\x01")})
_MQTT: Final = (
    mqtt_packets.publish("seal/v1/gw-1/up/evt/CB-1", b"event", 7),
    b"\x32\x0c\x00\x01a\x00\x09\x05\x02\x00\x00\x00\x05x" + mqtt_packets.pubacks([1, 2]) + b"\xd0\x00",
    b"\x20\x09\x01\x00\x06\x21\x00\x14\x13\x00\x3c\x90\x06\xff\xff\x00\x01\x01\x87",
    b"\xe0\x05\x8e\x03\x1f\x00\x00",
)
_JOURNAL: Final = records.write(
    [
        records.Record(kind=records.Kind.EVENT, body=b"event"),
        records.Record(kind=records.Kind.RECEIPT, body=b"receipt"),
    ],
    link=records.FIRST_LINK,
)[0]
_ENTRY: Final = entry_codec.sign(
    Entry(
        entry_type=EntryType.DEVICE_RULES_SET, version=1, entry_id=UUID(int=1), time_ms=1, refs={"device": "CB-1"},
        commitments={"by": _DIGEST}, public={"policy_epoch": 1},
    ),
    key=ISSUER,
)  # fmt: skip
_ANCHOR: Final = trust.sign_anchor(
    Anchor(
        installation_id=UUID(int=1), name="Office", host="seal.example", demo=False, number=1, issued=1, expires=2,
        root_key=ROOT.public_key, log_name="log.example", authorities=(b"0",),
        keys=(IssuerKey(purpose=Purpose.BUNDLE, public_key=ISSUER.public_key, valid_from=1, valid_until=None),),
        witnesses=(WitnessKey(name="w", public_key=_DIGEST, own=True),),
    ),
    root=ROOT,
)  # fmt: skip
_BUNDLE: Final = trust.issue(
    _ANCHOR, key=ISSUER, version=1, issued=1, expires=2, crls=(b"0",),
    devices=(DeviceKey(device_id="CB-1", generation=1, public_key=_DIGEST, status=DeviceStatus.ACTIVE, since=1),),
    withdrawals=(Withdrawal(kind="code", id=_DIGEST, since=1, reason="lost"),),
)  # fmt: skip


def _own_bundle(data: bytes) -> object:
    """Whoever makes a root of their own signs what they like with it."""
    return trust.read_bundle(sign1(data, key=ISSUER, purpose=Purpose.BUNDLE))


def _own_anchor(data: bytes) -> object:
    return trust.read_anchor(sign1(data, key=ROOT, purpose=Purpose.BUNDLE))


PARSERS: Final[dict[str, Parser]] = {
    "cbor": Parser(cbor.decode, _OURS, ("messages",)),
    "cobs": Parser(cobs_decode, _OURS, (), (b"\x03ab\x01",)),
    "frames": Parser(_frames, (), ("frames",)),
    "fragments": Parser(_fragments, (), ("frames",)),
    "cose": Parser(parse1, _OURS, ("tokens", "orders")),
    "message": Parser(messages.decode, _OURS, ("messages",)),
    "token": Parser(lambda data: tokens.verify(data, keys=KEYS), _OURS, ("tokens",)),
    "claims": Parser(lambda data: tokens.read(parse1(data).payload), _OURS, ("tokens",)),
    "event": Parser(events.peek, _OURS, ("events",)),
    "event-glance": Parser(_glance, (), ("events",)),
    "mqtt": Parser(_packets, (BadPacket,), (), (*_MQTT,)),
    "permit": Parser(_order(orders.Permit), _OURS, ("orders",)),
    "receipt": Parser(_order(orders.Receipt), _OURS, ("orders",)),
    "time": Parser(_order(orders.SignedTime), _OURS, ("orders",)),
    "policy": Parser(_order(orders.Policy), _OURS, ("orders",)),
    "roster": Parser(_order(orders.Roster), _OURS, ("orders",)),
    "passkey": Parser(_passkey, _OURS, ("passkeys",)),
    "client-data": Parser(_assertion, _OURS, (), (b'{"type":"webauthn.get","crossOrigin":false}',)),
    "roster-passkey": Parser(passkeys.Passkey.unpack, _OURS, (), (bytes.fromhex(_SIGN_IN["passkey"]),)),
    "new-passkey": Parser(
        lambda data: attested.read(data, rp_id="localhost"), (PasskeyUnreadable,), (), (Authenticator().made(),)
    ),
    "trace": Parser(lambda data: trace.verify(data, keys=KEYS), _OURS, ("trace",)),
    "trace-url": Parser(_text(trace.parse_url), _OURS, (), (b"HTTPS://SEAL.EXAMPLE/V/2KCETIQ",)),
    "bulk-request": Parser(lambda data: bulk.decode_request(data[2:]), _OURS, ("bulk",)),
    "bulk-reply": Parser(lambda data: bulk.decode_reply(data[2:]), _OURS, ("bulk",)),
    "journal": Parser(records.read, (), (), (_JOURNAL,)),
    "entry": Parser(entry_codec.peek, _OURS, (), (_ENTRY,)),
    "checkpoint": Parser(_text(checkpoint.parse), (BadCheckpoint,), (), (_NOTE,)),
    "proof": Parser(
        _text(proof.InclusionProof.parse), (BadProof,), (), (b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + _NOTE,)
    ),
    "trust-bundle": Parser(trust.read_bundle, (BundleBroken,), (), (_BUNDLE,)),
    "own-bundle": Parser(_own_bundle, (BundleBroken,), (), (parse1(_BUNDLE).payload,)),
    "own-anchor": Parser(_own_anchor, (BundleBroken,), (), (parse1(_ANCHOR).payload,)),
    "manifest": Parser(manifest.parse, (BadManifest,), (), (_MANIFEST,)),
    "openings": Parser(leaves.parse_openings, _OURS, (), (_OPENINGS,)),
}


def seeds(name: str) -> list[bytes]:
    """Valid bytes, or nearly; never empty."""
    parser = PARSERS[name]
    found = [data for file in parser.vectors for data in _vectors(file)]
    return [*found, *parser.seeds, b"\x00"]


def _vectors(file: str) -> Iterator[bytes]:
    for vector in json.loads((VECTORS / f"{file}.json").read_bytes())["vectors"]:
        yield bytes.fromhex(vector["hex"])


def try_one(name: str, data: bytes) -> None:
    """Raises: what the parser must not raise."""
    parser = PARSERS[name]
    with contextlib.suppress(*parser.allowed):
        parser.parse(data)
