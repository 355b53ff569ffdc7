"""Ctrl-C, SIGTERM and a terminal that is closed as a wish that the loop grants at the end of a
step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """The signal that requested a stop; its `signum` is None until one arrives."""

    signum: int | None = None


class Stopped(Exception):
    """Training was stopped by a signal; its state is saved."""

    def __init__(self, signum: int, state: str) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.state = state


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Record the first SIGINT, SIGTERM or SIGHUP as a stop request; a second one has its usual
    effect.

    A signal that is ignored stays so: under nohup a run survives its terminal.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers
        return
    found = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    previous = {s: handler for s, handler in found.items() if handler != signal.SIG_IGN}

    def note(signum: int, frame: FrameType | None) -> None:
        request.signum = signum
        signal.signal(signum, previous[signal.Signals(signum)])

    for signum in previous:
        signal.signal(signum, note)
    try:
        yield request
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
