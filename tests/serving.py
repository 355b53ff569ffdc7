"""A service as a user starts it: `python -m zoo serve ...` in a process of its own.

with serving(folder, "--max_queue", 8) as service:
    requests.post(f"{service.url}/predict", json={"text": "fine"})
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from tests.cli import environment

READY = re.compile(r"ready after .*: (https?://[^\s{]+)")  # a line of the log may follow at once
NOT_READY = re.compile(r"not ready: (https?://\S+?):? ")


@dataclass
class Served:
    """A service that is ready, and what it has said."""

    process: "subprocess.Popen[str]"
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def workers(self) -> list[psutil.Process]:
        """The processes of its models, in the order in which they were started."""
        children = psutil.Process(self.process.pid).children()
        found = [one for one in children if "zoo.serve.worker" in " ".join(one.cmdline())]
        return sorted(found, key=lambda one: one.create_time())

    @property
    def log(self) -> str:
        """What it has written so far."""
        return "\n".join(self.lines)

    def end(self, signum: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Sends a signal; returns the exit code."""
        self.process.send_signal(signum)
        return self.process.wait(timeout)


@contextlib.contextmanager
def serving(
    *words: object,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    until: re.Pattern[str] = READY,
) -> Iterator[Served]:
    """A service on a free port, from its being ready (`until` it says so) to the end of the
    context."""
    command = [sys.executable, "-m", "zoo", "serve", *map(str, words), "--port", "0"]
    process = subprocess.Popen(
        command,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    served, ready = Served(process), threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            served.lines.append(line.rstrip("\n"))
            if found := until.match(line):
                served.url = found[1]
                ready.set()
        ready.set()  # it has ended

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        assert ready.wait(timeout) and served.url, served.log
        yield served
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        thread.join(5)
