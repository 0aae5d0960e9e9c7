"""`python reader.py SEAL_CDDL` reads the vectors beside it; knows docs/protocol.md and seal.cddl, no code of ours."""
# ruff: noqa: ANN001, ANN201, T201 - short, to be read beside the document

import json
import re
import sys
import zlib
from hashlib import scrypt, sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RULE = {"tokens.json": "token-claims", "events.json": "event", "trace.json": "trace-code"}  # orders name theirs
PURPOSE = {"token-claims": "token", "signed-time": "time", "trace-code": "trace"}  # the others are called as their rule
FIELD = r"(\? )?(-?\d+) => (\[.*?\]|\d+\.\.\d+|[\w-]+(?: \.size (?:\(.*?\)|\d+))?)"
KINDS = {"bstr": bytes, "tstr": str, "uint": int, "bool": bool}


def need(holds, code="malformed"):
    if not holds:
        raise ValueError(code)


def cbor(data, at=0, depth=0):  # (value, offset after it); deterministic CBOR of the types that seal/1 allows
    need(at < len(data) and depth <= 8)
    major, low, at = data[at] >> 5, data[at] & 31, at + 1
    need(low in (20, 21, 22) if major == 7 else low < 28 and major != 6)
    if major == 7:
        return (False, True, None)[low - 20], at
    width, least = {24: (1, 24), 25: (2, 256), 26: (4, 1 << 16), 27: (8, 1 << 32)}.get(low, (0, 0))
    number, at = int.from_bytes(data[at : at + width], "big") if width else low, at + width
    need(at <= len(data) and number >= least)
    if major < 2:
        return (number, -1 - number)[major], at
    if major < 4:
        need(at + number <= len(data))
        return (bytes, bytes.decode)[major - 2](data[at : at + number]), at + number
    items, starts = [], [at]
    for _ in range(number * (major - 3)):
        item, at = cbor(data, at, depth + 1)
        items, starts = [*items, item], [*starts, at]
    if major == 4:
        return items, at
    keys = [data[start:end] for start, end in zip(starts[:-1:2], starts[1::2], strict=True)]
    need(keys == sorted(set(keys), key=lambda key: (len(key), key)))
    return dict(zip(items[::2], items[1::2], strict=True)), at


def whole(data, kind=dict):
    value, end = cbor(data)
    need(end == len(data) and isinstance(value, kind))
    return value


def check(rules, kind, value):  # whether `value` is of that CDDL type
    if kind[0] == "{":
        fields = re.findall(FIELD, kind)
        need(isinstance(value, dict))
        need("* int" in kind or set(value) <= {int(label) for _, label, _ in fields}, "unknown_claim")
        need(all(optional or int(label) in value for optional, label, _ in fields))
        [check(rules, inner, value[int(label)]) for _, label, inner in fields if int(label) in value]
    elif several := re.match(r"\[(\d*)\*(\d*) (.*)\]", kind):
        need(isinstance(value, list) and int(several[1] or 0) <= len(value) <= int(several[2] or 99))
        [check(rules, several[3], item) for item in value]
    elif span := re.match(r"(\d+)\.\.(\d+)", kind):
        need(type(value) is int)
        need(int(span[1]) <= value <= int(span[2]), "unknown_claim")
    elif (base := kind.split()[0]) in KINDS:
        low, high = re.search(r"\.size \(?(\d+)(?:\.\.)?(\d*)", f"{kind} .size 0..512").groups()
        need(type(value) is KINDS[base] and (base != "uint" or value >= 0))
        need(base in ("uint", "bool") or int(low) <= len(value) <= int(high or low))
    elif kind != "event-body":  # `read` checks that one by the event's type
        check(rules, rules[kind], value)


def signed(data, rule, keys):  # the payload of a COSE_Sign1 for the purpose of `rule`; key ids and keys in hexadecimal
    need(len(data) <= {"token-claims": 230, "trace-code": 136}.get(rule, 480) and data[:1] == b"\xd2")
    protected, none, payload, signature = (*whole(data[1:], list), 0, 0, 0, 0)[:4]
    need((type(protected), none, type(payload)) == (bytes, {}, bytes) and len(signature) == 64)
    need((header := whole(protected)).get(1) == -19, "wrong_algorithm")
    need(set(header) == {1, 4} and len(header[4]) == 4)
    need(header[4].hex() in keys, "unknown_key")
    covered = b"\x84\x6aSignature1"
    for p in (protected, f"seal/1/{PURPOSE.get(rule, rule)}".encode(), payload):
        width = (len(p) > 23) + (len(p) > 255)  # of its length in CBOR
        covered += bytes([0x57 + width if width else 0x40 + len(p)]) + len(p).to_bytes(2, "big")[2 - width :] + p
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[header[4].hex()])).verify(signature, covered)
    except InvalidSignature:
        need(holds=False, code="bad_signature")
    return whole(payload)


def read(file, vector, rules, types, keys):  # what the vector's bytes say
    data, rule, value = bytes.fromhex(vector["hex"]), vector.get("rule", RULE.get(file)), None
    if file in ("frames.json", "fragments.json"):
        stuffed, plain = data[1:-1] if file == "frames.json" else b"", b""
        while stuffed:
            need(0 < stuffed[0] <= len(stuffed) and 0 not in stuffed[: stuffed[0]], "bad_frame")
            plain += stuffed[1 : stuffed[0]] + b"\0" * (stuffed[0] < 255 and len(stuffed) > stuffed[0])
            stuffed = stuffed[stuffed[0] :]
        for number, one in enumerate(cuts := [bytes.fromhex(one) for one in vector.get("fragments", [])]):
            need(one and one[0] == number + 128 * (number == len(cuts) - 1), "bad_frame")
            plain += one[1:]
        need(4 < len(plain) <= 516 and zlib.crc32(plain[:-4]) == int.from_bytes(plain[-4:], "little"), "bad_frame")
        need(plain[:-4].hex() == vector.get("message", vector["hex"]))
    elif file in ("pairing.json", "bulk.json"):
        check(rules, rule, whole(data[2:] if file == "bulk.json" else data))
    elif file == "operators.json":
        need(len(data) == 29 and data[4] in (1, 2))
        proof = scrypt(vector["secret"].encode(), salt=data[5:13], n=1 << 14, r=8, p=1, dklen=32)
        need(proof.hex() == vector["proof"] and sha256(proof).digest()[:16] == data[13:])
    elif file == "messages.json":
        version, number, msg_id, value = (*whole(data, list), 0, 0, -1, 0)[:4]
        need(version == 1 and type(msg_id) is int and 0 <= msg_id < 1 << 16)
        need(number in types, "unknown_message")
        check(rules, types[number], value)
    else:
        value = signed(data, rule, keys)
        check(rules, rule, value)
        if rule == "event":
            check(rules, rules["event-body"].split(" / ")[value[5] - 1], value[11])
        need(rule != "token-claims" or value[-65537][3] & 0xFF03 in (0, 1, 2), "unknown_claim")
    return value


def main(cddl):
    rules, types, wrong, total = {}, {}, [], 0
    for name, body in re.findall(r"(?ms)^([a-z][\w-]*) = (.*?)(?=^[a-z][\w-]* = |\Z)", Path(cddl).read_text()):
        rules[name] = " ".join(re.sub(r";.*", "", body).split())
        types |= {int(number, 16): name for number in re.findall(r"\A[^;]*; 0x([0-9A-F]{2})", body)}
    for path in sorted(set((here := Path(__file__).parent).glob("*.json")) - {here / "passkeys.json"}):
        content = json.loads(path.read_text())
        signer = content["keys"]["device" if path.name in ("events.json", "trace.json") else "issuer"]
        for vector in content["vectors"]:
            value, why, total = None, None, total + 1
            try:
                value = read(path.name, vector, rules, types, {signer["key_id"]: signer["public"]})
            except ValueError as error:
                why = error.args[0]
            fields = json.loads(json.dumps(value, default=lambda raw: f"h'{raw.hex()}'"))
            if why != vector.get("refused") or fields != vector.get("fields", fields):
                wrong.append(f"{path.name}: {vector['name']}: {why}, not {vector.get('refused', 'its fields')}")
    print(*wrong, f"{total} vectors, {len(wrong)} disagree", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
