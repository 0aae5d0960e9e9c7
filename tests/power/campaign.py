"""Cut the power, and fail every write, of journal and outbox: `python -m tests.power.campaign [--seed N] [--quick]`.

Prints one JSON object: sites, cuts, injections, violations, control_lost, and the first violations in words.
"""

import argparse
import collections
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.power.checks import violations
from tests.power.tape import Call, Disk, python, record

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ("journal", "outbox")
CONTROL: Final = "outbox-normal"
ERRORS: Final = ("error=EIO", "error=ENOSPC", "signal=KILL")
SYSCALLS: Final = {
    "open": "openat",
    "write": "write",
    "pwrite": "pwrite64",
    "sync": "fsync,fdatasync",
    "truncate": "ftruncate",
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat",
}
WORDS: Final = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one state per cut, every tenth cut and site")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cinnabar-power-") as folder:
        answer = run(
            Path(folder), Random(options.seed), states=1 if options.quick else 6, every=10 if options.quick else 1
        )
    print(json.dumps(answer))  # noqa: T201 - the answer


def run(folder: Path, rng: Random, *, states: int, every: int) -> dict[str, Any]:
    """`states` per cut; of all cuts and sites each `every`-th. Raises: CalledProcessError, OSError (no strace)."""
    counts: collections.Counter[str] = collections.Counter(
        dict.fromkeys(("sites", "cuts", "injections", "violations", "control_lost"), 0)
    )
    words: list[str] = []
    for what in PROGRAMS:
        tape = record(python("tests.power.workloads", what, str(folder / what)), folder / what, cwd=ROOT)
        sites = [at for at, call in enumerate(tape) if call.name != "said"]
        counts["sites"] += len(sites)
        chosen = sites[rng.randrange(every) :: every]
        for state in crashes(tape, chosen, states, rng):
            wrong = after(what, folder / "crash", *state[1:])
            counts["cuts"] += 1
            counts["violations"] += len(wrong)
            words += [f"{what}, cut before call {state[0]}: {text}" for text in wrong]
        for name, number in _calls(tape)[rng.randrange(every) :: every]:
            for error in ERRORS if every == 1 else (rng.choice(ERRORS),):
                wrong = injected(what, folder / "hurt", name, number, error)
                counts["injections"] += 1
                counts["violations"] += len(wrong)
                words += [f"{what}, {error} at {name} {number}: {text}" for text in wrong]
    tape = record(python("tests.power.workloads", CONTROL, str(folder / CONTROL)), folder / CONTROL, cwd=ROOT)
    sites = [at for at, call in enumerate(tape) if call.name != "said"]
    for state in crashes(tape, sites, states, rng):
        counts["control_lost"] += bool(after("outbox", folder / "crash", *state[1:]))
    return dict(counts) | {"words": words[:WORDS]}


def crashes(
    tape: list[Call], sites: list[int], states: int, rng: Random
) -> Iterator[tuple[int, dict[str, bytes], list[bytes]]]:
    """For each site: its number, what the disk may hold when the power goes just before it, what had been said."""
    disk, wanted = Disk(), set(sites)
    for at, call in enumerate(tape):
        if at in wanted:
            for _ in range(states):
                yield at, disk.crash(rng), list(disk.said)
        disk.do(call)


def after(what: str, folder: Path, files: dict[str, bytes], said: list[bytes]) -> list[str]:
    """The violations in a folder with these files."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        if not name.endswith("-shm"):  # SQLite makes it anew
            (folder / name).write_bytes(content)
    return violations(what, folder, said)


def _calls(tape: list[Call]) -> list[tuple[str, int]]:
    """(system call, which one of its kind) for every call on the folder."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for call in tape:
        if call.name != "said":
            seen[call.name] += 1
            found.append((call.name, seen[call.name]))
    return found


def injected(what: str, folder: Path, name: str, number: int, error: str) -> list[str]:
    """Run the program with one failing call. The machine lives on, so all it wrote is there."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    paths = [folder, *(folder / file for file in ("journal", "journal.new", "outbox.db", "outbox.db-wal"))]
    chosen = [argument for path in paths for argument in ("-P", str(path))]
    command = ["strace", "-f", "-o", "/dev/null", *chosen, "-e", f"trace={SYSCALLS[name]}"]
    command += ["-e", f"inject={SYSCALLS[name]}:{error}:when={number}"]
    answer = subprocess.run(
        [*command, *python("tests.power.workloads", what, str(folder))],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if answer.returncode not in {0, 1, -9, 137}:
        return [f"died of {answer.stderr.decode()[-300:]}"]
    return violations(what, folder, answer.stdout.splitlines())


if __name__ == "__main__":
    main()
