"""A function in a process of its own, by `zoo.measure`'s worker: it answers with JSON.

Its failures are those of an arm: `WorkerFailed`, with status oom, unavailable or error.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from zoo.measure import Arm
from zoo.measure.preloaded import Preloader
from zoo.measure.process import Worker

TARGET = "bench.cases.child:answer"
SHARED_TARGET = "bench.cases.child:shared"

Start = Callable[[Arm, float], Worker]
"""Starts the process of an arm: `Worker`, a fresh one, or a `Preloader`."""

PRELOADED = ("bench.cases.warm",)
"""Modules that the process imports from which others are forked."""


def preloader(patience: Callable[[], float] = lambda: math.inf) -> Preloader:
    """Return a preloader that forks processes with all modules of the bench imported; `patience`
    returns the seconds that these imports may take (`zoo.measure.preloaded.Preloader`)."""
    return Preloader(PRELOADED, patience)


def call(
    function: str,
    kwargs: Mapping[str, Any],
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    start: Start = Worker,
) -> Any:
    """Return `function(**kwargs)` ("module:name"), computed in a process that `start` starts; by
    default a fresh one.

    Raises `WorkerFailed`.
    """
    with started(function, kwargs, threads, environ, timeout_s, start) as (_, finish):
        return finish()


def ask(function: str, arm: Arm, timeout_s: float, start: Start = Worker, **more: Any) -> Any:
    """Return `function(target, kwargs, **more)` for an arm's target, computed in a process of its
    own.

    Raises `WorkerFailed`.
    """
    kwargs = {"target": arm.target, "kwargs": dict(arm.kwargs), **more}
    return call(function, kwargs, arm.threads, timeout_s=timeout_s, start=start)


class Shared:
    """A live process of an arm, in which measures that do not disturb each other run one after the
    other: the arm is loaded, compiled and warm for all of them. `close` ends it."""

    def __init__(self, arm: Arm, start: Start) -> None:
        self.arm, self.start = arm, start
        self._worker: Worker | None = None

    def ask(self, function: str, timeout_s: float, **more: Any) -> Any:
        """Return `function(target, kwargs, **more)`, computed in the shared process; a failure ends
        it.

        Raises `WorkerFailed`.
        """
        worker = self.worker(timeout_s)
        kwargs = {"target": self.arm.target, "kwargs": dict(self.arm.kwargs), **more}
        return worker.ask(function, kwargs)

    def worker(self, timeout_s: float) -> Worker:
        """Return the shared process, started if none is live. Do not close it."""
        if self._worker is None or self._worker.ended:
            kwargs = {"target": self.arm.target, "kwargs": dict(self.arm.kwargs)}
            made = Arm(self.arm.name, SHARED_TARGET, kwargs, self.arm.threads, self.arm.environ)
            self._worker = self.start(made, timeout_s)
        else:
            self._worker.timeout_s = timeout_s
        return self._worker

    def close(self) -> None:
        """End the process; do nothing if none is live."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


_LOADED: dict[str, Any] = {}
"""Of a shared process: its arm's target, by what it was made of."""


def shared(target: str, kwargs: Mapping[str, Any]) -> Any:
    """In a shared process: load the target, which `load` then returns to every measure."""
    _LOADED[_key(target, kwargs)] = made = resolve_name(target)(**kwargs)
    return made


def load(
    target: str, kwargs: Mapping[str, Any]
) -> tuple[Any, Callable[[], Any], Callable[[], Any]]:
    """In the process: return the loaded target, its call, and the wait for the device."""
    key = _key(target, kwargs)
    made = _LOADED[key] if key in _LOADED else resolve_name(target)(**kwargs)
    return made, getattr(made, "call", made), getattr(made, "synchronize", _nothing)


def _key(target: str, kwargs: Mapping[str, Any]) -> str:
    return json.dumps([target, kwargs], sort_keys=True)


@contextmanager
def started(
    function: str,
    kwargs: Mapping[str, Any],
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    start: Start = Worker,
) -> Iterator[tuple[int, Callable[[], Any]]]:
    """Start `function(**kwargs)` as `call` does, but do not wait: yield the id of the process, and
    a function that waits for the result."""
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        path = Path(folder) / "answer.json"
        given = {"function": function, "kwargs": dict(kwargs), "path": str(path)}
        arm = Arm(function, TARGET, given, threads, environ or {})
        with start(arm, timeout_s) as worker:

            def finish() -> Any:
                worker.ready()
                return json.loads(path.read_text())

            yield worker.pid, finish


def answer(function: str, kwargs: Mapping[str, Any], path: str) -> Callable[[], None]:
    """In the process: write what `function(**kwargs)` returns to `path`; return an empty call."""
    found = resolve_name(function)(**kwargs)
    Path(path).write_text(json.dumps(found))
    return _nothing


def _nothing() -> None:
    """Do nothing; the call of a process that only computes a result."""
