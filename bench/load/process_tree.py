"""What a service costs: processor time and memory of a process and of all below it."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.measures import memory

EVERY_S = 1.0


@dataclass
class ProcessTree:
    """A process with its children, theirs, and so on, as they come and go."""

    pid: int
    _ended: float = 0.0
    """seconds of processor time of processes that have ended since"""
    _known: dict[tuple[int, float], float] = field(default_factory=dict)
    """seconds of processor time of each, by id and moment of its start"""

    def pids(self) -> list[int]:
        """Return the ids of all that live now, the first one first."""
        import psutil

        try:
            root = psutil.Process(self.pid)
            return [self.pid, *(each.pid for each in root.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def cpu(self) -> float:
        """Return the seconds of processor time since they began, user and system; of processes
        that have ended what was seen of them last."""
        import psutil

        found: dict[tuple[int, float], float] = {}
        for pid in self.pids():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process = psutil.Process(pid)
                times = process.cpu_times()
                found[pid, process.create_time()] = times.user + times.system
        self._ended += sum(
            seconds for process, seconds in self._known.items() if process not in found
        )
        self._known = found
        return self._ended + sum(found.values())

    def pss(self) -> int | None:
        """Return the proportional set size of all together in bytes; None where it can't be read:
        outside of Linux, or of other users."""
        total = 0
        for pid in self.pids():
            try:
                total += memory.read(Path(f"/proc/{pid}/smaps_rollup"))[1]
            except ValueError:  # it has ended, and is not waited for yet
                continue
            except (FileNotFoundError, ProcessLookupError):
                if not Path("/proc/self/smaps_rollup").exists():
                    return None
            except OSError:
                return None
        return total or None


@dataclass
class MemorySeen:
    """PSS in bytes; None where it can't be read."""

    first: int | None = None
    last: int | None = None
    peak: int | None = None

    def look(self, size: int | None) -> None:
        """Take in one reading."""
        if size is None:
            return
        self.first = self.first or size
        self.last, self.peak = size, max(size, self.peak or 0)


@contextlib.contextmanager
def watched_memory(tree: ProcessTree) -> Iterator[MemorySeen]:
    """Context manager that reads the memory of a tree every second from a thread."""
    seen, over = MemorySeen(), threading.Event()
    seen.look(tree.pss())

    def watch() -> None:
        while not over.wait(EVERY_S):
            seen.look(tree.pss())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.look(tree.pss())
