"""A small RFC 3161 time-stamp authority; `stamper` is how pyHanko calls it inside this process.

The rules: only SHA-256, -384 and -512 imprints; the request's policy, if named, must be ours; extensions are refused;
a nonce is echoed; certificates only if asked for; a rejection is a well-formed answer, never an error.
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.eseals import der
from server.eseals.signer import SealSigner

POLICY: Final = "2.25.111021712182619692829855033303290875521"
"""Our time-stamp policy: a UUID-based arc (ITU-T X.667), so it needs no registration."""

DIGEST_BYTES: Final = {
    der.oid("2.16.840.1.101.3.4.2.1")[2:]: 32,  # SHA-256
    der.oid("2.16.840.1.101.3.4.2.2")[2:]: 48,  # SHA-384
    der.oid("2.16.840.1.101.3.4.2.3")[2:]: 64,  # SHA-512
}
"""Accepted imprint algorithms: content of the OID -> bytes of the digest."""

BAD_ALGORITHM: Final = 0
BAD_REQUEST: Final = 2
BAD_FORMAT: Final = 5
UNACCEPTED_POLICY: Final = 15
UNACCEPTED_EXTENSION: Final = 16
"""PKIFailureInfo bits, RFC 3161 section 2.4.2."""

MAX_REQUEST_BYTES: Final = 4096
"""A request holds one digest and one nonce; more is not a time-stamp request."""

MAX_NONCE_BYTES: Final = 64

_SHA256: Final = der.encode(der.SEQUENCE, der.oid("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256: Final = der.encode(der.SEQUENCE, der.oid("1.2.840.10045.4.3.2"))
_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_TST_INFO: Final = der.oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE: Final = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")
_GRANTED: Final = der.encode(der.SEQUENCE, der.integer(0))
_EXTENSIONS: Final = 0xA0


class _Refused(Exception):
    """The request is answered with a rejection that carries `bit`."""

    def __init__(self, bit: int) -> None:
        self.bit = bit


class _Query:
    """The fields of a TimeStampReq, read strictly (RFC 3161 section 2.4.1)."""

    def __init__(self, request: bytes, *, policy: bytes) -> None:
        """Raises: _Refused, MalformedDer."""
        if len(request) > MAX_REQUEST_BYTES:
            raise _Refused(BAD_FORMAT)
        fields = list(der.split(der.only(request, der.SEQUENCE)))
        if len(fields) < 2 or fields[0] != (der.INTEGER, b"\x01") or fields[1][0] != der.SEQUENCE:
            raise _Refused(BAD_REQUEST)
        self.imprint = der.encode(der.SEQUENCE, fields[1][1])
        _check_imprint(fields[1][1])
        self.nonce = b""
        self.wants_certificates = False
        order = [der.OID, der.INTEGER, der.BOOLEAN, _EXTENSIONS]
        for tag, content in fields[2:]:
            if tag not in order:
                raise _Refused(BAD_FORMAT)
            del order[: order.index(tag) + 1]
            self._take(tag, content, policy)

    def _take(self, tag: int, content: bytes, policy: bytes) -> None:
        if tag == _EXTENSIONS:
            raise _Refused(UNACCEPTED_EXTENSION)
        if tag == der.OID and der.encode(der.OID, content) != policy:
            raise _Refused(UNACCEPTED_POLICY)
        if tag == der.INTEGER:
            if not 1 <= len(content) <= MAX_NONCE_BYTES:
                raise _Refused(BAD_FORMAT)
            self.nonce = der.encode(der.INTEGER, content)
        if tag == der.BOOLEAN:
            self.wants_certificates = content == b"\xff"


class TimestampAuthority:
    """Stamps RFC 3161 requests with one key and its certificate."""

    def __init__(self, signer: SealSigner, *, policy: str = POLICY) -> None:
        self._signer = signer
        self._policy = der.oid(policy)
        certificate = signer.certificate
        leaf = certificate.public_bytes(Encoding.DER)
        chain = [issuer.public_bytes(Encoding.DER) for issuer in signer.chain]
        self._certificates = der.encode(0xA0, *sorted([leaf, *chain]))
        issuer = certificate.issuer.public_bytes()
        self._signer_id = der.encode(der.SEQUENCE, issuer, der.integer(certificate.serial_number))
        self._name = der.encode(0xA0, der.encode(0xA4, certificate.subject.public_bytes()))
        # ESSCertIDv2 with its default SHA-256 (RFC 5035 section 4); version 1 with SHA-1 is what others still write.
        ess = der.encode(der.SEQUENCE, der.encode(der.OCTET_STRING, sha256(leaf).digest()))
        listed = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, ess))
        self._certificate_attribute = _attribute(_SIGNING_CERTIFICATE_V2, listed)

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The authority's own certificate, then its issuers."""
        return (self._signer.certificate, *self._signer.chain)

    def stamp(self, request_der: bytes, *, now: datetime, serial: bytes) -> bytes:
        """The DER TimeStampResp for a DER TimeStampReq: a token, or a rejection that says why. Never raises on input.

        `now` is aware; `serial` is 8 to 19 bytes, never used twice (RFC 3161 section 2.4.2).
        """
        try:
            query = _Query(request_der, policy=self._policy)
        except _Refused as refused:
            return _rejection(refused.bit)
        except der.MalformedDer:
            return _rejection(BAD_FORMAT)
        return der.encode(der.SEQUENCE, _GRANTED, self._token(query, now=now, serial=serial))

    def _token(self, query: _Query, *, now: datetime, serial: bytes) -> bytes:
        info = der.encode(
            der.SEQUENCE,
            der.integer(1),
            self._policy,
            query.imprint,
            der.integer(int.from_bytes(b"\x01" + serial)),
            der.encode(der.GENERALIZED_TIME, now.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii")),
            der.encode(der.SEQUENCE, der.integer(1)),  # accuracy: one second, what genTime can say
            query.nonce,
            self._name,
        )
        digest = der.encode(der.OCTET_STRING, sha256(info).digest())
        attributes = der.set_of(
            _attribute(_CONTENT_TYPE, _TST_INFO), _attribute(_MESSAGE_DIGEST, digest), self._certificate_attribute
        )
        signature = der.encode(der.OCTET_STRING, self._signer.sign(attributes))
        signer_info = der.encode(
            der.SEQUENCE,
            der.integer(1),
            self._signer_id,
            _SHA256,
            b"\xa0" + attributes[1:],  # signed as SET OF, carried as [0] IMPLICIT (RFC 5652 section 5.4)
            _ECDSA_SHA256,
            signature,
        )
        content = der.encode(der.SEQUENCE, _TST_INFO, der.encode(0xA0, der.encode(der.OCTET_STRING, info)))
        signed = der.encode(
            der.SEQUENCE,
            der.integer(3),
            der.set_of(_SHA256),
            content,
            self._certificates if query.wants_certificates else b"",
            der.set_of(signer_info),
        )
        return der.encode(der.SEQUENCE, _SIGNED_DATA, der.encode(0xA0, signed))


def answer_is_granted(answer: bytes) -> bool:
    """Whether a DER TimeStampResp carries a token. Raises: MalformedDer."""
    return next(der.split(der.only(answer, der.SEQUENCE))) == (der.SEQUENCE, _GRANTED[2:])


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, kind, der.set_of(value))


def _check_imprint(content: bytes) -> None:
    """Raises: _Refused, MalformedDer."""
    parts = list(der.split(content))
    if [tag for tag, _ in parts] != [der.SEQUENCE, der.OCTET_STRING]:
        raise _Refused(BAD_FORMAT)
    algorithm = list(der.split(parts[0][1]))
    if not algorithm or algorithm[0][0] != der.OID or algorithm[1:] not in ([], [(0x05, b"")]):
        raise _Refused(BAD_FORMAT)
    size = DIGEST_BYTES.get(algorithm[0][1])
    if size is None:
        raise _Refused(BAD_ALGORITHM)
    if len(parts[1][1]) != size:
        raise _Refused(BAD_FORMAT)


def _rejection(bit: int) -> bytes:
    """PKIStatusInfo with status 2 (rejection) and one failure bit; a BIT STRING without trailing zero bits."""
    octets = bit // 8 + 1
    bits = (1 << (octets * 8 - 1 - bit)).to_bytes(octets)
    unused = octets * 8 - 1 - bit
    info = der.encode(der.SEQUENCE, der.integer(2), der.encode(der.BIT_STRING, bytes((unused,)), bits))
    return der.encode(der.SEQUENCE, info)
