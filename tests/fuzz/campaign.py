"""`python -m tests.fuzz.campaign NAME RUNS CORPUS SEED`: one parser under atheris; exit 0 when nothing got through."""

import atexit
import signal
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["firmware_protocol", "device_sim", "server"]):
    from tests.fuzz.parsers import seeds, try_one


def main(name: str, runs: str, corpus: Path, seed: str) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    known = seeds(name)
    for number, valid in enumerate(known):
        (corpus / f"seed-{number}").write_bytes(valid)
    options = [
        sys.argv[0],
        f"-atheris_runs={runs}",
        f"-seed={seed}",
        f"-max_len={max(600, *(len(valid) + 100 for valid in known))}",
        "-verbosity=0",
        "-rss_limit_mb=1024",
        "-timeout=60",  # seconds on the wall: on a busy machine a parser may wait that long for its turn
    ]
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0.0)  # libFuzzer's clock must not ring in a dying interpreter
    atheris.Setup([*options, f"-artifact_prefix={corpus}/crash-", str(corpus)], lambda data: try_one(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
