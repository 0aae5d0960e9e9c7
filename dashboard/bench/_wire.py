"""A wire between two programs on this machine: so much delay, so many bytes a second, and somebody who cuts it."""

import asyncio
import contextlib
import threading
from typing import Final

CHUNK: Final = 65_536
ONE_WAY_S: Final = 0.02
BYTES_PER_S: Final = 1_250_000
"""10 Mbit/s, an office's line."""


class Wire:
    """Forwards TCP to `port` on loopback from a port of its own, in a thread."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.mend()

    def mend(self) -> None:
        """The same port again after `cut`."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """Every connection ends, and nobody answers."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def stop(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self._to)
                try:
                    await asyncio.gather(_carry(reader, back), _carry(there, writer))
                finally:
                    back.close()
            finally:
                writer.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Every piece leaves in its turn, `ONE_WAY_S` after it came."""
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    now = asyncio.get_running_loop().time

    async def deliver() -> None:
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not data:
                break
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()

    delivering = asyncio.create_task(deliver())
    try:
        while data := await source.read(CHUNK):
            await asyncio.sleep(len(data) / BYTES_PER_S)
            line.put_nowait((now() + ONE_WAY_S, data))
        line.put_nowait((now(), b""))
        await delivering
    finally:
        delivering.cancel()
