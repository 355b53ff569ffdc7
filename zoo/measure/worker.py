"""The process of one arm: `python -m zoo.measure.worker PARENT`, started by `zoo.measure.process`.

It loads its target, then sleeps on its standard input; a line of JSON asks for a block of calls, or
for what a function says in this process, and a line of JSON answers. What the target prints goes to
standard error. It ends with its parent.
"""

import ctypes
import dataclasses
import gc
import itertools
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pkgutil import resolve_name
from typing import IO, Any

from tasks.errors import UserError
from zoo.measure import usage

PR_SET_PDEATHSIG = 1  # prctl(2)
SETTLE_S = 0.01  # pools of threads spin for some milliseconds after the last operator, then sleep
OUT_OF_MEMORY = re.compile(
    r"out of memory|can.t allocate memory|cannot allocate memory|not enough memory|bad.alloc", re.I
)


def serve(parent: int, preloaded: bool = False) -> None:
    """Serve requests until standard input ends.

    Args:
        parent: id of the process whose end also ends this one.
        preloaded: whether this process is a fork of `zoo.measure.preloaded`.
    """
    _die_with(parent)
    requests, answers = _take_pipes()
    try:
        target, loaded = _load(json.loads(requests.readline()))
    except (Exception, SystemExit) as error:
        _answer(answers, {"failed": _explain(error, loading=True)})
        return
    _answer(answers, loaded | {"preloaded": preloaded})
    idle_since = time.process_time()
    for line in requests:
        idle_cpu = time.process_time() - idle_since
        asked = json.loads(line)
        try:
            if "function" in asked:
                ran = {"answer": resolve_name(asked["function"])(**asked["kwargs"])}
            else:
                ran = _run(target, **asked) | {"idle_cpu": idle_cpu}
        except (Exception, SystemExit) as error:
            _answer(answers, {"failed": _explain(error, loading=False)})
            return
        time.sleep(SETTLE_S)
        idle_since = time.process_time()
        _answer(answers, ran)


def _load(asked: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    begin = time.perf_counter()
    make = resolve_name(asked["target"])
    imported = time.perf_counter()
    target = make(**asked["kwargs"])
    loaded = time.perf_counter()
    if not callable(getattr(target, "call", target)):
        raise TypeError(f"{asked['target']} gave {type(target).__name__}, nothing to call")
    gc.collect()
    gc.freeze()  # what was loaded stays: a collection need not look at it again
    return target, {"import_seconds": imported - begin, "load_seconds": loaded - imported}


def _run(target: Any, samples: int, group: int, lead: int) -> dict[str, Any]:
    """Run a block: `lead` calls that only warm the caches, then samples of `group` calls each."""
    call = getattr(target, "call", target)
    synchronize = getattr(target, "synchronize", None)
    violations = getattr(target, "violations", None)
    for _ in range(lead):
        call()
    if synchronize is not None:
        synchronize()
    gc.disable()  # as timeit does: whom a collection hits is chance
    try:
        before = usage.read()
        nanoseconds = time_samples(call, synchronize, samples, group)
        used = before.until(usage.read())
    finally:
        gc.enable()
    return {
        "seconds": [taken / group / 1e9 for taken in nanoseconds],
        "usage": dataclasses.asdict(used),
        "violations": [str(said) for said in violations()] if violations is not None else [],
    }


def time_samples(
    call: Callable[[], object],
    synchronize: Callable[[], object] | None,
    samples: int,
    group: int = 1,
) -> list[int]:
    """Return the nanoseconds of each sample: `group` calls, and the wait for the device."""
    clock = time.perf_counter_ns
    taken = [0] * samples
    if group == 1 and synchronize is None:
        for i in range(samples):
            begin = clock()
            call()
            taken[i] = clock() - begin
        return taken
    for i in range(samples):
        begin = clock()
        for _ in itertools.repeat(None, group):
            call()
        if synchronize is not None:
            synchronize()
        taken[i] = clock() - begin
    return taken


def _explain(error: BaseException, loading: bool) -> dict[str, str]:
    """Return a failure's status and one-line reason; print its traceback to standard error."""
    traceback.print_exception(error)
    said = " ".join(str(error).split())
    reason = said if isinstance(error, UserError) else f"{type(error).__name__}: {said}"
    status = "error"
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which is not imported for this
        or OUT_OF_MEMORY.search(said)
    ):
        status = "oom"
    elif loading and isinstance(error, ImportError | UserError):
        status = "unavailable"
    return {"status": status, "reason": reason[:300]}


def _answer(answers: IO[bytes], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content).encode() + b"\n")
    answers.flush()


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Move the pipes to other descriptors: the target reads empty input and writes to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return requests, answers


def _die_with(parent: int) -> None:
    """On Linux make the kernel kill this process when the one that started it dies.

    On other systems the process ends when it next reads the pipe.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
