"""A child answers plain values, cannot reach anything, and its death is only an error."""

import io
import math
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import segno

from server.jobs.plain import Codec, NotPlain
from server.jobs.sandbox import Lane, WorkerCrashed, WorkerFailed, Workers, WorkerTimeout

FUNCTIONS = Path(__file__).parent / "functions"
sys.path.insert(0, str(FUNCTIONS))

import sandboxed  # noqa: E402 - found through the line above, as the child finds it through its PYTHONPATH


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    os.environ["CINNABAR_KEY_PASSPHRASE"] = "canary"
    workers = Workers(functions=["sandboxed"], values=[], readable=[FUNCTIONS])
    yield workers
    workers.close()
    del os.environ["CINNABAR_KEY_PASSPHRASE"]


def test_plain_values_go_and_come_back(workers: Workers) -> None:
    page = sandboxed.Page(number=1, words=("a", "é"), colour=sandboxed.Colour.RED)
    after = workers.call(sandboxed.next_page, page, timeout_s=20)
    assert after == sandboxed.Page(number=2, words=("a", "é", "next"), colour=sandboxed.Colour.RED)


def test_large_values_do_not_block_the_pipe(workers: Workers) -> None:
    data = bytes(5_000_000)
    assert workers.call(sandboxed.echo, data, timeout_s=20) == data


def test_a_child_stays_warm_and_lanes_are_apart(workers: Workers) -> None:
    first = workers.call(sandboxed.process_id, timeout_s=20)
    assert workers.call(sandboxed.process_id, timeout_s=20) == first
    assert workers.call(sandboxed.process_id, timeout_s=20, lane=Lane.BACKGROUND) != first


def test_its_own_errors_arrive_as_themselves(workers: Workers) -> None:
    with pytest.raises(sandboxed.PageBlank) as blank:
        workers.call(sandboxed.blank, 3, timeout_s=20)
    assert blank.value.number == 3
    with pytest.raises(WorkerFailed) as failed:
        workers.call(sandboxed.divide, timeout_s=20)
    assert failed.value.facts["kind"] == "ZeroDivisionError"


def test_a_late_child_is_killed_and_replaced(workers: Workers) -> None:
    before = workers.call(sandboxed.process_id, timeout_s=20)
    with pytest.raises(WorkerTimeout):
        workers.call(sandboxed.spin, timeout_s=0.2)
    assert workers.call(sandboxed.process_id, timeout_s=20) != before


def test_a_child_that_dies_is_an_error_and_is_replaced(workers: Workers) -> None:
    with pytest.raises(WorkerCrashed) as crashed:
        workers.call(sandboxed.die, timeout_s=20)
    assert crashed.value.facts["exit_code"] == 7
    assert workers.call(sandboxed.echo, 1, timeout_s=20) == 1


def test_what_a_library_prints_does_not_disturb_the_answers(workers: Workers) -> None:
    assert workers.call(sandboxed.print_much, timeout_s=20) == "done"


def test_memory_is_limited(workers: Workers) -> None:
    with pytest.raises(WorkerFailed) as failed:
        workers.call(sandboxed.eat_memory, timeout_s=20)
    assert failed.value.facts["kind"] == "MemoryError"


def test_a_child_sees_no_secret_of_ours(workers: Workers) -> None:
    assert "canary" not in str(workers.call(sandboxed.environment, timeout_s=20))
    assert workers.call(sandboxed.loaded, timeout_s=20) == []


def test_a_child_cannot_read_the_home(workers: Workers, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("canary")
    if "landlock" not in workers.warm():
        pytest.skip("this kernel has no Landlock: only the audit hook stands in the way")
    for path in (str(secret), "/etc/passwd", f"/proc/{os.getpid()}/environ", str(FUNCTIONS.parents[3] / "README.md")):
        with pytest.raises(WorkerFailed) as failed:
            workers.call(sandboxed.read_file, path, timeout_s=20)
        assert failed.value.facts["kind"] == "PermissionError", path
    assert workers.call(sandboxed.read_file_raw, str(secret), timeout_s=20) == b""


def test_a_child_cannot_write(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed) as failed:
        workers.call(sandboxed.write_file, str(tmp_path / "x"), timeout_s=20)
    assert failed.value.facts["kind"] in {"NotInTheSandbox", "PermissionError"}
    if "landlock" in workers.warm():
        assert not workers.call(sandboxed.write_file_raw, str(tmp_path / "x"), timeout_s=20)
    assert list(tmp_path.iterdir()) == []


def test_a_child_cannot_connect(workers: Workers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(WorkerFailed) as failed:
            workers.call(sandboxed.connect, port, timeout_s=20)
        assert failed.value.facts["kind"] == "NotInTheSandbox"
        if set(workers.warm()) & {"landlock", "network-namespace"}:
            assert workers.call(sandboxed.connect_raw, port, timeout_s=20) != 0


def test_a_child_cannot_start_a_process(workers: Workers) -> None:
    with pytest.raises(WorkerFailed):
        workers.call(sandboxed.start_process, timeout_s=20)


def test_the_libraries_work_inside(workers: Workers) -> None:
    picture = io.BytesIO()
    segno.make("HTTPS://SEAL.EXAMPLE/V/ABC").save(picture, kind="png", scale=8, border=4)
    found = workers.call(sandboxed.use_the_libraries, picture.getvalue(), timeout_s=60)
    assert found["zxing"] == "HTTPS://SEAL.EXAMPLE/V/ABC"
    assert found["zbar"] == b"HTTPS://SEAL.EXAMPLE/V/ABC"
    assert found["page"] == [100, 100]


def test_only_functions_of_listed_modules_run(workers: Workers) -> None:
    for path in ("os:system", "sandboxed:os.system", "server.core.ids:new_id"):
        with pytest.raises((NotPlain, WorkerFailed)):
            workers.call(path, "true", timeout_s=20)
    with pytest.raises(NotPlain):
        workers.call(math.sqrt, 2, timeout_s=20)


def test_the_codec_keeps_types_and_refuses_the_rest() -> None:
    codec = Codec(["sandboxed"])
    values = [None, True, 1, 2.5, "x", b"y", [1, (2, 3)], {"a": {1, 2}}, {3: frozenset({4})}, {("k", 1): []}]
    assert codec.loads(codec.dumps(values)) == values
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(codec.loads(codec.dumps(array)), array)
    assert codec.loads(codec.dumps(np.float64(1.5))) == 1.5
    for refused in (object(), lambda: None, np.array([object()]), Codec, ValueError("x")):
        with pytest.raises(NotPlain):
            codec.dumps(refused)


def test_hostile_answers_resolve_to_nothing_that_runs() -> None:
    import cbor2

    codec = Codec(["sandboxed"])
    for hostile in (
        ["class", "os:system", ["dict", []]],
        ["class", "sandboxed:die", ["dict", []]],
        ["class", "sandboxed:subprocess.Popen", ["dict", []]],
        ["error", "builtins:SystemExit", ["list", [["list", []], ["dict", []]]]],
        ["enum", "sandboxed:Page", 1],
        ["array", "|O", [1], bytes(8)],
        ["nonsense"],
    ):
        with pytest.raises(NotPlain):
            codec.loads(cbor2.dumps(hostile))
    with pytest.raises(NotPlain):
        codec.loads(b"\xff")
