"""Processor time of the processes of a bench, as the system counts it: other load on the machine does not matter."""

import os
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def processor_s(pid: int) -> float:
    """User and system time of all threads of `pid` since it began, in seconds, to 10 ms (proc(5), /proc/PID/stat).

    0.0 where the system does not tell (not Linux), and for a process that is gone.
    """
    try:
        after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def name_of(pid: int) -> str:
    """As the process calls itself, "" when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""
