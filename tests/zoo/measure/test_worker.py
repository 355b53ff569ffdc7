"""An arm's real process: what it answers, what disturbs it, how it ends.

Times are of sleeps and have wide margins: the machine that runs this is busy with other tests.
"""

import ast
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.cli import ROOT
from tests.zoo.measure import targets
from zoo.measure.arms import Arm, ArmFailed
from zoo.measure.process import Worker, WorkerFailed
from zoo.measure.worker import time_samples

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's processes")


def arm(function: str, threads: int | None = None, **kwargs: object) -> Arm:
    return Arm(function, f"{targets.__name__}:{function}", kwargs, threads)


def failure(of: Arm, samples: int = 1, timeout_s: float = 60.0) -> ArmFailed:
    """How an arm fails; nothing is left of its process. Once loaded it has `timeout_s`."""
    with Worker(of) as worker:
        with pytest.raises(WorkerFailed) as error:
            worker.ready()
            worker.timeout_s = timeout_s
            worker.run(samples)
        assert not psutil.pid_exists(worker.pid), "a zombie"
    failed = error.value.failed
    assert failed.arm == of.name
    assert "\n" not in failed.reason
    return failed


def test_a_sleep_is_measured_right() -> None:
    with Worker(arm("sleep", seconds=0.02)) as worker:
        loaded = worker.ready()
        assert loaded.import_seconds > 0 <= loaded.load_seconds
        ran = worker.run(5, lead=1)
        grouped = worker.run(2, group=3)
    assert len(ran.seconds) == 5
    assert 0.02 <= min(ran.seconds) < 0.1
    assert (len(grouped.seconds), grouped.group) == (2, 3)
    assert 0.02 <= min(grouped.seconds) < 0.1, "a sample is the time of one call"
    assert sum(ran.seconds) <= ran.usage.wall
    assert ran.usage.cpu < ran.usage.wall / 2, "it slept"
    assert ran.violations == ()


def test_it_sleeps_between_its_blocks() -> None:
    with Worker(arm("count", to=100_000)) as worker:
        worker.run(1)
        time.sleep(0.5)
        ran = worker.run(20)
    assert ran.idle_cpu < 0.1
    assert ran.usage.cpu > sum(ran.seconds) / 10


def test_a_device_is_waited_for_in_the_time_of_a_sample() -> None:
    with Worker(arm("Device", seconds=0.02)) as worker:
        first, second = worker.run(3, lead=30), worker.run(3)
    assert min(first.seconds + second.seconds) >= 0.02
    assert first.seconds[0] < 0.4, "the calls before are no sample's"
    assert (first.violations, second.violations) == (("a recompile",), ())


def test_a_device_nobody_waits_for_is_as_fast_as_that_looks() -> None:
    with Worker(arm("Device", seconds=0.02, waits=False)) as worker:
        assert min(worker.run(3).seconds) < 0.01


def test_what_the_target_prints_disturbs_nothing() -> None:
    with Worker(arm("speak", text="[1]")) as worker:
        assert worker.run(2).seconds[0] < 1
        assert worker.log().count("[1]") == 1 + 1 + 2 * 2


def test_threads_are_set_and_wait_as_they_do_for_users() -> None:
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY"]
    with Worker(arm("environment", threads=3, names=names)) as worker:
        worker.ready()
        assert ast.literal_eval(worker.log()) == dict(zip(names, ["3", "3", None], strict=True))


def test_its_process_is_clean() -> None:
    with Worker(arm("modules")) as worker:
        worker.ready()
        modules = set(ast.literal_eval(worker.log()))
    assert not modules & {"torch", "numpy", "scipy", "psutil", "zoo.measure.process"}


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        (
            "user",
            "unavailable",
            "onnx: onnxruntime is not installed; pip install 'zoo[onnx]' would",
        ),
        ("import", "unavailable", "ModuleNotFoundError: No module named 'openvino'"),
        ("memory", "oom", "MemoryError: "),
        ("torch", "oom", "RuntimeError: DefaultCPUAllocator: can't allocate memory"),
        ("exit", "error", "SystemExit: 3"),
        ("end", "error", "ended with exit code 3: something is wrong"),
        ("value", "error", "ValueError: no such thing"),
    ],
)
def test_a_target_that_does_not_load(how: str, status: str, reason: str) -> None:
    failed = failure(arm("refuse", how=how))
    assert failed.status == status
    assert failed.reason.startswith(reason)


def test_a_target_that_is_not_there() -> None:
    assert failure(Arm("a", "tests.zoo.measure.nowhere:a")).status == "unavailable"
    assert "AttributeError" in failure(arm("nothing")).reason
    assert "TypeError: unexpected" not in failure(arm("sleep", minutes=1)).reason
    assert failure(arm("not_callable")).reason.endswith("gave int, nothing to call")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "ImportError: too late to be unavailable"),
        ("kill", "killed by SIGKILL"),
        ("hang", "no answer within 0.5 s"),
    ],
)
def test_a_target_that_fails_in_the_middle_of_a_block(how: str, reason: str) -> None:
    failed = failure(arm("fail_at", calls=20, how=how), 1000, 0.5 if how == "hang" else 60.0)
    assert (failed.status, failed.reason) == ("error", reason)


@LINUX
def test_killed_from_outside_while_it_computes() -> None:
    with Worker(arm("sleep", seconds=0.01)) as worker:
        worker.ready()
        killer = threading.Timer(0.3, os.kill, (worker.pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(WorkerFailed, match="killed by SIGKILL"):
            worker.run(100_000)
        with pytest.raises(WorkerFailed):  # and it stays so
            worker.run(1)


def test_memory_that_the_kernel_takes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGKILL while the kernel counts one more process killed for memory."""
    counts = iter([4, 5])
    monkeypatch.setattr("zoo.measure.process._killed_for_memory", lambda: next(counts))
    failed = failure(arm("fail_at", calls=2, how="kill"), 10)
    assert failed.status == "oom"


@LINUX
def test_its_children_end_with_it_and_hold_up_nobody() -> None:
    worker = Worker(arm("with_child"))
    with worker:
        worker.ready()
        [child] = psutil.Process(worker.pid).children()
        with pytest.raises(WorkerFailed, match="exit code 1"):
            worker.run(1)
    child.wait(10)


def test_closing_ends_it_at_once() -> None:
    worker = Worker(arm("sleep", seconds=1000.0))
    worker.ready()
    worker.close()
    worker.close()
    assert not psutil.pid_exists(worker.pid)


@LINUX
@pytest.mark.parametrize("busy", [True, False])
def test_it_dies_with_its_parent(busy: bool) -> None:
    """A parent that is killed cannot end anything: the kernel does, also in the midst of a call."""
    program = (
        "from zoo.measure.arms import Arm\n"
        "from zoo.measure.process import Worker\n"
        f"worker = Worker(Arm('a', '{targets.__name__}:sleep', {{'seconds': 1000.0}}))\n"
        "worker.ready()\n"
        "print(worker.pid, flush=True)\n"
        f"worker.run(1) if {busy} else input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        assert worker.is_running()
        parent.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        worker.wait(20)


def test_the_loop_itself_costs_next_to_nothing() -> None:
    """Its own share of a sample, as the fastest of many: below 1% of a call of 5 ms."""
    assert min(time_samples(lambda: None, None, 1000)) < 50_000
    assert min(time_samples(lambda: None, lambda: None, 1000, group=3)) < 50_000
