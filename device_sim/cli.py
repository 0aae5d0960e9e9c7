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
from collections.abc import Callable, Sequence
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
    run.add_argument("--no-coder", action="store_true", help="a device made now has no inline coder")
    run.add_argument("--fault", action="append", default=[], help="something that is broken from the start")
    lay = verb("lay", _lay, "Lay a page on the tray.")
    paper = lay.add_mutually_exclusive_group(required=True)
    paper.add_argument("--pdf", type=Path)
    paper.add_argument("--image", type=Path)
    paper.add_argument("--blank", action="store_true")
    paper.add_argument("--again", action="store_true", help="the sheet that was taken away last")
    lay.add_argument("--page", type=int, default=1, help="of the PDF, from 1")
    lay.add_argument("--curl-mm", type=float, default=0.0, help="a bound volume, whose spine stands so high")
    lay.add_argument("--staple", action="store_true", help="a stapled document")
    fan = verb("fan", _fan, "Lay several pages, their edges side by side below the stamp.")
    fan.add_argument("--pdf", type=Path, required=True)
    fan.add_argument("--pages", type=int, nargs="+", required=True, help="from the top sheet down")
    _hand(verb)
    verb("journal", _journal, "Read the journal, without changing it.")
    return parser


def _hand(verb: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """The verbs that only pass their options on to the running device."""
    verb("pull", _pull, "Pull the lever; exit 1 when the latch held.")
    verb("take-away", _ask_for("/take-away"), "Take the page from the tray.")
    move = verb("move", _ask_for("/move", "dx_mm", "dy_mm", "rotation_deg"), "Nudge the page.")
    for name in ("--dx-mm", "--dy-mm", "--rotation-deg"):
        move.add_argument(name, type=float, default=0.0)
    label = verb(
        "stick-label", _ask_for("/stick-label", "url", "short_code", "number", "cancelled"), "Stick a printed label on."
    )
    for name in ("--url", "--short-code", "--number"):
        label.add_argument(name, required=True)
    label.add_argument("--cancelled", action="store_true", help="the label that cancels a spoiled sheet")
    cover = verb("cover", _cover, "Open or close the cover.")
    cover.add_argument("state", choices=("open", "closed"))
    verb("pry", _ask_for("/pry"), "Work on the housing with a tool.")
    verb("tilt", _ask_for("/tilt"), "Lift the device.")
    battery = verb("battery", _ask_for("/battery", "percent"), "What the battery's gauge says.")
    battery.add_argument("percent", type=int)
    temperature = verb("temperature", _ask_for("/temperature", "celsius"), "How warm it is inside.")
    temperature.add_argument("celsius", type=float)
    ink = verb("ink", _ask_for("/ink", "level"), "Fill the ink pad.")
    ink.add_argument("level", type=float, help="1 is full, 0 dry")
    fault = verb("fault", _ask_for("/fault", "name"), "Break something, or `none`: mend everything.")
    fault.add_argument("name", help="as for run --fault")
    verb("state", _state, "What the device is doing.")
    verb("display", _display, "What stands on its small display.")


def _run(options: argparse.Namespace) -> int:
    from device_sim.process.keeper import Keeper, KeeperServer
    from device_sim.process.runner import DEFAULT_BULK_RATE, Options, Runner

    rate = options.bulk_rate or DEFAULT_BULK_RATE
    runner = Runner(
        Options(
            home=options.home,
            seed=options.seed,
            bulk_rate=rate,
            dpi=options.dpi,
            coder=not options.no_coder,
            ble=options.ble,
        )
    )
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
    body: dict[str, Any] = {"curl_mm": options.curl_mm, "staple": options.staple}
    if options.pdf:
        body |= {"pdf_base64": _base64(options.pdf), "page": options.page}
    elif options.image:
        body |= {"image_base64": _base64(options.image)}
    elif options.again:
        body |= {"again": True}
    else:
        body |= {"blank": True}
    _ask(options, "/lay", body)
    return 0


def _fan(options: argparse.Namespace) -> int:
    _ask(options, "/fan", {"pdf_base64": _base64(options.pdf), "pages": options.pages})
    return 0


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _pull(options: argparse.Namespace) -> int:
    answer = _show(_ask(options, "/pull", {}))
    return 0 if answer["pressed"] else NO


def _ask_for(path: str, *names: str) -> Callable[[argparse.Namespace], int]:
    """A verb that hands its options of those names on; what the device answers is printed, if anything."""

    def do(options: argparse.Namespace) -> int:
        answer = _ask(options, path, {name: getattr(options, name) for name in names})
        if answer:
            _show(answer)
        return 0

    return do


def _cover(options: argparse.Namespace) -> int:
    _ask(options, "/cover", {"open": options.state == "open"})
    return 0


def _display(options: argparse.Namespace) -> int:
    for line in _ask(options, "/display", None)["lines"]:
        print(line)  # noqa: T201 - the answer
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
