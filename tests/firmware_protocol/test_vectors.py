"""The golden vectors hold, byte for byte; the CDDL says the same; a file changes only with the protocol version."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator

from firmware_protocol import (
    bulk,
    cose,
    events,
    fragments,
    messages,
    operators,
    orders,
    pairing,
    passkeys,
    tokens,
    trace,
)
from firmware_protocol.errors import ProtocolError
from firmware_protocol.framing import FrameDecoder, decode_body, encode_frame
from firmware_protocol.labelled import from_map
from firmware_protocol.passkeys import Assertion, Passkey
from firmware_protocol.purposes import Purpose

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
FILES = sorted(path.name for path in VECTORS.glob("*.json"))


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return content


def cases(name: str, *, refused: bool) -> list[Any]:
    vectors = [vector for vector in load(name)["vectors"] if ("refused" in vector) is refused]
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


KEYS = cose.keyring(*(bytes.fromhex(load("tokens.json")["keys"][name]["public"]) for name in ("issuer", "device")))
ISSUER_ONLY = cose.keyring(bytes.fromhex(load("tokens.json")["keys"]["issuer"]["public"]))
SIGNED = ("tokens.json", "orders.json", "events.json", "trace.json")
ORDERS = {
    "permit": orders.Permit,
    "receipt": orders.Receipt,
    "signed-time": orders.SignedTime,
    "policy": orders.Policy,
    "roster": orders.Roster,
}


def read(file: str, vector: dict[str, Any]) -> object:  # noqa: PLR0911 - one case, one return
    """What a strict reader makes of a vector. Raises: ProtocolError."""
    data = bytes.fromhex(vector["hex"])
    match file:
        case "frames.json":
            return decode_body(data.strip(b"\x00"))
        case "messages.json":
            return messages.decode(data)
        case "tokens.json":
            return tokens.verify(data, keys=ISSUER_ONLY)
        case "orders.json":
            return orders.verify(ORDERS[vector["rule"]], data, keys=KEYS)
        case "events.json":
            return events.verify(data, keys=KEYS)
        case "trace.json":
            return trace.verify(data, keys=KEYS)
        case "operators.json":
            return operators.Entry.unpack(data)
        case "passkeys.json":
            return signed_in(vector)
    raise AssertionError(file)


def signed_in(vector: dict[str, Any]) -> int:
    """The counter after a sign-in with a passkey."""
    request = messages.decode(bytes.fromhex(vector["hex"])).message
    assert isinstance(request, messages.PasskeyRequest)
    return passkeys.check(
        Assertion(
            authenticator_data=request.authenticator_data,
            client_data=request.client_data,
            signature=request.signature,
        ),
        passkey=Passkey.unpack(bytes.fromhex(vector["passkey"])),
        challenge=passkeys.challenge(vector["device_id"], bytes.fromhex(vector["nonce"])),
        count=vector["count"],
    )


@pytest.fixture(scope="module")
def cddl() -> Validator:
    return Validator(ROOT / "firmware_protocol" / "seal.cddl")


def test_vector_files_are_what_the_maker_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "tools" / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    contents = maker.contents()
    assert sorted(contents) == FILES
    for name, text in contents.items():
        assert (VECTORS / name).read_text() == text, f"{name} changed: a new protocol version, or a mistake"


@pytest.mark.parametrize(
    ("file", "vector"),
    [
        pytest.param(file, case.values[0], id=f"{file}: {case.id}")
        for file in (*SIGNED, "frames.json", "messages.json", "operators.json", "passkeys.json")
        for case in cases(file, refused=True)
    ],
)
def test_bad_vectors_are_refused_for_the_stated_reason(file: str, vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(file, vector)
    assert caught.value.code == vector["refused"]


@pytest.mark.parametrize("vector", cases("passkeys.json", refused=False))
def test_passkeys(vector: dict[str, Any], cddl: Validator) -> None:
    assert signed_in(vector) >= vector["count"]
    body = body_of(bytes.fromhex(vector["hex"]))
    assert cddl.validate(body, vector["rule"]).valid, cddl.validate(body, vector["rule"])


@pytest.mark.parametrize("vector", cases("frames.json", refused=False))
def test_frames(vector: dict[str, Any]) -> None:
    assert FrameDecoder().feed(bytes.fromhex(vector["hex"])) == [bytes.fromhex(vector["message"])]
    assert encode_frame(bytes.fromhex(vector["message"])).hex() == vector["hex"]


@pytest.mark.parametrize("vector", cases("messages.json", refused=False))
def test_messages(vector: dict[str, Any], cddl: Validator) -> None:
    data = bytes.fromhex(vector["hex"])
    envelope = messages.decode(data)
    assert messages.TYPE_OF[type(envelope.message)] == vector["type"]
    if "of a later version" not in vector["name"]:
        assert messages.encode(envelope.message, msg_id=envelope.msg_id) == data
    assert cddl.validate(data, "message").valid
    assert cddl.validate(body_of(data), vector["rule"]).valid, cddl.validate(body_of(data), vector["rule"])


@pytest.mark.parametrize("file", SIGNED)
def test_signed_objects(file: str, cddl: Validator) -> None:
    for vector in load(file)["vectors"]:
        if "refused" not in vector:
            read(file, vector)
            payload = cose.parse1(bytes.fromhex(vector["hex"])).payload
            result = cddl.validate(payload, vector["rule"])
            assert result.valid, (vector["name"], result)


def test_a_full_token_is_one_ble_packet_at_mtu_247() -> None:
    vector = next(v for v in load("tokens.json")["vectors"] if v["name"].startswith("full"))
    token = bytes.fromhex(vector["hex"])
    assert len(token) <= tokens.MAX_TOKEN
    assert packets(token, msg_id=0xFFFF) == 1
    assert packets(token, msg_id=0xFFFF, title="Office lease, 2 copies", short="R-7") == 2


@pytest.mark.parametrize(("size", "msg_id", "count"), [(229, 0xFFFF, 1), (230, 0xFF, 1), (230, 0x100, 2)])
def test_how_long_a_token_may_be_for_one_ble_packet(size: int, msg_id: int, count: int) -> None:
    assert packets(bytes(size), msg_id=msg_id) == count


def packets(token: bytes, *, msg_id: int, title: str | None = None, short: str | None = None) -> int:
    message = messages.encode(messages.TokenRequest(token=token, title=title, short=short), msg_id=msg_id)
    return len(fragments.cut(message, size=fragments.room(247)))


def test_trace_urls_and_short_codes() -> None:
    vector = next(v for v in load("trace.json")["vectors"] if "url" in v)
    code = bytes.fromhex(vector["hex"])
    assert trace.url(code, host="seal.example.com") == vector["url"]
    assert trace.parse_url(vector["url"].lower()) == code
    assert trace.short_code(code) == vector["short"]
    assert trace.normalise_short_code(vector["short"].replace("-", " ").lower()) == vector["short"]


def test_pairing_digits() -> None:
    (vector,) = load("pairing.json")["vectors"]
    from firmware_protocol import cbor

    terms = from_map(orders.Terms, cbor.decode_map(bytes.fromhex(vector["hex"])))
    assert pairing.commitment(terms).hex() == vector["commitment"]
    facts = {key: bytes.fromhex(vector[key]) for key in ("device_key", "device_nonce")}
    assert pairing.digits(terms, device_id=vector["device_id"], **facts) == vector["digits"]


def test_bulk_headers(cddl: Validator) -> None:
    request, reply = (bytes.fromhex(vector["hex"]) for vector in load("bulk.json")["vectors"])
    assert bulk.header_length(request[:2]) == len(request) - 2
    assert bulk.encode_header(bulk.decode_request(request[2:])) == request
    assert bulk.encode_header(bulk.decode_reply(reply[2:])) == reply
    assert cddl.validate(request[2:], "bulk-request").valid
    assert cddl.validate(reply[2:], "bulk-reply").valid


def test_every_purpose_separates() -> None:
    signed = bytes.fromhex(load("tokens.json")["vectors"][0]["hex"])
    for purpose in Purpose:
        if purpose is not Purpose.TOKEN:
            with pytest.raises(ProtocolError):
                cose.verify1(signed, keys=KEYS, purpose=purpose)


def body_of(message: bytes) -> bytes:
    """The body's bytes: what follows version, type and msg_id."""
    at = 2
    for _ in range(2):
        at += {0x18: 2, 0x19: 3}.get(message[at], 1)
    return message[at:]


def test_a_reader_that_shares_no_code_agrees_on_every_vector() -> None:
    reader = VECTORS / "reader.py"
    text = reader.read_text()
    assert text.count("\n") <= 150
    assert "firmware_protocol" not in text
    ran = subprocess.run(
        [sys.executable, reader, ROOT / "firmware_protocol" / "seal.cddl"], capture_output=True, text=True, check=False
    )
    total = sum(len(load(name)["vectors"]) for name in FILES if name != "passkeys.json")
    assert total >= 200
    assert ran.stdout.splitlines()[-1] == f"{total} vectors, 0 disagree", ran.stdout + ran.stderr


def test_a_reader_that_shares_no_code_agrees_on_every_passkey() -> None:
    reader = VECTORS / "passkey_reader.py"
    assert "firmware_protocol" not in reader.read_text()
    ran = subprocess.run([sys.executable, reader], capture_output=True, text=True, check=False)
    total = len(load("passkeys.json")["vectors"])
    assert ran.stdout.splitlines()[-1] == f"{total} vectors, 0 disagree", ran.stdout + ran.stderr


def test_the_other_reader_notices_a_changed_vector(tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text((VECTORS / "reader.py").read_text())
    changed = load("tokens.json")
    good = next(vector for vector in changed["vectors"] if "fields" in vector)
    good["hex"] = good["hex"][:-2] + f"{int(good['hex'][-2:], 16) ^ 1:02x}"
    (tmp_path / "tokens.json").write_text(json.dumps(changed))
    command = [sys.executable, tmp_path / "reader.py", ROOT / "firmware_protocol" / "seal.cddl"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "minimal: bad_signature" in ran.stdout
