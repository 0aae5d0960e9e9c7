"""The witness on HTTP: POST /add-checkpoint, GET /ORIGINHASH/checkpoint, and GET / says whose key this is.

Requests prove themselves by the log's signature, so nobody logs in, and TLS protects nothing but privacy: plain HTTP on
loopback behind the partner's own proxy is as good. A slow or greedy client costs one of 32 threads for 10 seconds.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from server.ledger.cosignature import MAX_REQUEST
from server.ledger.witness.rules import Answer, Witness

MOST_AT_ONCE: Final = 32
_MONITORED: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


class WitnessServer(ThreadingHTTPServer):
    """`serve_forever` until `shutdown`; `server_address` says the port."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        super().__init__(address, _Handler)
        self.witness = witness
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - a socket and its address
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - same
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - same
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "cinnabar-witness"
    sys_version = ""
    timeout = 10.0

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MAX_REQUEST:
            self.close_connection = True
            self._say(Answer(status=413 if length else 411, body="a request has a length, and it is small\n"))
            return
        body = self.rfile.read(int(length))
        if self.path != "/add-checkpoint":
            self._say(Answer(status=404, body="POST /add-checkpoint is what there is\n"))
            return
        self._say(self.server.witness.add_checkpoint(body))

    def do_GET(self) -> None:
        monitored = _MONITORED.fullmatch(self.path)
        if monitored:
            self._say(self.server.witness.latest(monitored[1]))
        elif self.path == "/":
            self._say(Answer(status=200, body=f"{self.server.witness.vkey.text()}\n"))
        else:
            self._say(Answer(status=404, body="GET /SHA256-OF-ORIGIN/checkpoint is what there is\n"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base class names them
        """Say nothing: what matters is in the state."""

    def _say(self, answer: Answer) -> None:
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)
