"""What a process and the machine around it did: counters, read before and after a block."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # resolution of /proc/stat, seconds
# Above this share of a block's time its times are not believed: it is measured again.
MAX_WAITED = 0.05  # its threads were ready to run and had no core
MAX_FOREIGN = 0.25  # cores that were busy with others


@dataclass(frozen=True)
class Usage:
    """The use of the machine between two readings of its counters."""

    wall: float
    """seconds"""
    cpu: float
    """seconds of all threads of the process, user and system"""
    foreign: float | None
    """cores busy with other processes, the hypervisor's theft included; None where not readable"""
    waited: float | None
    """seconds, over all threads, of being ready to run without a core; None where not readable"""
    switches: int
    """times that a thread was made to leave its core"""
    faults: int
    """page faults"""

    @property
    def disturbed(self) -> bool:
        """Whether other processes used so much processor time that the measured times are doubtful.

        /proc/stat counts in ticks of mostly 10 ms, so less than three of them are ignored.
        """
        waited = self.waited is not None and self.waited > MAX_WAITED * self.wall
        foreign = self.foreign is not None and (
            self.foreign > MAX_FOREIGN and self.foreign * self.wall > 3 * TICK
        )
        return waited or foreign


@dataclass(frozen=True)
class Reading:
    """The machine's load counters at one moment."""

    wall: float
    cpu: float
    busy: float | None
    waited: float | None
    switches: int
    faults: int

    def until(self, after: "Reading") -> Usage:
        """Return the usage from this reading to a later one."""
        wall, cpu = after.wall - self.wall, after.cpu - self.cpu
        foreign = waited = None
        if self.busy is not None and after.busy is not None:
            foreign = max(0.0, after.busy - self.busy - cpu) / wall
        if self.waited is not None and after.waited is not None:
            waited = max(0.0, after.waited - self.waited)  # less where a thread has ended
        return Usage(
            wall, cpu, foreign, waited, after.switches - self.switches, after.faults - self.faults
        )


def read() -> Reading:
    """Read the counters now, which takes some tens of microseconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(
        wall=time.perf_counter(),
        cpu=time.process_time(),
        busy=_busy(),
        waited=_waited(),
        switches=own.ru_nivcsw,
        faults=own.ru_minflt + own.ru_majflt,
    )


def _busy() -> float | None:
    """Return the seconds that all cores were busy since the machine started."""
    try:
        first = Path("/proc/stat").read_bytes().split(b"\n", 1)[0]
    except OSError:
        return _busy_elsewhere()
    # proc(5): user nice system idle iowait irq softirq steal guest guest_nice; guest is in user
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK


def _busy_elsewhere() -> float | None:
    import psutil

    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for name, seconds in times.items() if name not in ("idle", "iowait")))


def _waited() -> float | None:
    """Return the seconds that this process's threads waited for a core, from schedstat."""
    try:
        threads = list(Path("/proc/self/task").iterdir())
    except OSError:
        return None
    waited = 0
    for thread in threads:
        try:
            waited += int((thread / "schedstat").read_bytes().split()[1])
        except FileNotFoundError:  # it has ended, or the kernel was built without
            continue
        except (OSError, IndexError):
            return None
    return waited / 1e9
