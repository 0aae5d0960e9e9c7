"""What the office reads in signed bytes that it passes on, without checking them."""

from firmware_protocol import cbor, cose, events, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Permit
from firmware_protocol.tokens import Token
from gateway.outbox import KeptEvent


def photos_in(fresh: list[KeptEvent]) -> list[tuple[str, bytes]]:
    """gateway.carrying: full photos first."""
    bodies = [(kept.device_id, events.peek(kept.signed).body) for kept in fresh]
    seen = [(name, body) for name, body in bodies if isinstance(body, events.PageSeen | events.Done)]
    return [(name, body.photo_digest) for name, body in seen] + [(name, body.preview_digest) for name, body in seen]


def nonce_of_token(data: bytes) -> bytes | None:
    try:
        return tokens.read(cose.parse1(data).payload).nonce
    except ProtocolError:
        return None


def voucher_in(data: bytes) -> Token | None:
    """None when this is no voucher."""
    try:
        token = tokens.read(cose.parse1(data).payload)
    except ProtocolError:
        return None
    return None if token.seal.voucher_counter is None else token


def nonce_of_permit(data: bytes) -> bytes | None:
    try:
        return from_map(Permit, cbor.decode_map(cose.parse1(data).payload)).stroke_nonce
    except ProtocolError:
        return None
