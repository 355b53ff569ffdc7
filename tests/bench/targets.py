"""What the tests of the harness measure in processes of their own."""

import time
from collections.abc import Callable, Iterator

import numpy as np


def touch(size: int) -> Callable[[], None]:
    """A call touches so many bytes and frees them at once."""

    def call() -> None:
        np.ones(size, np.uint8)

    return call


def keep(size: int) -> Callable[[], int]:
    """Loading takes so many bytes and keeps them."""
    held = np.ones(size, np.uint8)
    return lambda: held[0]


def sleep(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def slow_first(seconds: float) -> Callable[[], None]:
    """Loading takes so long, the first call twice that, others a tenth."""
    time.sleep(seconds)
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        time.sleep(2 * seconds if calls == 1 else seconds / 10)

    return call


def refuse() -> Callable[[], None]:
    from tasks.errors import UserError

    raise UserError("openvino is not installed")


class Compiled:
    """A function that breaks the graph once, and in its second call compiles anew."""

    def __init__(self) -> None:
        import torch

        from bench.cases.targets import Violations

        def function(x):
            x = x + 1
            torch._dynamo.graph_break()
            return x * 2

        self.program = torch.compile(function, backend="eager", dynamic=False)
        self.sizes = iter((2, 3))
        self.torch = torch
        self.violations = Violations()

    def call(self) -> None:
        self.program(self.torch.zeros(next(self.sizes)))


def answer(value: int) -> dict[str, int]:
    print("what is printed is no answer")
    return {"value": value}


def fail(how: str) -> None:
    if how == "memory":
        raise MemoryError
    raise RuntimeError(how)


class Products:
    """A call multiplies two matrices."""

    def __init__(self, size: int, device: str) -> None:
        import torch

        self.matrix = torch.ones(size, size, device=device)
        if device.startswith("cuda"):
            self.synchronize = torch.cuda.synchronize

    def call(self) -> None:
        self.matrix @ self.matrix


class Writer:
    """Writes a text: its first token takes twice as long as the others."""

    rows, prompt_tokens = 4, 20

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def cache_bytes(self) -> int:
        return 320

    def stream(self) -> Iterator[int]:
        time.sleep(2 * self.seconds)
        yield 0
        for token in range(1, 5):
            time.sleep(self.seconds)
            yield token

    def call(self) -> None:
        list(self.stream())


class Counted:
    """Counts how often it was made in its process."""

    loads = 0

    def __init__(self) -> None:
        Counted.loads += 1

    def call(self) -> None:
        time.sleep(0.001)


def loads(target: str, kwargs: dict[str, object], more: int) -> dict[str, int]:
    """As a measure asks it in the process of a case."""
    import os

    from bench.cases import child

    made, *_ = child.load(target, kwargs)
    if more < 0:
        raise RuntimeError("too much")
    return {"loads": made.loads, "pid": os.getpid()}
