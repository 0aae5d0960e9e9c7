"""Business entries: their bytes against the CDDL, the registry against the documentation and against every caller."""

import ast
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from cddl_verifier import Validator
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_protocol import cbor, cose
from firmware_protocol.errors import BadSignature, Malformed
from firmware_protocol.purposes import Purpose
from server.core.signer import Ed25519Signer
from server.ledger import entry_codec, entry_docs
from server.ledger.entry_codec import Entry
from server.ledger.entry_types import SPECS, EntryType

ROOT = Path(__file__).resolve().parents[3]
KEY = Ed25519Signer(Purpose.ENTRY, Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture(scope="module")
def cddl() -> Validator:
    return Validator(ROOT / "server" / "ledger" / "entries.cddl")


def entry(entry_type: EntryType = EntryType.DECISION, **changes: object) -> Entry:
    opened = entry_codec.opening("Ana Ruiz", salt=bytes(16))
    facts: dict[str, object] = {
        "entry_type": entry_type,
        "version": 1,
        "entry_id": UUID(int=1),
        "time_ms": 1_700_000_000_000,
        "refs": {"request": "019b", "photo": [b"\x01", b"\x02"]},
        "commitments": {"approver": opened.commitment()},
        "public": {"approved": True, "stage": 1, "digest": bytes(32), "nothing": None, "stages": [1, "two"]},
    }
    return Entry(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("entry_type", EntryType)
def test_every_type_is_in_the_cddl(entry_type: EntryType, cddl: Validator) -> None:
    leaf = entry_codec.sign(entry(entry_type), key=KEY)
    result = cddl.validate(leaf, "leaf")
    assert result.valid, result
    assert entry_codec.verify(leaf, keys=cose.keyring(KEY.public_key)) == entry(entry_type)


@pytest.mark.parametrize(
    ("label", "value"),
    [(1, 9), (1, "1"), (2, 0), (3, bytes(15)), (4, -1), (5, {1: "x"}), (5, {"x": 1}), (6, {"x": bytes(31)}), (8, 1)],
)
def test_what_the_cddl_refuses_the_reader_refuses_too(label: int, value: object, cddl: Validator) -> None:
    payload = cbor.decode_map(cose.parse1(entry_codec.sign(entry(), key=KEY)).payload)
    assert cddl.validate(cbor.encode(payload), "entry").valid
    broken = cbor.encode(payload | {label: value})
    assert not cddl.validate(broken, "entry").valid
    with pytest.raises(Malformed):
        entry_codec.read(broken)


def test_entry_signed_for_another_purpose_is_refused() -> None:
    payload = cose.parse1(entry_codec.sign(entry(), key=KEY)).payload
    other = cose.sign1(payload, key=KEY, purpose=Purpose.TOKEN)
    with pytest.raises(BadSignature):
        entry_codec.verify(other, keys=cose.keyring(KEY.public_key))


def test_commitment_hides_the_value_without_its_salt() -> None:
    one = entry_codec.opening("Ana Ruiz", salt=b"a" * 16)
    two = entry_codec.opening("Ana Ruiz", salt=b"b" * 16)
    assert one.commitment() != two.commitment()
    assert entry_codec.opening("Ana Ruiz", salt=b"a" * 16).commitment() == one.commitment()
    with pytest.raises(ValueError, match="16 bytes"):
        entry_codec.opening("Ana Ruiz", salt=b"")


def test_values_are_brought_into_their_documented_form() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given = {"id": UUID(int=3), "at": moment, "type": EntryType.VERDICT, "list": (1, [UUID(int=4)])}
    assert entry_codec.plain(given) == {
        "id": "00000000-0000-0000-0000-000000000003",
        "at": 1_767_323_045_678,
        "type": 72,
        "list": [1, ["00000000-0000-0000-0000-000000000004"]],
    }
    with pytest.raises(Malformed, match="float"):
        entry_codec.sign(entry(public={"ratio": 0.5}), key=KEY)


def test_refs_are_indexed_one_by_one() -> None:
    refs = {"request": UUID(int=3), "photo": [b"\x01\xff", b"\x02"]}
    assert entry_codec.ref_strings(refs) == (
        "request:00000000-0000-0000-0000-000000000003",
        "photo:01ff",
        "photo:02",
    )


def test_registry_and_documentation_say_the_same() -> None:
    assert set(SPECS) == set(EntryType)
    page = (ROOT / "docs" / "entries.md").read_text()
    assert page == entry_docs.with_table(page), f"run {entry_docs.BEGIN[11:-4]}"


def test_every_field_that_a_slice_records_is_documented() -> None:
    undocumented = []
    checked = 0
    for path in sorted((ROOT / "server").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and (entry_type := _entry_type(call)):
                checked += 1
                spec = SPECS[EntryType[entry_type]]
                for part in ("refs", "public", "private"):
                    unknown = _literal_names(call, part) - set(getattr(spec, part))
                    undocumented += [f"{path}:{call.lineno} {entry_type}.{part}.{name}" for name in sorted(unknown)]
    assert undocumented == [], "name them in server/ledger/entry_types.py and run the docs command"
    assert checked >= 2


def _entry_type(call: ast.Call) -> str | None:
    """X, when the call is given EntryType.X and fields."""
    if not any(keyword.arg in {"refs", "public", "private"} for keyword in call.keywords):
        return None
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        match argument:
            case ast.Attribute(value=ast.Name(id="EntryType"), attr=name):
                return name
    return None


def _literal_names(call: ast.Call, part: str) -> set[str]:
    value = next((keyword.value for keyword in call.keywords if keyword.arg == part), None)
    if not isinstance(value, ast.Dict):
        return set()
    return {key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
