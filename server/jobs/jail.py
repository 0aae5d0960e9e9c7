"""What a sandboxed child gives up, before it reads one hostile byte. Best first; each step works without root.

1. Landlock (Linux 5.13+): read only Python, system libraries and our own code (so not the home with its keys), write
   nothing, open no TCP connection. 2. Its own empty network namespace. 3. rlimits: memory, open files, no core, no file
   growth. 4. A Python audit hook that refuses sockets, processes and writing, for systems without 1 and 2.
`apply` returns which of them hold, so that `cinnabar doctor` can say it.
"""

import ctypes
import os
import resource
import signal
import site
import struct
import sys
from pathlib import Path
from typing import Any, Final

MEMORY_BYTES: Final = 1_500 * 1024 * 1024
"""Address space of a child: a 40-megapixel page in colour, twice, and its libraries."""
OPEN_FILES: Final = 64

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_CLONE_NEWUSER: Final = 0x10000000
_SYS_CREATE_RULESET: Final = 444  # the same number on every architecture
_SYS_ADD_RULE: Final = 445
_SYS_RESTRICT_SELF: Final = 446
_FS_READ_FILE: Final = 1 << 2  # linux/landlock.h
_FS_READ_DIR: Final = 1 << 3
_FS_EXECUTE: Final = 1 << 0
_FS_ABI1: Final = (1 << 13) - 1
_NET_BIND_CONNECT: Final = 0b11
_O_PATH: Final = 0o10000000
_REFUSED: Final = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "os.kill", "shutil.")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def apply(*, memory_bytes: int = MEMORY_BYTES) -> list[str]:
    """Give everything up, for good; returns the names of the steps that this system supports."""
    held = []
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # never outlive the server
        if _leave_network(libc):
            held.append("network-namespace")
        if _landlock(libc):
            held.append("landlock")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux":  # macOS refuses to limit the address space
        _limit(resource.RLIMIT_AS, memory_bytes)
    sys.addaudithook(_refuse)
    return [*held, "rlimits", "audit-hook"]


class NotInTheSandbox(PermissionError):
    """Code in a child tried what a child may not do."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise NotInTheSandbox(event)
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING and arguments[0] != os.devnull:
        raise NotInTheSandbox("open for writing")


def _limit(which: int, value: int) -> None:
    _soft, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _leave_network(libc: ctypes.CDLL) -> bool:
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(libc.unshare(flags) == 0)


def _landlock(libc: ctypes.CDLL) -> bool:
    abi = libc.syscall(_SYS_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return False
    handled_fs = _FS_ABI1 | (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)  # refer, truncate
    handled_net = _NET_BIND_CONNECT if abi >= 4 else 0
    attributes = struct.pack("=QQ", handled_fs, handled_net)
    ruleset = libc.syscall(_SYS_CREATE_RULESET, attributes, len(attributes) if abi >= 4 else 8, 0)
    if ruleset < 0:
        return False
    _allow(libc, ruleset, Path(__file__).parents[2], _FS_READ_DIR)  # the import system lists it; its files stay closed
    for path in _readable():
        _allow(libc, ruleset, path, _FS_READ_FILE | _FS_READ_DIR | _FS_EXECUTE)
    _allow(libc, ruleset, Path(os.devnull), _FS_READ_FILE | (1 << 1))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = bool(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0) == 0)
    os.close(ruleset)
    return done


def _readable() -> list[Path]:
    """Python, the system's libraries and our packages; not the working folder, which may hold a home with keys."""
    ours = Path(__file__).parents[2]
    wanted = [sys.prefix, sys.base_prefix, sys.exec_prefix, *site.getsitepackages(), "/usr", "/lib", "/lib64"]
    wanted += ["/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/dev/urandom"]
    wanted += ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"]
    packages = [ours / name for name in ("server", "firmware_protocol", "dashboard")]
    return [path for path in [*map(Path, wanted), *packages, *_test_folders()] if path.exists()]


def _test_folders() -> list[Path]:
    """Folders on PYTHONPATH that were named one by one for this child."""
    return [Path(entry) for entry in os.environ.get("CINNABAR_SANDBOX_READ", "").split(os.pathsep) if entry]


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    descriptor = os.open(path, _O_PATH | os.O_CLOEXEC)
    allowed = access if path.is_dir() else access & ~_FS_READ_DIR
    libc.syscall(_SYS_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, descriptor), 0)
    os.close(descriptor)
