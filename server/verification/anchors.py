"""Time stamps (RFC 3161) in a bundle: they must be about the checkpoint that everything in the bundle leads to.

Whose signature a stamp carries is asked of `judge`, which the caller brings with the certificates that it believes: an
authority's certificate inside a bundle would only be a claim.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from server.ledger import checkpoint
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.verification.checks import Checks
from server.verification.trust import TrustBundle

STAMPED: Final = "anchors/checkpoint"
ENDING: Final = ".tsr"
Judge: TypeAlias = Callable[[bytes, bytes, TrustBundle], tuple[bool | None, str]]
"""(stamp, note, trust) -> whether its whole CMS holds, and whose it is in words; None: nobody here knows whose."""
_SHA256: Final = "sha256"


def check(
    members: Mapping[str, bytes], log: VerifierKey, trust: TrustBundle, checks: Checks, judge: Judge | None = None
) -> None:
    """Nothing is said of a bundle without stamps."""
    stamps = [name for name in members if name.startswith("anchors/") and name != STAMPED]
    if not stamps and STAMPED not in members:
        return
    faults = [(STAMPED, problem)] if (problem := _differs(members, log)) else []
    wanted = hashlib.sha256(members.get(STAMPED, b"")).digest()
    faults += [(name, problem) for name in stamps if (problem := _fault(name, members[name], wanted))]
    summary = f"{len(stamps)} time stamps over this checkpoint"
    if not checks.group("time stamps", faults, summary=summary) or judge is None:
        return
    for name in stamps:
        holds, words = judge(members[name], members[STAMPED], trust)
        if holds is None:
            checks.not_shown("time stamp", words, member=name)
        else:
            checks.add("time stamp", words, passed=holds, member=name)


def _differs(members: Mapping[str, bytes], log: VerifierKey) -> str:
    try:
        stamped = checkpoint.verify(members.get(STAMPED, b"").decode("utf-8"), key=log)
        head = checkpoint.verify(members.get("checkpoint", b"").decode("utf-8"), key=log)
    except (BadCheckpoint, UnicodeDecodeError) as error:
        return f"it is no checkpoint of the log: {error}"
    same = (stamped.size, stamped.root) == (head.size, head.root)
    return "" if same else f"it is of {stamped.size} entries, the bundle's of {head.size}, or its root differs"


def _fault(name: str, data: bytes, wanted: bytes) -> str:
    if not name.endswith(ENDING):
        return "it is no time stamp"
    try:
        imprint = _imprint(data)
        stamped = (imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"it cannot be read as a time stamp: {error}"
    return "" if stamped == (_SHA256, wanted) else f"it stamps other bytes than {STAMPED}"


def _imprint(data: bytes) -> Any:  # noqa: ANN401 - asn1crypto publishes no types
    from asn1crypto import tsp

    content = tsp.TimeStampResp.load(data, strict=True)["time_stamp_token"]["content"]["encap_content_info"]["content"]
    return content.parsed["message_imprint"]
