"""What the tests time in processes of their own, and how those processes go wrong."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tasks.errors import UserError


def sleep(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def count(to: int) -> Callable[[], int]:
    return lambda: sum(range(to))


def speak(text: str) -> Callable[[], None]:
    """Writes to standard output in all ways there are, and reads an input that is empty."""
    print(text)
    os.system(f"echo {text} from a child")

    def call() -> None:
        sys.stdout.write(text + "\n")
        os.write(1, text.encode() + b"\n")
        assert sys.stdin.read() == ""

    return call


def environment(names: list[str]) -> Callable[[], None]:
    print({name: os.environ.get(name) for name in names})
    return lambda: None


def modules() -> Callable[[], None]:
    print(sorted(sys.modules))
    return lambda: None


class Device:
    """Work is handed in at once and done when one waits for it."""

    def __init__(self, seconds: float, waits: bool = True) -> None:
        self.seconds, self.queue, self.said = seconds, 0, ["a recompile"]
        if waits:
            self.synchronize = self._synchronize

    def call(self) -> None:
        self.queue += 1

    def _synchronize(self) -> None:
        time.sleep(self.seconds * self.queue)
        self.queue = 0

    def violations(self) -> list[str]:
        said, self.said = self.said, []
        return said


def refuse(how: str) -> Callable[[], None]:
    """Fails while it is loaded."""
    if how == "user":
        raise UserError("onnx: onnxruntime is not installed; pip install 'zoo[onnx]' would")
    if how == "import":
        raise ModuleNotFoundError("No module named 'openvino'", name="openvino")
    if how == "memory":
        raise MemoryError
    if how == "torch":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 TB")
    if how == "exit":
        sys.exit(3)
    if how == "end":
        print("something is wrong", flush=True)
        os._exit(3)
    raise ValueError("no such\nthing")


def fail_at(calls: int, how: str) -> Callable[[], None]:
    """Fails in a call."""
    made = 0

    def call() -> None:
        nonlocal made
        made += 1
        time.sleep(0.001)
        if made < calls:
            return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            time.sleep(1000)
        raise ImportError("too late to be unavailable")

    return call


def not_callable() -> int:
    return 3


def with_child() -> Callable[[], None]:
    """A child that keeps the pipe's numbers open, were it to inherit them."""
    if os.fork() == 0:
        time.sleep(1000)
        os._exit(0)
    return lambda: os._exit(1)


def _entries(name: str) -> int:
    """How many threads or open files this process has."""
    return sum(1 for _ in Path("/proc/self", name).iterdir())


def facts() -> dict[str, object]:
    """What the tests ask of a process."""
    import ctypes
    import mmap
    import random
    import threading

    large = mmap.mmap(-1, 64 << 20)  # as weights are: it fits into no gap
    numpy = sys.modules.get("numpy")
    return {
        "modules": sorted(sys.modules),
        "address": ctypes.addressof(ctypes.c_char.from_buffer(large)),
        "heap": ctypes.addressof(ctypes.create_string_buffer(4096)),
        "random": [random.random(), None if numpy is None else float(numpy.random.random())],
        "group": os.getpgid(0),
        "environment": os.environ.get("OMP_NUM_THREADS"),
        "threads": [threading.active_count(), _entries("task")],
        "open": _entries("fd") - 1,  # that of the folder
    }


def product() -> dict[str, object]:
    """A product of matrices, large enough for several threads, as torch computes it here."""
    import hashlib

    import torch

    torch.manual_seed(0)
    before = _entries("task")
    found = torch.randn(512, 512) @ torch.randn(512, 512)
    found = (found + torch.randn(512, 512)).relu().sum(0)
    return {
        "threads": torch.get_num_threads(),
        "before": before,
        "started": _entries("task") - before,
        "digest": hashlib.sha256(found.numpy().tobytes()).hexdigest(),
    }


def raise_error() -> None:
    raise RuntimeError("no answer")
