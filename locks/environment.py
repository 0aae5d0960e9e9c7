"""Make `.venv` from a lock file: `python3 -I locks/environment.py ROOT runtime|dev`; the wrapper `cinnabar` runs it.

Standard library only, Python 3.9 or newer (what macOS brings). Everything is said on stderr. Exit 0 when `.venv` holds
exactly the locked packages, 2 with one sentence when it cannot be made. Two concurrent runs wait for each other; an
environment whose making was interrupted is thrown away and made again.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST_UV = (0, 5, 0)
"""Older uv reads the lock files' universal markers differently."""
OLDEST_PYTHON = (3, 11)
"""`requires-python` of pyproject.toml."""
SYSTEM_PACKAGES = {
    "runtime": {"libzbar0": ("libzbar.so.0", "reads QR codes a second way")},
    "dev": {
        "libzbar0": ("libzbar.so.0", "reads QR codes a second way"),
        "chromium": ("chromium", "browser tests"),
        "libatomic1": ("libatomic.so.1", "runs the driver of the browser tests"),
        "mosquitto": ("mosquitto", "broker tests"),
        "postgresql": ("postgres", "database tests"),
        "poppler-utils": ("pdfsig", "checks sealed PDFs"),
        "strace": ("strace", "lets every write fail once"),
        "openssl": ("openssl", "checks certificates"),
        "libnss3-tools": ("certutil", "lets pdfsig and Chromium trust a test root"),
    },
}
"""Debian package -> (program or shared library that shows it is there, what it is for)."""
PROGRAM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/sbin"


class CannotSetUp(Exception):
    """The environment cannot be made; the message is the one sentence that says what to do."""


def say(message: str) -> None:
    print("cinnabar: " + message, file=sys.stderr, flush=True)


def main(root: Path, lock_name: str) -> None:
    environment = root / ".venv"
    if lock_name == "runtime" and (environment / "dev.lock").exists():
        lock_name = "dev"  # a developer's environment stays one when the locks change
    state = root / ".cinnabar"
    state.mkdir(exist_ok=True)
    with only_one(state / "environment.lock"):
        lock = root / "locks" / (lock_name + ".txt")
        stamp = environment / (lock_name + ".lock")
        if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
            return  # another run made it while this one waited
        say(f"setting up .venv from locks/{lock_name}.txt, once")
        sync(uv_command(state, root / "locks" / "uv.txt"), environment, lock)
        install_system_packages(lock_name)
        shutil.copyfile(lock, stamp)


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the operating system drops it when the process dies."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another run is setting up .venv, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sync(uv: list[str], environment: Path, lock: Path) -> None:
    """Bring `environment` to exactly what `lock` names, hashes checked."""
    half_made = environment / "half-made"
    if half_made.exists() or not runs([str(environment / "bin" / "python"), "-I", "-c", "import sys"]):
        shutil.rmtree(environment, ignore_errors=True)
        run(
            [*uv, "venv", "--quiet", "--python", python_for_uv(), str(environment)],
            "make .venv with Python 3.11 or newer",
        )
    half_made.touch()
    for stamp in environment.glob("*.lock"):
        stamp.unlink()
    python = str(environment / "bin" / "python")
    run(
        # Compiled now, once: a jailed worker may not write, and some systems forbid Python to (twice the start).
        [*uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, str(lock)],
        "install the packages of " + lock.name,
    )
    half_made.unlink()


def python_for_uv() -> str:
    """This interpreter when it is new enough, else whatever uv can find or fetch."""
    return sys.executable if sys.version_info[:2] >= OLDEST_PYTHON else ">=3.11"


def uv_command(state: Path, uv_lock: Path) -> list[str]:
    """The first uv that works: on PATH, fetched before, by pip, by a venv, by Debian's python3-venv."""
    private = state / "uv"
    for candidate in (["uv"], [str(private / "bin" / "uv")]):
        if acceptable(candidate):
            return candidate
    shutil.rmtree(private, ignore_errors=True)
    for fetch in (by_pip, by_venv, by_debian_venv):
        if fetch(private, uv_lock) and acceptable([str(private / "bin" / "uv")]):
            return [str(private / "bin" / "uv")]
        shutil.rmtree(private, ignore_errors=True)
    raise CannotSetUp(
        "no way to get uv: install pip for python3 (Debian: apt-get install python3-venv) or uv itself, see that the "
        "package index can be reached, and run the same command again."
    )


def acceptable(uv: list[str]) -> bool:
    try:
        answer = subprocess.run([*uv, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", answer.stdout)
    return found is not None and tuple(int(part) for part in found.groups()) >= OLDEST_UV


def by_pip(private: Path, uv_lock: Path) -> bool:
    return runs([sys.executable, "-m", "pip", *pip_install(uv_lock), "--target", str(private)])


def by_venv(private: Path, uv_lock: Path) -> bool:
    return runs([sys.executable, "-m", "venv", str(private)]) and runs(
        [str(private / "bin" / "python"), "-m", "pip", *pip_install(uv_lock)]
    )


def by_debian_venv(private: Path, uv_lock: Path) -> bool:
    return apt_install(["python3-venv"]) and by_venv(private, uv_lock)


def pip_install(uv_lock: Path) -> list[str]:
    return ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(uv_lock)]


def install_system_packages(lock_name: str) -> None:
    """Install what is missing when that is allowed, else name it in one sentence; nothing here is fatal."""
    missing = {name: use for name, (sign, use) in SYSTEM_PACKAGES[lock_name].items() if not present(sign)}
    if missing and not apt_install(sorted(missing)):
        wanted = ", ".join(f"{name} ({use})" for name, use in sorted(missing.items()))
        say("these system packages are missing and need an administrator to install them: " + wanted + ".")


def present(sign: str) -> bool:
    if ".so" in sign:
        folders = [Path(folder) for folder in ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib", "/lib")]
        stem = sign.partition(".so")[0]
        return any(
            next(folder.glob(pattern), None) for folder in folders for pattern in (sign, "*/" + sign, stem + "*.dylib")
        )
    if sign == "postgres" and any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return True
    return shutil.which(sign, path=os.environ.get("PATH", "") + ":" + PROGRAM_FOLDERS) is not None


def apt_install(packages: list[str]) -> bool:
    """True when this is root on a Debian-like system and the packages went in."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    say("installing with apt: " + " ".join(packages))
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return runs(install) or (runs(["apt-get", "update", "-qq"]) and runs(install))


def runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str], purpose: str) -> None:
    """Raises: CannotSetUp with the tool's own last words."""
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if answer.returncode != 0:
        raise CannotSetUp(f"could not {purpose}: {answer.stderr.strip()}")


def share_index_settings() -> None:
    """Settings that pip and uv name differently; whoever set one means both."""
    for one, other in (
        ("PIP_INDEX_URL", "UV_INDEX_URL"),
        ("PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        for source, target in ((one, other), (other, one)):
            if source in os.environ:
                os.environ.setdefault(target, os.environ[source])


if __name__ == "__main__":
    try:
        share_index_settings()
        main(Path(sys.argv[1]), sys.argv[2])
    except CannotSetUp as refusal:
        say(str(refusal))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
