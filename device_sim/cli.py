"""`cinnabar-device`: run the simulated device, be the keeper beside it, read its journal.

Exit 0: done. 1: a negative answer (the lever did not press). 2: it could not be done; why is on stderr. 3: a crash.
"""

import argparse
import base64
import json
import os
import signal
import sys
import threading
import traceback
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NO = 1
FAILED = 2
CRASHED = 3
PATIENCE_S = 30.0
POLL_S = 0.05
"""How often the keeper's server looks whether it should stop."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        code: int = options.do(options)
    except (OSError, ValueError) as error:
        print(f"cinnabar-device: {error}", file=sys.stderr)  # noqa: T201 - the command says why
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cinnabar-device", description="A seal device in software.")
    verbs = parser.add_subparsers(required=True)

    def verb(name: str, do: Any, text: str) -> argparse.ArgumentParser:  # noqa: ANN401 - one of the functions below
        sub = verbs.add_parser(name, help=text, description=text)
        sub.add_argument("--home", type=Path, required=True, help="the device's folder")
        sub.set_defaults(do=do)
        return sub

    run = verb("run", _run, "Switch the device on; it says in one JSON line where it can be reached.")
    run.add_argument("--seed", type=int, help="repeatable keys, nonces and pictures; for tests")
    run.add_argument("--bulk-rate", type=int, help="bytes per second of the bulk link")
    run.add_argument("--dpi", type=int, help="scale of the full photo")
    run.add_argument(
        "--ble", metavar="ADAPTER", help="control link in the air: usb:0, hci-socket:0, tcp-client:HOST:PORT"
    )
    run.add_argument("--fault", action="append", default=[], help="something that is broken from the start")
    lay = verb("lay", _lay, "Lay a page on the tray.")
    paper = lay.add_mutually_exclusive_group(required=True)
    paper.add_argument("--pdf", type=Path)
    paper.add_argument("--image", type=Path)
    paper.add_argument("--blank", action="store_true")
    lay.add_argument("--page", type=int, default=1, help="of the PDF, from 1")
    verb("pull", _pull, "Pull the lever; exit 1 when the latch held.")
    verb("take-away", _take_away, "Take the page from the tray.")
    move = verb("move", _move, "Nudge the page.")
    for name in ("--dx-mm", "--dy-mm", "--rotation-deg"):
        move.add_argument(name, type=float, default=0.0)
    verb("state", _state, "What the device is doing.")
    verb("journal", _journal, "Read the journal, without changing it.")
    return parser


def _run(options: argparse.Namespace) -> int:
    from device_sim.process.keeper import Keeper, KeeperServer
    from device_sim.process.runner import DEFAULT_BULK_RATE, Options, Runner

    rate = options.bulk_rate or DEFAULT_BULK_RATE
    runner = Runner(Options(home=options.home, seed=options.seed, bulk_rate=rate, dpi=options.dpi, ble=options.ble))
    for fault in options.fault:
        runner.inject(fault)
    server = KeeperServer(Keeper(runner))
    threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()
    threading.excepthook = _crash
    off = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: off.set())
    runner.start()
    print(runner.announce(server.url), flush=True)  # noqa: T201 - the ready line
    off.wait()
    server.shutdown()
    server.server_close()
    runner.stop()
    return 0


def _crash(failure: threading.ExceptHookArgs) -> None:
    """A thread died of a mistake in this program: a device that lives on half would lie, so it goes down whole."""
    traceback.print_exception(failure.exc_value)
    os._exit(CRASHED)


def _lay(options: argparse.Namespace) -> int:
    body: dict[str, Any]
    if options.pdf:
        body = {"pdf_base64": base64.b64encode(options.pdf.read_bytes()).decode(), "page": options.page}
    elif options.image:
        body = {"image_base64": base64.b64encode(options.image.read_bytes()).decode()}
    else:
        body = {"blank": True}
    _ask(options, "/lay", body)
    return 0


def _pull(options: argparse.Namespace) -> int:
    answer = _show(_ask(options, "/pull", {}))
    return 0 if answer["pressed"] else NO


def _take_away(options: argparse.Namespace) -> int:
    _ask(options, "/take-away", {})
    return 0


def _move(options: argparse.Namespace) -> int:
    body = {"dx_mm": options.dx_mm, "dy_mm": options.dy_mm, "rotation_deg": options.rotation_deg}
    _ask(options, "/move", body)
    return 0


def _state(options: argparse.Namespace) -> int:
    _show(_ask(options, "/state", None))
    return 0


def _journal(options: argparse.Namespace) -> int:
    from device_sim.reading import describe

    for line in describe(options.home / "journal" / "journal"):
        print(line)  # noqa: T201 - the answer
    return 0


def _ask(options: argparse.Namespace, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Ask the running device. Raises: ValueError with its reason when it says no, OSError when it is off."""
    running = options.home / "running.json"
    if not running.exists():
        raise ValueError(f"no device is running in {options.home}")
    url = json.loads(running.read_bytes())["keeper"] + path
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data=data, timeout=PATIENCE_S) as answer:  # noqa: S310 - our own loopback URL
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(json.load(error)["error"]) from error


def _show(answer: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(answer))  # noqa: T201 - the answer
    return answer


if __name__ == "__main__":
    sys.exit(main())
