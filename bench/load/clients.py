"""The client's processes, seen from the process that measures: windows of load, as one."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bench.load.generator import Job, Seen, Target, counted

MODULE = "bench.load.generator"


class ClientLost(Exception):
    """A process of the client has ended; the message says how."""


class Clients:
    """Processes that share the load: each makes its part of the rate, as a Poisson process of its
    own, or its part of the clients of a closed loop."""

    def __init__(self, target: Target, processes: int = 1) -> None:
        """Start them. Raises `ClientLost`."""
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,  # Ctrl-C is ours to handle
            )
            for _ in range(processes)
        ]
        try:
            for each in self._processes:
                _send(each, dataclasses.asdict(target))
            for each in self._processes:
                _answer(each)
        except ClientLost:
            self.close()
            raise

    def run(self, job: Job) -> Seen:
        """Make one window of load, and return what all processes have seen. Raises `ClientLost`."""
        for each, part in zip(self._processes, parts(job, len(self._processes)), strict=True):
            _send(each, dataclasses.asdict(part))
        return merged([Seen(**_answer(each)) for each in self._processes])

    def close(self) -> None:
        """End the processes."""
        for each in self._processes:
            each.kill()
            each.wait()
            for pipe in (each.stdin, each.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


@contextlib.contextmanager
def started(target: Target, processes: int = 1) -> Iterator[Clients]:
    """Context manager of the client's processes, which end with it. Raises `ClientLost`."""
    clients = Clients(target, processes)
    try:
        yield clients
    finally:
        clients.close()


def parts(job: Job, processes: int) -> list[Job]:
    """Return the part of each process: the sum of Poisson processes is one of the sum of their
    rates. Of clients of a closed loop, each process gets one at least.

    A part ends early only by what all of them may have late: one that has more than its own share
    of these says nothing of the whole."""
    if processes == 1:
        return [job]
    seeds = [processes * job.seed + place for place in range(processes)]
    if job.rate is not None:
        rate = job.rate / processes
        found = [dataclasses.replace(job, rate=rate, seed=seed) for seed in seeds]
        total = sum(map(counted, found))
        return [dataclasses.replace(each, counted=total) for each in found]
    shares = [len(range(place, job.clients, processes)) for place in range(processes)]
    return [
        dataclasses.replace(job, clients=max(1, share), seed=seed)
        for share, seed in zip(shares, seeds, strict=True)
    ]


def merged(parts: Sequence[Seen]) -> Seen:
    """Return what several processes saw of one window, as one."""
    if len(parts) == 1:
        return parts[0]
    statuses: dict[str, int] = {}
    for part in parts:
        for name, count in part.statuses.items():
            statuses[name] = statuses.get(name, 0) + count
    return Seen(
        latencies=[each for part in parts for each in part.latencies],
        statuses=statuses,
        wall=max(part.wall for part in parts),
        requests=sum(part.requests for part in parts),
        cpu=sum(part.cpu for part in parts),
        spent=max(part.spent for part in parts),
        sent_late=max(part.sent_late for part in parts),
        stopped=any(part.stopped for part in parts),
        bodies=parts[0].bodies,
    )


def _send(process: "subprocess.Popen[bytes]", content: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(content).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise ClientLost("a process of the client has ended") from None


def _answer(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        code = process.wait()
        raise ClientLost(f"a process of the client has ended (exit code {code})")
    answer: dict[str, Any] = json.loads(line)
    return answer
