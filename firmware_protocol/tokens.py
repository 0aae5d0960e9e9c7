"""TOKEN: the right to a few strokes on one device for one approved request.

COSE_Sign1 over CWT claims (RFC 8392, RFC 9200). A token names device, slot, head, document, count and window, and
carries the device's own nonce (cnonce). A device refuses a claim it does not know. Claims of later features are
numbered here and in seal.cddl from the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import Malformed, UnknownClaim
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.purposes import Purpose

MAX_TOKEN: Final = 230
"""Longest token in bytes: with envelope and fragment header it stays one BLE packet at MTU 247."""

MAX_LIFE_S: Final = 600
"""exi + unlock window: an unconsumed token is a lease of at most ten minutes (design: D4)."""

MAX_POLICY: Final = 0xFF
"""Two bits of PageCheck and six of Mode."""

AUD: Final = 3
EXP: Final = 4
NBF: Final = 5
IAT: Final = 6
CTI: Final = 7
CNONCE: Final = 39
EXI: Final = 40
SEAL: Final = -65537


class PageCheck(IntEnum):
    """When the page is compared with what was approved."""

    BEFORE = 0
    AFTER = 1
    NONE = 2


class Mode(IntFlag):
    """Policy bits above the two of PageCheck."""

    BATCH = 4
    CONTINUOUS = 8
    STRADDLE = 16
    VOUCHER = 32
    SWEEP = 64
    BOUND = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SealClaims:
    """The private map, claim -65537."""

    slot: int = label(1)
    max_strokes: int = label(2)
    policy: int = label(3)
    epoch: int = label(4)
    window_s: int = label(5)
    document_digest: bytes = label(6, size=32)
    head_id: bytes = label(7, size=8)
    voucher_counter: int | None = label(8, optional=True)
    operator: bytes | None = label(9, size=4, optional=True)
    first_page: int | None = label(10, optional=True)
    last_page: int | None = label(11, optional=True)
    approver_proofs: bytes | None = label(12, size=32, optional=True)

    @property
    def page_check(self) -> PageCheck:
        return PageCheck(self.policy & 3)

    @property
    def mode(self) -> Mode:
        return Mode(self.policy & ~3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Times are Unix seconds; `exi_s` counts from the moment the device made its nonce, on the device's own timer."""

    device_id: str
    issued_at: int
    not_before: int
    expires_at: int
    token_id: bytes
    seal: SealClaims
    nonce: bytes | None = None
    exi_s: int | None = None


def issue(token: Token, *, key: SigningKey) -> bytes:
    """The signed token. Raises: Malformed, when it would not fit MAX_TOKEN or live longer than MAX_LIFE_S."""
    if token.exi_s is not None and token.exi_s + token.seal.window_s > MAX_LIFE_S:
        raise Malformed(f"token would live {token.exi_s + token.seal.window_s} s, at most {MAX_LIFE_S}")
    claims: dict[int, Any] = {
        AUD: token.device_id,
        EXP: token.expires_at,
        NBF: token.not_before,
        IAT: token.issued_at,
        CTI: token.token_id,
        SEAL: to_map(token.seal),
    }
    if token.nonce is not None:
        claims[CNONCE] = token.nonce
    if token.exi_s is not None:
        claims[EXI] = token.exi_s
    signed = cose.sign1(cbor.encode(claims), key=key, purpose=Purpose.TOKEN)
    if len(signed) > MAX_TOKEN:
        raise Malformed(f"token has {len(signed)} bytes, at most {MAX_TOKEN}")
    return signed


def verify(data: bytes, *, keys: Mapping[bytes, bytes]) -> Token:
    """The claims of an authentic token; whether they hold here and now is the device's decision.

    Raises: Malformed, UnknownClaim, WrongAlgorithm, UnknownKey, BadSignature.
    """
    if len(data) > MAX_TOKEN:
        raise Malformed(f"token has {len(data)} bytes, at most {MAX_TOKEN}")
    return read(cose.verify1(data, keys=keys, purpose=Purpose.TOKEN))


def read(payload: bytes) -> Token:
    """Claims to Token, without trust. Raises: Malformed, UnknownClaim."""
    claims = cbor.decode_map(payload)
    unknown = set(claims) - {AUD, EXP, NBF, IAT, CTI, CNONCE, EXI, SEAL}
    if unknown:
        raise UnknownClaim(f"token claim {min(unknown)} is unknown")
    seal = _claim(claims, SEAL, dict)
    policy = from_map(SealClaims, seal)
    if policy.policy & 3 == 3 or policy.policy > MAX_POLICY:
        raise UnknownClaim("page check 3 and policy bits above 128 are not defined")
    nonce = _optional(claims, CNONCE, bytes)
    token_id = _claim(claims, CTI, bytes)
    if len(token_id) != 16 or (nonce is not None and len(nonce) != 16):
        raise Malformed("token id and nonce have 16 bytes")
    return Token(
        device_id=_claim(claims, AUD, str),
        issued_at=_claim(claims, IAT, int),
        not_before=_claim(claims, NBF, int),
        expires_at=_claim(claims, EXP, int),
        token_id=token_id,
        nonce=nonce,
        exi_s=_optional(claims, EXI, int),
        seal=policy,
    )


def _claim(claims: dict[int, Any], number: int, kind: type) -> Any:  # noqa: ANN401
    if number not in claims:
        raise Malformed(f"token lacks claim {number}")
    return _optional(claims, number, kind)


def _optional(claims: dict[int, Any], number: int, kind: type) -> Any:  # noqa: ANN401
    value = claims.get(number)
    if value is not None and type(value) is not kind:
        raise Malformed(f"token claim {number} must be {kind.__name__}")
    if type(value) is int and value < 0:
        raise Malformed(f"token claim {number} must not be negative")
    return value
