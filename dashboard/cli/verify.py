"""`cinnabar verify TARGET`: a bundle, a sealed PDF, a code or a photo of one, a record or checkpoint of the log; no
network, no database.

Exit 0 good under a trusted root, 1 refused, 2 could not say (unknown issuer, stale trust, nothing to read).
"""

import contextlib
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dashboard.cli import verify_log
from dashboard.cli.verify_answer import CANNOT, GOOD, REFUSED, Answer, Unreadable
from dashboard.cli.verify_log import Given
from server.core.clock import SystemClock
from server.verification import bundle, code, roots
from server.verification.bundle import BundleVerdict
from server.verification.checks import Result
from server.verification.contents import CheckSealed
from server.verification.roots import BadRoot, Pin
from server.verification.target import Target, detect

_EXIT_OF_BUNDLE: Final = {bundle.Outcome.GOOD: GOOD, bundle.Outcome.REFUSED: REFUSED}
_EXIT_OF_CODE: Final = {code.Outcome.KNOWN: GOOD, code.Outcome.CANNOT_CONFIRM: CANNOT}
_BUNDLE_WORDS: Final = {
    bundle.Outcome.GOOD: "The bundle is complete and consistent, and its issuer is trusted here.",
    bundle.Outcome.ISSUER_UNKNOWN: "Consistent, issuer unknown: nobody here vouched for the root inside.",
    bundle.Outcome.CANNOT_CONFIRM: "Consistent, but the trust bundle is too old to say more.",
    bundle.Outcome.REFUSED: "Refused: something in it does not fit.",
    bundle.Outcome.UNREADABLE: "This could not be read as an evidence bundle.",
}
_SAID_IN_CHECKS: Final = frozenset({"named", "labels", "witnesses", "time_stamps"})
_MARKS: Final = {Result.PASSED: "[green]ok[/]", Result.FAILED: "[red]NO[/]", Result.NOT_SHOWN: "[yellow]?[/]"}


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(
    target: Annotated[str, typer.Argument(help="A file, a code or its URL, or - for standard input.")],
    *,
    trust: Annotated[Path | None, typer.Option(help="A trust bundle whose root you vouch for.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Of a lone record; default: FILE.tlog-proof beside it.")] = None,
    anchor: Annotated[list[Path] | None, typer.Option(help="A time stamp (.tsr) over the checkpoint.")] = None,
    witness: Annotated[list[str] | None, typer.Option(help="NAME+ID+KEY of a witness that you know.")] = None,
    time_authority: Annotated[
        list[Path] | None, typer.Option(help="NAME.pem: certificates of a time-stamp authority that you believe.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check a bundle, a sealed PDF, a code or a photo of one, a record (.cose) with its .tlog-proof, or a checkpoint,
    offline. Exit 0 good, 1 refused, 2 could not say.
    """
    try:
        data, pins = _read(target), _pins(trust)
        given = verify_log.read_given(
            target,
            pins,
            proof=proof,
            stamps=anchor or (),
            witnesses=witness or (),
            authorities=time_authority or (),
        )
        answer = check(data, pins=pins, given=given)
    except (Unreadable, BadRoot) as error:
        if as_json:
            typer.echo(json.dumps({"target": "unknown", "outcome": "unreadable", "words": str(error), "exit": CANNOT}))
        typer.echo(str(error), err=True)
        raise typer.Exit(CANNOT) from None
    if as_json:
        typer.echo(json.dumps(_plain(answer)))
    else:
        _show(answer)
    raise typer.Exit(answer.exit_code)


def check(data: bytes, *, pins: list[Pin], given: Given) -> Answer:
    """The answer on a file's bytes or a typed code. Raises: Unreadable."""
    now = int(SystemClock().now().timestamp())
    match detect(data):
        case Target.BUNDLE:
            verdict = bundle.verify(
                data,
                pins=pins,
                now=now,
                check_sealed=_sealed_checker(),
                judge_stamp=lambda answer, note, trust: verify_log.judge_stamp(answer, note, trust, given),
            )
            return _of_bundle(verdict)
        case Target.PDF:
            return _of_pdf(data, pins)
        case Target.PHOTO:
            return _of_photo(data, pins, now)
        case Target.CODE:
            return _of_code(Target.CODE, code.check_code(data.decode("ascii").strip(), pins=pins, now=now))
        case Target.RECORD:
            return verify_log.of_record(data, given)
        case Target.CHECKPOINT:
            return verify_log.of_checkpoint(data, given)
        case Target.UNKNOWN:
            raise Unreadable("this is neither a bundle, a PDF, a code, a photo, a record nor a checkpoint")


def _read(target: str) -> bytes:
    if target == "-":
        return sys.stdin.buffer.read()
    with contextlib.suppress(OSError, ValueError):  # a code is no path: too long, or with a null byte
        return Path(target).read_bytes()
    encoded = target.encode("utf-8", "replace")
    if detect(encoded) is Target.CODE:
        return encoded
    raise Unreadable(f"{target} is neither a file that can be read nor a code")


def _pins(trust: Path | None) -> list[Pin]:
    pins = roots.read_all(roots.folders(os.environ))
    if trust is not None:
        try:
            pins.append(roots.of_bundle(trust.read_bytes()))
        except OSError as error:
            raise Unreadable(f"{trust} cannot be read") from error
    return pins


def _of_bundle(verdict: BundleVerdict) -> Answer:
    return Answer(
        target=Target.BUNDLE,
        outcome=verdict.outcome.value,
        words=_BUNDLE_WORDS[verdict.outcome],
        exit_code=_EXIT_OF_BUNDLE.get(verdict.outcome, CANNOT),
        demo=verdict.demo,
        checks=verdict.checks,
        facts={
            "installation": verdict.installation,
            "root": verdict.root.hex(),
            "trust_version": verdict.trust_version,
            "request": verdict.request,
            "document": verdict.document.hex(),
            "codes": [stroke.short_code for stroke in verdict.strokes],
            "labels": [asdict(label) for label in verdict.labels],
            "named": list(verdict.named),
        },
        notes=verdict.notes,
    )


def _of_code(target: Target, verdict: code.CodeVerdict) -> Answer:
    facts = {
        name: value
        for name in ("installation", "device_id", "counter", "document_starts", "short_code")
        if (value := getattr(verdict, name))
    }
    moments = {"withdrawn_since": verdict.withdrawn_since, "withdrawals_as_of": verdict.list_from}
    facts |= {name: datetime.fromtimestamp(at, UTC).isoformat() for name, at in moments.items() if at}
    return Answer(
        target=target,
        outcome=verdict.outcome.value,
        words=verdict.words,
        exit_code=_EXIT_OF_CODE.get(verdict.outcome, REFUSED),
        demo=verdict.demo,
        facts=facts,
    )


def _of_photo(data: bytes, pins: list[Pin], now: int) -> Answer:
    from server.inspection.vision.codes import read_codes

    found = [one.payload for one in read_codes(data)]
    codes = [payload.decode("ascii") for payload in found if detect(payload) is Target.CODE]
    if not codes:
        raise Unreadable("no code of ours can be read in this photo; take it from closer, in more light")
    answers = [_of_code(Target.PHOTO, code.check_code(text, pins=pins, now=now)) for text in codes]
    worst_first = {REFUSED: 0, CANNOT: 1, GOOD: 2}
    return min(answers, key=lambda answer: worst_first[answer.exit_code])


def _of_pdf(data: bytes, pins: list[Pin]) -> Answer:
    verdict = _seal_verdict(data, pins)
    exits = {"sealed": GOOD, "changed": REFUSED, "no_seal": REFUSED}
    words = {
        "sealed": "The electronic seal holds; the file is as it was sealed.",
        "changed": "Refused: this file was changed after it was sealed.",
        "no_seal": "Refused: there is no electronic seal in this file.",
    }.get(verdict.outcome, "The seal cannot be verified from this file alone; check the evidence bundle instead.")
    facts = {"reasons": list(verdict.reasons), "signer": verdict.signer, "level": verdict.level}
    if verdict.sealed_at is not None:
        facts["sealed_at"] = verdict.sealed_at.isoformat()
    return Answer(
        target=Target.PDF,
        outcome=verdict.outcome,
        words=words,
        exit_code=exits.get(verdict.outcome, CANNOT),
        demo=verdict.demo,
        facts=facts,
    )


def _seal_verdict(data: bytes, pins: list[Pin]) -> Any:  # noqa: ANN401 - pyHanko loads only where a PDF is checked
    from server.eseals.offline import verdict_of

    bundles = [pin.bundle for pin in pins if pin.bundle is not None]
    return verdict_of(data, bundles, now=SystemClock().now())


def _sealed_checker() -> CheckSealed:
    def checker(data: bytes, trust: Any, known: Any) -> tuple[bool, str]:  # noqa: ANN401 - passed through
        from server.archive.sealed import check_sealed

        return check_sealed(data, trust, known, now=SystemClock().now())

    return checker


def _show(answer: Answer) -> None:
    console = Console(highlight=False)
    if answer.demo:
        console.print("[bold black on yellow] DEMO - not a real record [/]")
    if answer.checks:
        table = Table(box=None, show_header=False, padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in answer.checks:
            where = f" [dim]({escape(one.member)})[/]" if one.member and not one.passed else ""
            table.add_row(_MARKS[one.result], escape(one.name), escape(one.compared) + where)
        console.print(table)
    for name, value in answer.facts.items():
        if value and name not in _SAID_IN_CHECKS:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            console.print(f"   {escape(name.replace('_', ' '))}: {escape(str(shown))}", soft_wrap=True)
    for note in answer.notes:
        console.print(f"   [yellow]note[/]: {escape(note)}", soft_wrap=True)
    colour = {GOOD: "green", REFUSED: "red"}.get(answer.exit_code, "yellow")
    console.print(f"[bold {colour}]{escape(answer.words)}[/]", soft_wrap=True)


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "target": answer.target.value,
        "outcome": answer.outcome,
        "words": answer.words,
        "exit": answer.exit_code,
        "demo": answer.demo,
        **answer.facts,
        "notes": list(answer.notes),
        "checks": [
            {"name": one.name, "result": one.result.value, "compared": one.compared, "member": one.member}
            for one in answer.checks
        ],
    }
