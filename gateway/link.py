"""Request and reply over a Transport: stop-and-wait, a retry keeps its msg_id, so a device never acts twice."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from firmware_protocol import messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.messages import MAX_MSG_ID, REPLY, TYPE_OF, Envelope, Message, Refused
from gateway.errors import DeviceRefused, DeviceUnreachable
from gateway.transports.base import Transport

M = TypeVar("M")
log = structlog.get_logger("gateway.link")


class DeviceLink:
    """One device on one transport. `on_notice` runs in the event loop."""

    def __init__(self, transport: Transport, *, where: str, on_notice: Callable[[Message], None]) -> None:
        self._transport = transport
        self._where = where
        self._on_notice = on_notice
        self._turn = asyncio.Lock()
        self._next_id = 0
        self._waiting: tuple[int, asyncio.Future[Message]] | None = None
        self.lost = asyncio.Event()

    async def open(self) -> None:
        """Raises: DeviceUnreachable."""
        await self._transport.open(on_message=self._arrived, on_lost=self._gone)

    async def close(self) -> None:
        await self._transport.close()

    async def ask(self, request: Message, reply: type[M], *, slow: bool = False) -> M:
        """The device's reply to `request`.

        Raises: DeviceRefused, when it says no; DeviceUnreachable, when as many tries as the carrier
        has patience for bring no answer, or another one than was asked for.
        """
        patience = self._transport.patience
        answer = await self._exchange(request, timeout_s=patience.slow_s if slow else patience.reply_s)
        if isinstance(answer, Refused):
            raise DeviceRefused(reason=int(answer.reason), name=answer.reason.name, detail=answer.detail)
        if not isinstance(answer, reply):
            raise DeviceUnreachable(self._where)
        return answer

    async def _exchange(self, request: Message, *, timeout_s: float) -> Message:
        async with self._turn:
            self._next_id = (self._next_id + 1) & MAX_MSG_ID
            msg_id = self._next_id
            data = messages.encode(request, msg_id=msg_id)
            future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._waiting = (msg_id, future)
            try:
                for _ in range(self._transport.patience.tries):
                    if self.lost.is_set():
                        break
                    await self._transport.send(data)
                    done, _pending = await asyncio.wait({future}, timeout=timeout_s)
                    if done:
                        return future.result()
            finally:
                self._waiting = None
                future.cancel()
        raise DeviceUnreachable(self._where)

    def _arrived(self, data: bytes) -> None:
        try:
            envelope = messages.decode(data)
        except ProtocolError as error:
            log.warning("message_dropped", where=self._where, code=error.code, error=str(error))
            return
        if TYPE_OF[type(envelope.message)] & REPLY:
            self._reply(envelope)
        else:
            self._on_notice(envelope.message)

    def _reply(self, envelope: Envelope) -> None:
        if self._waiting is None:
            return
        msg_id, future = self._waiting
        if envelope.msg_id == msg_id and not future.done():
            future.set_result(envelope.message)

    def _gone(self) -> None:
        self.lost.set()
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(DeviceUnreachable(self._where))
