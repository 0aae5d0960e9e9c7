"""One error tree for whatever breaks the protocol. A device's "no" is a value (messages.Refused), not an error."""


class ProtocolError(Exception):
    """What arrived is not `seal/1`; `code` is stable and goes into logs and vectors."""

    code = "protocol_error"


class FrameTooLong(ProtocolError):
    """The peer sent more bytes than a frame may hold; drop until the next delimiter."""

    code = "frame_too_long"

    def __init__(self, *, seen: int, limit: int) -> None:
        super().__init__(f"frame of at least {seen} bytes, limit is {limit}")
        self.seen = seen
        self.limit = limit


class BadFrame(ProtocolError):
    """COBS or CRC do not fit: line noise, or a frame cut short."""

    code = "bad_frame"


class Malformed(ProtocolError):
    """The CBOR or COSE structure is not what docs/protocol.md demands."""

    code = "malformed"


class UnknownMessage(ProtocolError):
    """A well-formed message of a type this version does not know."""

    code = "unknown_message"

    def __init__(self, *, message_type: int, msg_id: int) -> None:
        super().__init__(f"message type 0x{message_type:02x} is unknown")
        self.message_type = message_type
        self.msg_id = msg_id


class UnknownClaim(Malformed):
    """A signed object carries a label this side does not know; it must not be obeyed in part."""

    code = "unknown_claim"


class WrongAlgorithm(Malformed):
    """The signature algorithm is not Ed25519 (COSE -19, RFC 9864)."""

    code = "wrong_algorithm"


class UnknownKey(ProtocolError):
    """No trusted key has this key id."""

    code = "unknown_key"

    def __init__(self, key_id: bytes) -> None:
        super().__init__(f"no trusted key {key_id.hex()}")
        self.key_id = key_id


class WrongNonce(ProtocolError):
    """Signed over another nonce than the one that is out."""

    code = "wrong_nonce"


class WrongOperator(ProtocolError):
    """What a person showed does not let this person in here."""

    code = "wrong_operator"


class BadSignature(ProtocolError):
    """The signature does not verify under that key for that purpose."""

    code = "bad_signature"
