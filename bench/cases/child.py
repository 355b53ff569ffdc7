"""A function in a process of its own, by `zoo.measure`'s worker: it answers with JSON.

Its failures are those of an arm: `WorkerFailed`, with status oom, unavailable or error.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from zoo.measure import Arm
from zoo.measure.process import Worker

TARGET = "bench.cases.child:answer"


def call(
    function: str,
    kwargs: Mapping[str, Any],
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
) -> Any:
    """What `function` ("module:name") gives for `kwargs`, in a fresh process.

    Raises `WorkerFailed`.
    """
    with started(function, kwargs, threads, environ, timeout_s) as (_, finish):
        return finish()


def ask(function: str, arm: Arm, timeout_s: float, **more: Any) -> Any:
    """The same of what measures an arm by itself: `function(target, kwargs, **more)`."""
    kwargs = {"target": arm.target, "kwargs": dict(arm.kwargs), **more}
    return call(function, kwargs, arm.threads, timeout_s=timeout_s)


def load(
    target: str, kwargs: Mapping[str, Any]
) -> tuple[Any, Callable[[], Any], Callable[[], Any]]:
    """In the process: what an arm has loaded, its call, and what waits for the device."""
    made = resolve_name(target)(**kwargs)
    return made, getattr(made, "call", made), getattr(made, "synchronize", _nothing)


@contextmanager
def started(
    function: str,
    kwargs: Mapping[str, Any],
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
) -> Iterator[tuple[int, Callable[[], Any]]]:
    """The same, for who watches it: number of the process, and what waits for its answer."""
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        path = Path(folder) / "answer.json"
        given = {"function": function, "kwargs": dict(kwargs), "path": str(path)}
        arm = Arm(function, TARGET, given, threads, environ or {})
        with Worker(arm, timeout_s) as worker:

            def finish() -> Any:
                worker.ready()
                return json.loads(path.read_text())

            yield worker.pid, finish


def answer(function: str, kwargs: Mapping[str, Any], path: str) -> Callable[[], None]:
    """In the process: does the work as its target is loaded; there is nothing to call then."""
    found = resolve_name(function)(**kwargs)
    Path(path).write_text(json.dumps(found))
    return _nothing


def _nothing() -> None:
    """An answer is not timed."""
