"""What a program asked the kernel to do to a folder, and what a power cut may leave of it.

`record` runs a program under strace. `Disk` plays the calls back up to a cut: data that was not synced may be there, be
missing or be torn at a 512-byte sector; names that were not synced may be missing. File systems in the field keep more
than this model, never less.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

SECTOR: Final = 512
CALLS: Final = (
    "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat"
)
_LINE: Final = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+=\s+(-?\d+)(?:<((?:\\x..)*)>)?")
_FD: Final = re.compile(r"^(\d+)<((?:\\x..)*)>")
_TEXT: Final = re.compile(r'"((?:\\x..)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One finished system call on the folder, or a line that the program said on standard output."""

    name: str
    path: str
    data: bytes = b""
    number: int = 0  # offset, size, or open flags: 1 append, 2 truncate, 4 create
    other: str = ""


def record(command: Sequence[str], folder: Path, *, cwd: Path) -> list[Call]:
    """Run `command`; the calls under `folder` and what it said, in order. Raises: CalledProcessError, OSError."""
    tape = folder.with_name(folder.name + ".tape")
    subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-o", str(tape), *command],
        cwd=cwd,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    calls = [call for line in tape.read_text().splitlines() if (call := _parse(line, str(folder))) is not None]
    tape.unlink()
    return calls


def _parse(line: str, folder: str) -> Call | None:  # noqa: PLR0911, C901 - one call, one return
    found = _LINE.match(line)
    if found is None or int(found[3]) < 0:
        return None
    name, arguments = found[1], found[2]
    descriptor = _FD.match(arguments)
    texts = [_bytes(text) for text in _TEXT.findall(arguments)]
    if name == "write" and descriptor and descriptor[1] == "1":
        return Call("said", "", texts[0])
    if name == "openat":
        path = _bytes(found[4] or "").decode()
        flags = ("O_APPEND" in arguments) + 2 * ("O_TRUNC" in arguments) + 4 * ("O_CREAT" in arguments)
        return Call("open", path, number=flags) if path.startswith(folder) and flags else None
    path = _bytes(descriptor[2]).decode() if descriptor else ""
    if name in {"rename", "renameat", "renameat2"}:
        old, new = (text.decode() for text in texts)
        return Call("rename", old, other=new) if old.startswith(folder) else None
    if name in {"unlink", "unlinkat"}:
        path = texts[0].decode()
        return Call("unlink", path) if path.startswith(folder) else None
    if not path.startswith(folder):
        return None
    last = int(arguments.rpartition(",")[2]) if "," in arguments else 0
    match name:
        case "fsync" | "fdatasync":
            return Call("sync", path)
        case "ftruncate":
            return Call("truncate", path, number=last)
        case "pwrite64":
            return Call("pwrite", path, texts[0], last)
        case "write":
            return Call("write", path, texts[0])
        case _:
            raise ValueError(f"the tape does not know {name}")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    now: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data) or (size, None)
    position: int = 0


class Disk:
    """Play calls with `do`; `crash` says what may be found afterwards."""

    def __init__(self) -> None:
        self._durable: dict[str, _File] = {}
        self._names: dict[str, _File] = {}
        self._pending: list[tuple[str, str, _File | None]] = []
        self.said: list[bytes] = []

    def do(self, call: Call) -> None:
        match call.name:
            case "said":
                self.said += call.data.splitlines()
            case "open":
                self._open(call)
            case "write":
                file = self._names[call.path]
                self._write(file, file.position, call.data)
                file.position += len(call.data)
            case "pwrite":
                self._write(self._names[call.path], call.number, call.data)
            case "truncate":
                self._truncate(self._names[call.path], call.number)
            case "rename":
                self._pending.append(("rename", call.path + "\0" + call.other, None))
                self._names[call.other] = self._names.pop(call.path)
            case "unlink":
                self._pending.append(("unlink", call.path, None))
                self._names.pop(call.path, None)
            case "sync":
                self._sync(call.path)

    def _open(self, call: Call) -> None:
        file = self._names.get(call.path)
        if file is None:
            if not call.number & 4:
                return  # the folder itself
            file = self._names[call.path] = _File()
            self._pending.append(("create", call.path, file))
        if call.number & 2:
            self._truncate(file, 0)
        file.position = len(file.now) if call.number & 1 else 0

    @staticmethod
    def _write(file: _File, offset: int, data: bytes) -> None:
        _put(file.now, offset, data)
        file.pending.append((offset, data))

    @staticmethod
    def _truncate(file: _File, size: int) -> None:
        _put_size(file.now, size)
        file.pending.append((size, None))

    def _sync(self, path: str) -> None:
        file = self._names.get(path)
        if file is None:  # a folder: every name is durable
            self._settle_names(len(self._pending))
            return
        file.durable, file.pending = bytearray(file.now), []
        created = [at for at, (kind, _, made) in enumerate(self._pending) if kind == "create" and made is file]
        if created:  # a file system's journal keeps the order of names
            self._settle_names(created[-1] + 1)

    def _settle_names(self, count: int) -> None:
        _apply(self._durable, self._pending[:count])
        self._pending = self._pending[count:]

    def crash(self, rng: Random) -> dict[str, bytes]:
        """File name to content, one of the states that a power cut now may leave."""
        names = dict(self._durable)
        _apply(names, self._pending[: rng.choice([0, len(self._pending), rng.randint(0, len(self._pending))])])
        taste = rng.choice(["nothing", "everything", "some"])
        return {Path(path).name: bytes(_survived(file, taste, rng)) for path, file in names.items()}


def _apply(names: dict[str, _File], steps: Sequence[tuple[str, str, _File | None]]) -> None:
    for kind, path, file in steps:
        if kind == "create" and file is not None:
            names[path] = file
        elif kind == "unlink":
            names.pop(path, None)
        elif kind == "rename":
            old, new = path.split("\0")
            if old in names:
                names[new] = names.pop(old)


def _survived(file: _File, taste: str, rng: Random) -> bytearray:
    if taste == "everything":
        return file.now
    content = bytearray(file.durable)
    for at, data in file.pending if taste == "some" else ():
        if data is None:
            if rng.random() < 0.5:
                _put_size(content, at)
            continue
        for start in range(0, len(data), SECTOR):
            if rng.random() < 0.6:
                _put(content, at + start, data[start : start + SECTOR])
    return content


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _put_size(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def python(*arguments: str) -> list[str]:
    """This interpreter, without what would only blur the tape."""
    return [sys.executable, "-X", "faulthandler", "-m", *arguments]
