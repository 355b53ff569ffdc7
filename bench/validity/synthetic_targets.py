"""Targets of which the truth is known, for the harness to be measured with
(`bench.validity.selftest`)."""

import hashlib
import threading
import time
from collections.abc import Callable

MATRIX = 2048  # rows: a product keeps all of a large GPU busy
CALIBRATION = 1 << 22  # bytes hashed to find how fast that is


def sleep(seconds: float) -> Callable[[], None]:
    """A call that takes so long, and no processor."""
    return lambda: time.sleep(seconds)


def work(size: int) -> Callable[[], None]:
    """A call that hashes `size` bytes: 3% more of them take 3% longer."""
    content = memoryview(bytes(size))

    def call() -> None:
        hashlib.sha256(content)

    return call


def nothing() -> Callable[[], None]:
    """A call that does nothing: what is measured is the harness."""
    return lambda: None


def bytes_for(seconds: float) -> int:
    """Return about how many bytes `work` hashes in so many seconds on this machine."""
    content = bytes(CALIBRATION)
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        hashlib.sha256(content)
        taken.append(time.perf_counter() - begin)
    return int(CALIBRATION * seconds / min(taken))


class Products:
    """A call multiplies matrices on a GPU, one after the other; its clocks are up."""

    def __init__(self, count: int, device: str = "cuda") -> None:
        """`count` is how many products a call makes."""
        import torch

        from bench.measures import clocks

        self.matrix = torch.ones(MATRIX, MATRIX, device=device)
        self.count, self.device = count, torch.device(device)
        gpu = clocks.gpu_of(device)
        clocks.warm(self.call, self.synchronize, gpu.clock if gpu else None)

    def call(self) -> None:
        """Starts the products."""
        for _ in range(self.count):
            self.matrix @ self.matrix

    def synchronize(self) -> None:
        """Waits for the last one."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def products_for(seconds: float, device: str = "cuda") -> int:
    """How many products take so long on a GPU, about; in a process of its own."""
    made = Products(1, device)
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        made.call()
        made.synchronize()
        taken.append(time.perf_counter() - begin)
    return max(1, round(seconds / min(taken)))


class Device:
    """Work that runs on while `call` has returned, as on a GPU; a thread stands for the device."""

    def __init__(self, seconds: float, waits: bool) -> None:
        """`waits`: whether it has the `synchronize` that the stopwatch asks for."""
        self.seconds = seconds
        self.pending: threading.Thread | None = None
        if waits:
            self.synchronize = self._wait

    def call(self) -> None:
        """Starts the work, behind what was started before."""
        before = self.pending

        def run() -> None:
            if before is not None:
                before.join()
            time.sleep(self.seconds)

        self.pending = threading.Thread(target=run, daemon=True)
        self.pending.start()

    def _wait(self) -> None:
        if self.pending is not None:
            self.pending.join()


def allocation(size: int) -> Callable[[], None]:
    """A call that touches `size` bytes and frees them."""

    def call() -> None:
        import mmap

        with mmap.mmap(-1, size) as memory:
            for start in range(0, size, mmap.PAGESIZE):
                memory[start] = 1

    return call
