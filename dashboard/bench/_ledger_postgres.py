"""A PostgreSQL of the bench's own on a Unix socket, with every commit durable; none where it is not installed."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import psycopg

from dashboard.bench._ledger_stage import cpu_of
from dashboard.figures import CannotRun

_SETTINGS: Final = ("--auth=trust", "--encoding=UTF8", "--locale=C")


class Postgres:
    """One server; `cpu_s` counts all its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def new_database(self) -> str:
        name = f"bench{next(self._numbers)}"
        with psycopg.connect(_address(self._folder), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://cinnabar@/{name}?host={self._folder}"

    def cpu_s(self) -> float:
        """Of the server and every backend, living or ended."""
        main = int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return cpu_of(main) + sum(cpu_of(int(child)) for child in children)


def _made(command: list[str], home: Path, user: str | None) -> bytes:
    """What initdb said. When it is interrupted, its children have ended too: they write into a folder that goes away.

    Raises: CalledProcessError.
    """
    process = subprocess.Popen(  # noqa: S603 - ours
        command, cwd=home, user=user, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.read()  # until nobody of them holds its other end
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, said)
    return said


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres | None]:
    """The server while the block runs; None where there is no PostgreSQL."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    found = shutil.which("initdb")
    if not programs and found is None:
        yield None
        return
    bin_folder = programs[-1].parent if programs else Path(str(found)).resolve().parent
    home = folder / "postgresql"
    home.mkdir()
    folder.chmod(0o755)  # PostgreSQL refuses to run as root: its own user goes through it
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        account = pwd.getpwnam(user)
        os.chown(home, account.pw_uid, account.pw_gid)

    with (folder / "postgresql.log").open("ab") as log:
        make = [str(bin_folder / "initdb"), "-D", "data", "-U", "cinnabar", *_SETTINGS]
        log.write(_made(make, home, user))
        command = [str(bin_folder / "postgres"), "-D", "data", "-k", str(home), "-c", "listen_addresses="]
        process = subprocess.Popen(command, cwd=home, user=user, stdout=log, stderr=log)  # noqa: S603 - ours
        try:
            _await(home, process)
            yield Postgres(home)
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait()


def _await(home: Path, process: subprocess.Popen[bytes]) -> None:
    """Until it takes connections. Raises: CannotRun, when it ends."""
    pause = threading.Event()
    while process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(_address(home)):
            return
        pause.wait(0.05)
    raise CannotRun(f"PostgreSQL ended; its words are in {home.parent / 'postgresql.log'}")


def _address(home: Path) -> str:
    return f"host={home} user=cinnabar dbname=postgres"
