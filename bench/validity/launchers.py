"""Whether launches that are forks scatter as fresh processes do, and what either costs.

    python -m bench.validity.launchers minilm --length 32 --launches 20

One model, eager, in two processes a launch (A/A), by either way in turns: the noise floor, and the
scatter of the launches' medians. Forks have the addresses of the libraries and the order of sets in
common (`zoo.measure.preloaded`), so that chance is partly the same for all of them; where they
scatter less, intervals of theirs are too narrow for a verdict.
"""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import tyro

from bench.cases import child
from bench.cases.case import Case, threads_of
from bench.cases.job import Launcher
from bench.cases.prepare import Preparation
from bench.sweep import suite
from tasks.bounds import Bounded, Bounds, Count, Positive, Threads
from tasks.errors import UserError
from zoo.cli import program
from zoo.machine import terminal
from zoo.measure import Arm, Plan, Recording
from zoo.measure.comparison import TWIN
from zoo.measure.process import Worker, WorkerFailed
from zoo.measure.recording import Pair, Start, record, rounds_of
from zoo.measure.results import floor_between


@dataclass(frozen=True)
class Args(Bounded):
    """What is launched, and how often."""

    model: tyro.conf.Positional[str]
    """folder of a checkpoint, or the name of a model that gets random weights"""
    batch_size: Count = 1
    """samples of a call"""
    length: Positive | None = None
    """of each sample; the model's usual one by default"""
    launches: Annotated[int, Bounds(2, 1000)] = 20
    """of either way"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""


@dataclass(frozen=True)
class Scatter:
    """Of the launches of one way."""

    launches: int
    ratio: float
    """standard deviation of the logarithm of the two processes' ratio, launch by launch"""
    median: float
    """the same of a process's median seconds of a call; slow drifts of the machine are in it"""
    floor: float
    """a difference of this share is found in 95 of 100 comparisons of so many launches"""
    start_s: float
    """median seconds of importing and loading"""


def scatter(recordings: Sequence[Recording], arm: str) -> Scatter:
    """Of recordings of an arm and its twin."""
    floors = [floor_between(each, arm, arm + TWIN) for each in recordings]
    count = sum(each.launches for each in floors)
    square = sum(each.launches * each.spread**2 for each in floors) / count
    medians = [
        statistics.median(by[arm].log_median for by in launch)
        for each in recordings
        for launch in rounds_of(each.blocks, [arm])
    ]
    loaded = [launch.loaded for each in recordings for launch in each.launches]
    floor = type(floors[0])(math.sqrt(square), count)
    return Scatter(
        count,
        math.sqrt(square),
        statistics.stdev(medians),
        floor.found(count),
        statistics.median(each.import_seconds + each.load_seconds for each in loaded),
    )


def run(args: Args) -> dict[Launcher, Scatter]:
    """Measures both, in turns, and prints a table.

    Raises `UserError` for a case that makes no sense or can't run.
    """
    threads = threads_of(args.threads)
    model = suite.model_named(args.model)
    case = Case.of(model, "eager", args.batch_size, args.length, threads=threads)
    with TemporaryDirectory(prefix="zoo-bench-") as folder, child.preloader() as preloader:
        try:
            arm = Preparation(Path(folder), 600.0, preloader).of(case).arm(case)
            found = both(arm, args.launches, {"fresh": Worker, "preloaded": preloader})
        except WorkerFailed as error:
            raise UserError(f"{case} can't be timed: {error.failed.reason}") from None
    rows = [
        (
            name,
            str(one.launches),
            f"{one.ratio:.2%}",
            f"{one.median:.2%}",
            f"{one.floor:.2%}",
            f"{one.start_s:.2f} s",
        )
        for name, one in found.items()
    ]
    titles = ("processes", "launches", "A/A ratio", "median", "noise floor", "import and load")
    terminal.table(titles, rows, title=f"{case}: scatter of launches, one standard deviation")
    return found


def both(arm: Arm, launches: int, starts: Mapping[Launcher, Start]) -> dict[Launcher, Scatter]:
    """Either way in two halves, so that a machine that drifts is the same for both.

    Raises `WorkerFailed`.
    """
    recordings: dict[Launcher, list[Recording]] = {name: [] for name in starts}
    twin = Arm(arm.name + TWIN, arm.target, arm.kwargs, arm.threads)
    pair: Pair = (arm.name, twin.name)
    plan = Plan(launches=max(1, launches // 2), budget_s=0.0)
    for name in (*starts, *reversed(list(starts))):
        made = record([arm, twin], [pair], plan, starts[name])
        if made.failed:
            raise WorkerFailed(made.failed[0])
        recordings[name].append(made)
    return {name: scatter(each, arm.name) for name, each in recordings.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    name = "python -m bench.validity.launchers"
    words = list(sys.argv[1:] if argv is None else argv)
    args = program.parse_flags(Args, words, prog=name, description=__doc__)

    def measured() -> int:
        run(args)
        return 0

    return program.guarded("bench", measured, "give the same command again")


if __name__ == "__main__":
    sys.exit(main())
