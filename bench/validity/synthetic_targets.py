"""Targets of which the truth is known, for the harness to be measured with
(`bench.validity.selftest`)."""

import hashlib
import threading
import time
from collections.abc import Callable

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
    """How many bytes `work` hashes in so long on this machine, about."""
    content = bytes(CALIBRATION)
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        hashlib.sha256(content)
        taken.append(time.perf_counter() - begin)
    return int(CALIBRATION * seconds / min(taken))


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
