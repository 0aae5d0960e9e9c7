"""`cinnabar demo`: one complete stamping on this machine, then the dashboard stays open."""

import shutil
import signal
import tempfile
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dashboard.demo.outcome import Outcome
    from dashboard.demo.story import Stage


class Language(StrEnum):
    EN = "en"
    ES = "es"
    ZH = "zh"


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    *,
    document: Annotated[Path | None, typer.Option(help="Stamp this PDF instead of the bundled contract.")] = None,
    language: Annotated[Language, typer.Option(help="Which bundled contract and seal.")] = Language.EN,
    once: Annotated[bool, typer.Option(help="Do it once without a screen and stop.")] = False,
    out: Annotated[Path | None, typer.Option(help="Keep the files of the stamping here.")] = None,
) -> None:
    """Set everything up, show one complete stamping, and leave the dashboard running. Exit 1 names the failed step."""
    from dashboard.demo import outcome as outcomes
    from dashboard.demo import paper
    from dashboard.demo.show import Screen
    from dashboard.demo.story import OPENING, STAMPING, new_stage, play
    from dashboard.demo.waiting import StoryFailed

    screen = Screen()
    folder = Path(tempfile.mkdtemp(prefix="cinnabar-demo-"))
    result = outcomes.Outcome(out=(out or folder / "files").absolute())
    result.out.mkdir(parents=True, exist_ok=True)
    try:
        contract = paper.own(document, language=language.value) if document else paper.bundled(language.value)
    except StoryFailed as error:
        screen.failed(error.step, error.why, folder / "logs")
        raise typer.Exit(1) from error
    stage = new_stage(contract, folder, screen.step)
    screen.opening(contract.title)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep = False
    try:
        play(stage, (*OPENING, *STAMPING, *outcomes.closing(result)))
        outcomes.summary(stage, result)
        screen.files(result.out)
        if not once:
            screen.links(_links(stage, result))
            threading.Event().wait()
    except StoryFailed as error:
        keep = True
        screen.failed(error.step, error.why, folder / "logs")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        screen.console.print("Stopped.")
    finally:
        stage.close()
        stage.company.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _links(stage: "Stage", result: "Outcome") -> list[tuple[str, str, str]]:
    """One link a role; each signs its person in once, on this machine."""
    from dashboard.demo.story import login_link

    web, request = stage.company.server.ready["web"], f"/requests/{stage.request_id}"
    rows = [
        ("clerk", "asks for seals", login_link(stage, "clerk", "/")),
        ("approver", "decides at headquarters", login_link(stage, "approver", request)),
        ("auditor", "matches photos to approvals", login_link(stage, "auditor", request)),
        ("administrator", "devices, seals, people", login_link(stage, "admin", "/devices")),
        ("keeper", "stamps at the device", str(stage.company.gateway.ready["session_url"])),
        ("anyone", "scans the code on the paper", str(result.facts["trace_url"])),
    ]
    return [(who, what, f"{web}{link}" if link.startswith("/") else link) for who, what, link in rows]
