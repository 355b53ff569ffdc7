"""Forks of a preloaded process: they are what fresh processes are, but for their start."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.cli import ROOT
from tests.zoo.measure import targets
from zoo.measure.arms import Arm
from zoo.measure.preloaded import Preloader
from zoo.measure.process import Worker, WorkerFailed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
HERE = "tests.zoo.measure"


def arm(function: str, threads: int | None = None, **kwargs: object) -> Arm:
    return Arm(function, f"{targets.__name__}:{function}", kwargs, threads)


@pytest.fixture(scope="module")
def start() -> Iterator[Preloader]:
    with Preloader(("numpy", "wave", "no.such.module")) as made:
        yield made


def facts(start: Preloader, threads: int | None = None) -> dict[str, object]:
    with start(arm("sleep", threads, seconds=0.0)) as worker:
        assert worker.ready().preloaded
        found: dict[str, object] = worker.ask(f"{targets.__name__}:facts", {})
        assert found["group"] == worker.pid
    return found


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not psutil.pid_exists(pid)


def test_it_measures_as_a_fresh_process(start: Preloader) -> None:
    with start(arm("sleep", seconds=0.02)) as worker:
        ran = worker.run(5, lead=1)
        assert 0.02 <= min(ran.seconds) < 0.1 and ran.usage.cpu < ran.usage.wall / 2
    assert gone(worker.pid)


def test_it_has_imported_what_was_asked_and_all_else_is_its_own(start: Preloader) -> None:
    one, other = facts(start), facts(start)
    assert {"numpy", "wave"} <= set(one["modules"])  # type: ignore[arg-type]
    assert one["threads"] == [1, 1]
    assert one["open"] == 5, "its three, its pipes, and nothing of its siblings"
    for drawn in zip(one["random"], other["random"], strict=True):  # type: ignore[arg-type]
        assert drawn[0] != drawn[1]


def test_what_is_mapped_later_lies_elsewhere_in_every_fork(start: Preloader) -> None:
    found = [facts(start) for _ in range(4)]
    assert len({each["address"] for each in found}) > 1
    assert len({each["heap"] for each in found}) > 1


def test_each_number_of_threads_has_a_server(start: Preloader) -> None:
    assert [facts(start, threads)["environment"] for threads in (1, 3)] == ["1", "3"]


@pytest.mark.slow
def test_it_computes_with_its_threads_and_to_the_same_bits() -> None:
    """The pool of OpenMP is the child's own, as large as in a fresh process."""
    with Preloader(("torch",)) as start:
        for threads in (1, 2):
            found = []
            for make in (start, Worker):
                with make(arm("sleep", threads, seconds=0.0), 300.0) as worker:
                    assert worker.ready().preloaded == (make is start)
                    found.append(worker.ask(f"{targets.__name__}:product", {}))
            forked, fresh = found
            assert forked["threads"] == fresh["threads"] == threads
            assert forked["digest"] == fresh["digest"]
            assert forked["before"] == 1 and forked["started"] == threads - 1


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("threaded", "it has 2 threads"),
        ("cuda_touched", "CUDA was touched"),
        ("cuda_lost", "CUDA was touched"),
    ],
)
def test_what_may_not_be_forked_is_not(
    module: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that holds a lock would hold it for ever in the child; CUDA can't be used there."""
    with Preloader((f"{HERE}.{module}",)) as start, start(arm("sleep", seconds=0.0)) as worker:
        assert not worker.ready().preloaded
        assert worker.run(1).seconds[0] < 1
    assert caplog.messages == [f"processes begin with nothing, not as forks: {said}"]


@pytest.mark.parametrize("module", ["jemalloc_thread", "cuda_opened"])
def test_idle_threads_of_libraries_are_no_obstacle(module: str) -> None:
    with Preloader((f"{HERE}.{module}",)) as start, start(arm("sleep", seconds=0.0)) as worker:
        assert worker.ready().preloaded
        assert worker.run(1).seconds[0] < 1


def test_where_there_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.measure.preloaded.sys.platform", "darwin")
    with Preloader(()) as start, start(arm("sleep", seconds=0.0)) as worker:
        assert not worker.ready().preloaded


def test_imports_that_take_too_long_are_done_without(caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    with Preloader((f"{HERE}.slow",), lambda: 0.2) as own, own(arm("sleep", seconds=0.0)) as worker:
        assert not worker.ready().preloaded
    assert time.monotonic() - began < 100
    assert "longer than 0 s" in caplog.text


def test_a_server_that_has_died_is_done_without(start: Preloader) -> None:
    with Preloader(()) as own:
        with own(arm("sleep", seconds=1000.0)) as first:
            first.ready()
            (server,) = (psutil.Process(first.pid).parent(),)
            assert server is not None
            server.kill()
            with pytest.raises(WorkerFailed, match="SIGKILL"):
                first.run(1)
        with own(arm("sleep", seconds=0.0)) as worker:
            assert not worker.ready().preloaded and worker.run(1).seconds[0] < 1


def test_a_fork_that_the_system_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """A fresh process does it, and those that live go on."""
    with Preloader((f"{HERE}.no_fork",)) as own, own(arm("sleep", seconds=0.0)) as first:
        first.ready()
        with own(arm("sleep", seconds=0.0)) as second:
            assert not second.ready().preloaded
        assert first.ready().preloaded and first.run(1).seconds[0] < 1
    assert "Resource temporarily unavailable" in caplog.text


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("user", "unavailable", "onnx: onnxruntime is not installed"),
        ("memory", "oom", "MemoryError: "),
        ("exit", "error", "SystemExit: 3"),
        ("end", "error", "ended with exit code 3: something is wrong"),
    ],
)
def test_a_target_that_does_not_load(start: Preloader, how: str, status: str, reason: str) -> None:
    with start(arm("refuse", how=how)) as worker, pytest.raises(WorkerFailed) as error:
        worker.ready()
    failed = error.value.failed
    assert (failed.status, failed.reason.startswith(reason)) == (status, True), failed
    assert gone(worker.pid)


@pytest.mark.parametrize(("how", "reason"), [("kill", "SIGKILL"), ("hang", "no answer within")])
def test_a_target_that_fails_in_the_middle(start: Preloader, how: str, reason: str) -> None:
    with start(arm("fail_at", calls=20, how=how)) as worker:
        worker.ready()
        worker.timeout_s = 0.5 if how == "hang" else 60.0
        with pytest.raises(WorkerFailed, match=reason):
            worker.run(1000)
    assert gone(worker.pid)


def test_its_number_is_its_own_until_it_is_closed(start: Preloader) -> None:
    """Its group is killed by that number, which must not be another's by then."""
    with start(arm("sleep", seconds=0.0)) as worker:
        worker.ready()
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(0.2)
        assert psutil.Process(worker.pid).status() == psutil.STATUS_ZOMBIE
        with pytest.raises(WorkerFailed, match="SIGKILL"):
            worker.run(1)
    assert gone(worker.pid)


def test_its_children_end_with_it(start: Preloader) -> None:
    with start(arm("with_child")) as worker:
        worker.ready()
        [child] = psutil.Process(worker.pid).children()
    child.wait(10)


def test_what_a_function_says_in_the_process(start: Preloader) -> None:
    """Of a fresh one, too; one that fails takes the process with it."""
    for make in (start, Worker):
        with make(arm("sleep", seconds=0.0), 60.0) as worker:
            assert worker.ask("bench.cases.case:threads_of", {"asked": 3}) == 3
            with pytest.raises(WorkerFailed, match="RuntimeError: no answer"):
                worker.ask(f"{targets.__name__}:raise_error", {})
            assert worker.ended


@pytest.mark.parametrize("busy", [True, False])
def test_it_dies_with_the_one_that_asked_for_it(busy: bool) -> None:
    program = (
        "from zoo.measure.arms import Arm\n"
        "from zoo.measure.preloaded import Preloader\n"
        "start = Preloader(())\n"
        f"worker = start(Arm('a', '{targets.__name__}:sleep', {{'seconds': 1000.0}}))\n"
        "assert worker.ready().preloaded\n"
        "print(worker.pid, flush=True)\n"
        f"worker.run(1) if {busy} else input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        server = worker.parent()
        parent.kill()
    for process in (worker, server):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.wait(20)
