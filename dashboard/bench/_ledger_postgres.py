"""A PostgreSQL of the bench's own on a Unix socket, with every commit durable; none where it is not installed."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg

from dashboard.bench._ledger_stage import cpu_of


class Postgres:
    """One server; `cpu_s` counts all its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def new_database(self) -> str:
        name = f"bench{next(self._numbers)}"
        with psycopg.connect(f"host={self._folder} user=cinnabar dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://cinnabar@/{name}?host={self._folder}"

    def cpu_s(self) -> float:
        """Of the server and every backend, living or ended."""
        main = int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return cpu_of(main) + sum(cpu_of(int(child)) for child in children)


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

    def call(program: str, *arguments: str) -> None:
        with (folder / "postgresql.log").open("a") as log:
            command = [str(bin_folder / program), *arguments]
            subprocess.run(command, cwd=home, user=user, stdout=log, stderr=log, check=True)  # noqa: S603 - ours

    call("initdb", "-D", "data", "-U", "cinnabar", "--auth=trust", "--encoding=UTF8", "--locale=C")
    call("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", f"-k {home} -c listen_addresses=''", "start")
    try:
        yield Postgres(home)
    finally:
        call("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")
