"""Threads with the names that libraries give theirs, started as a module is imported."""

import ctypes
import sys
import threading
import types
from collections.abc import Callable

SET_NAME = 15  # prctl(PR_SET_NAME)


def start(name: str) -> None:
    """Starts a thread of this name, and waits until it has it."""
    named = threading.Event()

    def wait() -> None:
        ctypes.CDLL(None).prctl(SET_NAME, name.encode())
        named.set()
        threading.Event().wait()

    threading.Thread(target=wait, daemon=True).start()
    named.wait()


def fake_torch(init: Callable[[], None]) -> None:
    """Puts a torch in place that was built for CUDA and opens it by `init`."""
    torch = types.ModuleType("torch")
    torch.version = types.SimpleNamespace(cuda="13.0")  # type: ignore[attr-defined]
    torch.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        _is_in_bad_fork=lambda: False, init=init, synchronize=lambda: None
    )
    sys.modules["torch"] = torch
