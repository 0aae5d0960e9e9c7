"""Tokens for use without headquarters: asked for while it can be reached, kept here, spent when it cannot."""

from typing import Any

import structlog

from firmware_protocol import cose, tokens
from firmware_protocol.errors import ProtocolError
from gateway.carrying import Carrying
from gateway.desk import Desk
from gateway.errors import GatewayError
from gateway.notebook import Voucher

log = structlog.get_logger("gateway.vouchers")


class Vouchers:
    def __init__(self, desk: Desk, carrying: Carrying) -> None:
        self._desk = desk
        self._carrying = carrying
        self._asking: set[str] = set()

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that vouchers in hand allow; their pages are not checked."""
        return [
            voucher.job | {"offline": True, "mode": "voucher", "page_check": "none", "expires_ms": voucher.expires_ms}
            for voucher in self._held()
        ]

    def for_job(self, job: dict[str, Any]) -> Voucher | None:
        return next((held for held in self._held() if held.job["request_id"] == job["request_id"]), None)

    def wanted(self, jobs: list[dict[str, Any]], operator_id: str) -> None:
        """Ask for a voucher of each job that may be stamped offline and has none here yet."""
        held = {voucher.job["request_id"] for voucher in self._held()} | self._asking
        for job in jobs:
            if job.get("mode") == "voucher" and job.get("mine") and operator_id and job["request_id"] not in held:
                self._asking.add(job["request_id"])
                self._desk.device.spawn(self._ask(job, operator_id))

    async def _ask(self, job: dict[str, Any], operator_id: str) -> None:
        device_id = self._desk.device.device_id

        wanted: set[bytes] = set()  # the token id, once headquarters has answered
        early: list[bytes] = []  # vouchers that were quicker than that answer

        def fits(data: bytes) -> bool:
            claims = _voucher(data)
            if claims is not None and not wanted:
                early.append(data)
            return claims is not None and claims.token_id in wanted

        async def ask() -> bool:
            answer = await self._desk.office.head_office.voucher(
                device_id, request_id=job["request_id"], operator_id=operator_id
            )
            wanted.add(bytes.fromhex(answer["token_id"]))
            for data in early:
                self._carrying.offer("token", data)
            return True

        try:
            token = await self._carrying.await_down("token", fits, ask)
            claims = _voucher(token)
            if claims is not None:
                self._desk.office.notebook.keep_voucher(
                    Voucher(
                        device_id=device_id,
                        token_id=claims.token_id,
                        expires_ms=claims.expires_at * 1000,
                        token=token,
                        job=job,
                    )
                )
        except GatewayError as error:
            log.info("no_voucher", device=device_id, request=job["request_id"], error=str(error))
        finally:
            self._asking.discard(job["request_id"])
            self._desk.office.changed()

    def _held(self) -> list[Voucher]:
        office = self._desk.office
        return office.notebook.vouchers(self._desk.device.device_id, now_ms=office.clock.now_ms())


def _voucher(data: bytes) -> tokens.Token | None:
    try:
        token = tokens.read(cose.parse1(data).payload)
    except ProtocolError:
        return None
    return token if token.seal.voucher_counter is not None else None
