"""A real device process on a bench: its port opened by pyserial, its bulk link by a socket, its keeper by HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import serial

from firmware_protocol import bulk, events, messages, orders, pairing, tokens
from firmware_protocol.framing import FrameDecoder, encode_frame
from firmware_protocol.messages import Message
from firmware_protocol.orders import Permit, Receipt
from firmware_protocol.tokens import SealClaims, Token
from tests.device_sim.installation import DOCUMENT, HEAD, ISSUER, PERMITS, RECEIPTS, TERMS, UNIX_S

PATIENCE_S = 20.0
DPI = "150"


def presses_in(told: Iterable[events.Event]) -> int:
    """How many times the head came down, by the device's own account."""
    total = 0
    for event in told:
        match event.body:
            case events.Done() | events.Settled(outcome=events.Outcome.RECOVERED):
                total += 1
            case events.ExtraStroke(strokes=strokes):
                total += strokes
            case events.Settled(outcome=outcome):
                assert outcome is events.Outcome.ABORTED
    return total


class Rig:
    """One device home; the process in it can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.epoch = 0
        """Of the last policy it was given."""
        self._msg_id = 0
        self._process: subprocess.Popen[str] | None = None
        self.port: serial.Serial | None = None

    # --- process ------------------------------------------------------------------------------------------------------

    def start(self, *options: str) -> dict[str, str]:
        """Switch on; the ready line."""
        command = [sys.executable, "-m", "device_sim.cli", "run", "--home", str(self.home), "--dpi", DPI, *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.ready: dict[str, str] = json.loads(self._process.stdout.readline())
        self.plug()
        return self.ready

    def plug(self) -> None:
        """Open the port as a gateway does."""
        self.port = serial.Serial(str(self.home / "control"), baudrate=115_200, timeout=PATIENCE_S, exclusive=True)
        self._decoder = FrameDecoder()
        self.heard: list[messages.Envelope] = []

    def unplug(self) -> None:
        if self.port:
            self.port.close()
            self.port = None

    def wait_until_dead(self) -> int:
        """The exit code of a process that dies by itself."""
        assert self._process
        code = self._process.wait(PATIENCE_S)
        self._clear()
        return code

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, number)
            self._process.wait(PATIENCE_S)
        self._clear()

    def _clear(self) -> None:
        self.unplug()
        if self._process and self._process.stdout:
            self._process.stdout.close()
        self._process = None

    # --- control link -------------------------------------------------------------------------------------------------

    def ask(self, message: Message) -> Message:
        self._msg_id += 1
        return self.ask_raw(encode_frame(messages.encode(message, msg_id=self._msg_id)), msg_id=self._msg_id)

    def ask_raw(self, data: bytes, *, msg_id: int) -> Message:
        self.write(data)
        return self.hear(lambda envelope: envelope.msg_id == msg_id).message

    def write(self, data: bytes) -> None:
        assert self.port
        self.port.write(data)

    def hear(self, wanted: Any) -> messages.Envelope:
        """The next message that fits; the others stay for a later question."""
        assert self.port
        while True:
            for at, envelope in enumerate(self.heard):
                if wanted(envelope):
                    return self.heard.pop(at)
            data = self.port.read(1)
            assert data, "the device says nothing"
            data += self.port.read(self.port.in_waiting)
            self.heard += [messages.decode(message) for message in self._decoder.feed(data)]

    def notice(self, state: messages.State, **facts: object) -> messages.Status:
        """The next notice that says so."""

        def fits(envelope: messages.Envelope) -> bool:
            message = envelope.message
            return (
                isinstance(message, messages.StatusNotice)
                and message.status.state is state
                and all(getattr(message.status, name) == value for name, value in facts.items())
            )

        found = self.hear(fits).message
        assert isinstance(found, messages.StatusNotice)
        return found.status

    # --- bulk link ----------------------------------------------------------------------------------------------------

    def fetch(self, digest: bytes, *, chunk: int = bulk.MAX_CHUNK) -> bytes | bulk.BulkStatus:
        """A whole picture, piece by piece; or why not."""
        host, port = self.ready["bulk"].split(":")
        out = b""
        with socket.create_connection((host, int(port)), PATIENCE_S) as link, link.makefile("rwb") as stream:
            while True:
                request = bulk.BulkRequest(digest=digest, offset=len(out), length=chunk)
                stream.write(bulk.encode_header(request))
                stream.flush()
                reply = bulk.decode_reply(stream.read(bulk.header_length(stream.read(2))))
                if reply.status is not bulk.BulkStatus.OK:
                    return reply.status
                out += stream.read(reply.length)
                if len(out) == reply.total:
                    return out

    # --- keeper -------------------------------------------------------------------------------------------------------

    def keeper(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST with a body, GET without."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.ready["keeper"] + path, data=data, timeout=PATIENCE_S) as answer:
            raw = answer.read()
            return json.loads(raw) if answer.headers["Content-Type"] == "application/json" else raw

    def keeper_error(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        try:
            self.keeper(path, body)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["error"]
        raise AssertionError("it was allowed")

    def mount_head(self, png: bytes) -> None:
        body = {
            "png_base64": base64.b64encode(png).decode(),
            "diameter_mm": 40,
            "head_id": HEAD.hex(),
            "slot": 0,
        }
        self.keeper("/head", body)

    # --- server -------------------------------------------------------------------------------------------------------

    def pair(self) -> None:
        self.keeper("/pairing-button", {})
        found = self.ask(messages.PairCommitRequest(commitment=pairing.commitment(TERMS)))
        assert isinstance(found, messages.PairDevice)
        self.ask(messages.PairTermsRequest(terms=TERMS))
        digits = pairing.digits(TERMS, device_id=found.device_id, device_key=found.public_key, device_nonce=found.nonce)
        assert self.keeper("/digits")["digits"] == digits
        assert self.keeper("/confirm-pairing", {})["paired"]
        assert self.ask(messages.PairStatusRequest()) == messages.PairStatus(confirmed=True)

    def token(
        self,
        *,
        max_strokes: int = 3,
        policy: int = 0,
        window_s: int = 60,
        first_page: int | None = None,
        last_page: int | None = None,
    ) -> bytes:
        challenge = self.ask(messages.ChallengeRequest())
        assert isinstance(challenge, messages.Challenge), challenge
        status = self.ask(messages.StatusRequest())
        assert isinstance(status, messages.Status), status
        seal = SealClaims(
            slot=0,
            max_strokes=max_strokes,
            policy=policy,
            epoch=self.epoch,
            window_s=window_s,
            document_digest=DOCUMENT,
            head_id=HEAD,
            first_page=first_page,
            last_page=last_page,
            operator=status.operator,
        )
        token = Token(
            device_id=self.ready["device_id"],
            issued_at=UNIX_S,
            not_before=UNIX_S,
            expires_at=UNIX_S + 600,
            token_id=os.urandom(16),
            nonce=challenge.nonce,
            exi_s=300,
            seal=seal,
        )
        return tokens.issue(token, key=ISSUER)

    def grant(self, *, title: str | None = None, short: str | None = None, **claims: int) -> bytes:
        """The token id."""
        answer = self.ask(messages.TokenRequest(token=self.token(**claims), title=title, short=short))
        assert isinstance(answer, messages.Granted), answer
        return answer.token_id

    def lay(self) -> None:
        self.keeper("/lay", {"blank": True})

    def capture(self) -> messages.Captured:
        answer = self.ask(messages.CaptureRequest())
        assert isinstance(answer, messages.Captured), answer
        return answer

    def permit(self, token_id: bytes, seen: messages.Captured) -> bytes:
        permit = Permit(
            device_id=self.ready["device_id"],
            token_id=token_id,
            stroke=seen.stroke,
            page=1,
            page_digest=orders.page_digest(DOCUMENT, 1),
            photo_digest=seen.photo_digest,
            stroke_nonce=seen.stroke_nonce,
        )
        return orders.sign(permit, key=PERMITS)

    def unlock(self, token_id: bytes) -> None:
        """Photo, permit, latch free; notices up to here are heard and done with."""
        answer = self.ask(messages.PermitRequest(permit=self.permit(token_id, self.capture())))
        assert isinstance(answer, messages.Unlocked), answer
        self.notice(messages.State.UNLOCKED)
        self.heard.clear()

    def receipt(self, *photos: bytes) -> bytes:
        hello = self.ask(messages.HelloRequest())
        assert isinstance(hello, messages.Hello)
        receipt = Receipt(
            device_id=hello.device_id,
            generation=hello.generation,
            up_to_seq=hello.last_seq,
            chain_hash=hello.chain_hash,
            photo_digests=photos,
        )
        return orders.sign(receipt, key=RECEIPTS)

    def told(self, *, after: int) -> list[events.Event]:
        """Every event above that sequence number, in order."""
        hello = self.ask(messages.HelloRequest())
        assert isinstance(hello, messages.Hello)
        return [events.peek(self.event(seq)) for seq in range(after + 1, hello.last_seq + 1)]

    def event(self, seq: int) -> bytes:
        answer = self.ask(messages.ReadEventRequest(seq=seq))
        assert isinstance(answer, messages.SignedEvent), answer
        return answer.event
