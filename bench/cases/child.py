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
    """What starts processes that have imported all that; see there for `patience`."""
    return Preloader(PRELOADED, patience)


def call(
    function: str,
    kwargs: Mapping[str, Any],
    threads: int | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 600.0,
    start: Start = Worker,
) -> Any:
    """What `function` ("module:name") gives for `kwargs`, in a process of its own: a fresh one, if
    `start` does not say otherwise.

    Raises `WorkerFailed`.
    """
    with started(function, kwargs, threads, environ, timeout_s, start) as (_, finish):
        return finish()


def ask(function: str, arm: Arm, timeout_s: float, start: Start = Worker, **more: Any) -> Any:
    """The same of what measures an arm by itself: `function(target, kwargs, **more)`."""
    kwargs = {"target": arm.target, "kwargs": dict(arm.kwargs), **more}
    return call(function, kwargs, arm.threads, timeout_s=timeout_s, start=start)


class Shared:
    """A live process of an arm, in which measures that do not disturb each other run one after the
    other: the arm is loaded, compiled and warm for all of them. Ended by `close`."""

    def __init__(self, arm: Arm, start: Start) -> None:
        self.arm, self.start = arm, start
        self._worker: Worker | None = None

    def ask(self, function: str, timeout_s: float, **more: Any) -> Any:
        """As the function `ask`; one that fails takes the process with it."""
        worker = self.worker(timeout_s)
        kwargs = {"target": self.arm.target, "kwargs": dict(self.arm.kwargs), **more}
        return worker.ask(function, kwargs)

    def worker(self, timeout_s: float) -> Worker:
        """The process, started where there is none that can go on. Do not close it."""
        if self._worker is None or self._worker.ended:
            kwargs = {"target": self.arm.target, "kwargs": dict(self.arm.kwargs)}
            made = Arm(self.arm.name, SHARED_TARGET, kwargs, self.arm.threads, self.arm.environ)
            self._worker = self.start(made, timeout_s)
        else:
            self._worker.timeout_s = timeout_s
        return self._worker

    def close(self) -> None:
        """End the process; does nothing where there is none."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


_LOADED: dict[str, Any] = {}
"""Of a shared process: its arm's target, by what it was made of."""


def shared(target: str, kwargs: Mapping[str, Any]) -> Any:
    """In a shared process: loads what `load` gives to every measure then."""
    _LOADED[_key(target, kwargs)] = made = resolve_name(target)(**kwargs)
    return made


def load(
    target: str, kwargs: Mapping[str, Any]
) -> tuple[Any, Callable[[], Any], Callable[[], Any]]:
    """In the process: what an arm has loaded, its call, and what waits for the device."""
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
    """The same as `call`, for who watches it: number of the process, and what waits for its
    answer."""
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
    """In the process: does the work as its target is loaded; there is nothing to call then."""
    found = resolve_name(function)(**kwargs)
    Path(path).write_text(json.dumps(found))
    return _nothing


def _nothing() -> None:
    """An answer is not timed."""
