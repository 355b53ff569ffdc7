"""Traces for `bench.validity.replay`: what the stopwatch sees of a model in three processes.

They are alike, so any of them may play the baseline, its second process, or the candidate.
"""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tasks.errors import UserError
from zoo.machine import environment
from zoo.measure import Arm, Block, Plan, Recording
from zoo.measure.recording import record
from zoo.store import append_only

PROCESSES = 3
LOAD_S = 3.0  # that the other process computes, and then sleeps
LOAD = (
    "import time\n"
    "while True:\n"
    "    end = time.monotonic() + {seconds}\n"
    "    while time.monotonic() < end: pass\n"
    "    time.sleep({seconds})\n"
)


@dataclass(frozen=True)
class Trace:
    """A recording of identical arms, with one number a block."""

    case: str
    loaded: bool
    """whether another process took one core for half of the time"""
    arms: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def launches(self) -> list[int]:
        """Numbers of those in which every process was measured."""
        seen: dict[int, set[str]] = {}
        for block in self.blocks:
            seen.setdefault(block.launch, set()).add(block.arm)
        return sorted(number for number, arms in seen.items() if len(arms) == len(self.arms))

    def to_json(self) -> dict[str, Any]:
        """Return the trace as the mapping that `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Raises KeyError, TypeError, ValueError for what `to_json` did not write."""
        blocks = tuple(Block.from_json(each) for each in content["blocks"])
        return cls(str(content["case"]), bool(content["loaded"]), tuple(content["arms"]), blocks)


def take(case: str, arm: Arm, plan: Plan, loaded: bool) -> Trace:
    """Records a trace: `plan.launches` launches. Raises `UserError` for an arm that fails."""
    arms = [dataclasses.replace(arm, name=f"process {number}") for number in range(PROCESSES)]
    first, *others = [each.name for each in arms]
    with another_process() if loaded else contextlib.nullcontext():
        recording = record(arms, [(first, other) for other in others], plan)
    if recording.failed:
        raise UserError(f"{case}: {recording.failed[0].reason}")
    return Trace(case, loaded, tuple(each.name for each in arms), _thinned(recording))


def _thinned(recording: Recording) -> tuple[Block, ...]:
    """Return the median of each block: all that a verdict is made of."""
    return tuple(
        dataclasses.replace(
            block,
            ran=dataclasses.replace(block.ran, seconds=(statistics.median(block.ran.seconds),)),
        )
        for block in recording.blocks
    )


@contextlib.contextmanager
def another_process() -> Iterator[None]:
    """A process that computes for some seconds, sleeps as long, and so on."""
    process = subprocess.Popen([sys.executable, "-c", LOAD.format(seconds=LOAD_S)])
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def append(path: Path, trace: Trace) -> None:
    """Adds a trace to a file, with the machine it is of."""
    content = {**trace.to_json(), "machine": environment.machine(gpu=False)}
    append_only.append(path, json.dumps(content, separators=(",", ":")) + "\n")


def read(path: Path) -> Sequence[Trace]:
    """The traces in a file. Raises `UserError` where it has none."""
    try:
        traces = [Trace.from_json(json.loads(line)) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds something else than traces: {error}") from None
    if not traces:
        raise UserError(f"{path} holds no trace")
    return traces
