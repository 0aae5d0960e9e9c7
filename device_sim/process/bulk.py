"""The bulk link: photos by digest over TCP on loopback, at a stated speed (firmware_protocol/bulk.py)."""

import contextlib
import socket
import socketserver
import threading
import time
from pathlib import Path

from device_sim.process.disk import PhotoFolder, write_durably
from device_sim.process.faults import SLOW_BYTES_PER_S, Fault, Faults
from firmware_protocol import bulk
from firmware_protocol.bulk import BulkReply, BulkRequest, BulkStatus
from firmware_protocol.errors import ProtocolError

BURST_S = 0.02
"""How much of a second's bytes may go at once: real links have small buffers."""
SLICE = 8_192


class Pace:
    """One cable's speed, shared by all that use it."""

    def __init__(self, bytes_per_s: int, faults: Faults) -> None:
        self._normal = bytes_per_s
        self._faults = faults
        self._lock = threading.Lock()
        self._clear_at = 0.0
        self._never = threading.Event()

    @property
    def is_down(self) -> bool:
        return self._faults.has(Fault.BULK_DOWN)

    def take(self, size: int) -> None:
        """Returns when `size` more bytes may have left."""
        speed = min(self._normal, SLOW_BYTES_PER_S) if self._faults.has(Fault.SLOW_BULK) else self._normal
        with self._lock:
            now = time.monotonic()
            self._clear_at = max(self._clear_at, now - BURST_S) + size / speed
            pause = self._clear_at - now
        if pause > 0:
            self._never.wait(pause)


def open_bulk(port_file: Path, *, photos: PhotoFolder, pace: Pace) -> "BulkServer":
    """At the port it had before, as an address that a gateway was told stays true; at a free one if that is taken."""
    known = int(port_file.read_text()) if port_file.exists() else 0
    try:
        server = BulkServer(known, photos=photos, pace=pace)
    except OSError:
        server = BulkServer(0, photos=photos, pace=pace)
    write_durably(port_file, str(server.server_address[1]).encode())
    return server


class BulkServer(socketserver.ThreadingTCPServer):
    """One thread per connection."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, *, photos: PhotoFolder, pace: Pace) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.photos = photos
        self.pace = pace

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"


class _Conversation(socketserver.StreamRequestHandler):
    """Requests, one after the other, until the gateway hangs up or talks nonsense."""

    server: BulkServer

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ProtocolError, OSError):
            while not self.server.pace.is_down and len(prefix := self.rfile.read(2)) == 2:
                self._answer(bulk.decode_request(self.rfile.read(bulk.header_length(prefix))))

    def _answer(self, request: BulkRequest) -> None:
        picture = self.server.photos.read(request.digest)
        if picture is None:
            self._send(BulkReply(status=BulkStatus.UNKNOWN_DIGEST, total=0, length=0), b"")
        elif request.offset > len(picture):
            self._send(BulkReply(status=BulkStatus.BAD_OFFSET, total=len(picture), length=0), b"")
        else:
            chunk = picture[request.offset : request.offset + request.length]
            self._send(BulkReply(status=BulkStatus.OK, total=len(picture), length=len(chunk)), chunk)

    def _send(self, reply: BulkReply, data: bytes) -> None:
        out = bulk.encode_header(reply) + data
        for at in range(0, len(out), SLICE):
            piece = out[at : at + SLICE]
            self.server.pace.take(len(piece))
            self.wfile.write(piece)
