"""The installation's own time-stamp authority as pyHanko asks it for a stamp."""

from collections.abc import Callable
from datetime import datetime

from asn1crypto import tsp
from pyhanko.sign.timestamps import TimeStamper, TimestampRequestError

from server.eseals.tsa import TimestampAuthority, answer_is_granted


class InProcessTimeStamper(TimeStamper):
    """Our authority as pyHanko asks for a stamp: same request, same answer, no network.

    `clock` and `serials` are asked once per stamp. One extra stamp is made per instance, to measure its size: keep it.
    """

    def __init__(
        self, authority: TimestampAuthority, *, clock: Callable[[], datetime], serials: Callable[[], bytes]
    ) -> None:
        super().__init__(include_nonce=False)  # type: ignore[no-untyped-call]  # pyHanko; a nonce guards against replay on a wire; there is none
        self._authority = authority
        self._clock = clock
        self._serials = serials

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        answer = self._authority.stamp(req.dump(), now=self._clock(), serial=self._serials())
        if not answer_is_granted(answer):  # asn1crypto cannot even read a rejection
            raise TimestampRequestError("the time-stamp authority refused the request")
        return tsp.TimeStampResp.load(answer, strict=True)
