"""How often verdicts are right: traces of identical processes, drawn from again and again.

Of every draw it is known what it is: the same thing twice (A/A), or a candidate whose times were
made longer by a known share. The procedure of `zoo.measure` runs on it as it would live: launches
are added until the interval is narrow, or as many as the budget allows were used.
"""

import dataclasses
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cases import models
from bench.cases.args import ReplayArgs
from bench.cases.case import Case, threads_of
from bench.cases.job import Settings
from bench.cases.prepare import Preparation
from bench.validity import traces
from bench.validity.traces import Trace
from tasks.errors import UserError
from zoo.machine import terminal
from zoo.measure import Arm, Block, Plan, Recording
from zoo.measure.recording import is_narrow
from zoo.measure.results import compared_of, floor_between

BASELINE, TWIN, CANDIDATE = "baseline", "baseline (again)", "candidate"
ROLES = (BASELINE, TWIN, CANDIDATE)
PAIRS = ((BASELINE, CANDIDATE), (BASELINE, TWIN))
ARMS = tuple(Arm(role, "bench.validity.synthetic_targets:nothing") for role in ROLES)
LEAST_LAUNCHES, MOST_LAUNCHES = 5, 8
PLAN = Plan()


@dataclass
class Rates:
    """Counts of verdicts over many draws."""

    draws: int = 0
    same: Counter[str] = field(default_factory=Counter)
    """of A/A"""
    slower: Counter[str] = field(default_factory=Counter)
    """of a candidate that is slower"""
    tellable: int = 0
    """of those, where the noise floor was below the slowdown"""
    found: int = 0
    """of the tellable, told slower"""
    floors: list[float] = field(default_factory=list)

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(
            self.draws + other.draws,
            self.same + other.same,
            self.slower + other.slower,
            self.tellable + other.tellable,
            self.found + other.found,
            self.floors + other.floors,
        )


def run(args: ReplayArgs) -> list[Rates]:
    """Records the models that are named, then replays every trace in the file.

    Raises `UserError` for a model that can't be recorded, and a file that can't be read.
    """
    threads = threads_of(args.threads)
    for model in args.models:
        case = Case.of(model, args.deployment, 1, args.length, threads=threads)
        models.must_be_known(model)
        terminal.lines(f"{case}: {args.launches} launches of {traces.PROCESSES} processes ...")
        with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
            arm = Preparation(Path(folder), Settings().timeout_s).of(case).arm(case)
            budget = PLAN.budget_s / PLAN.launches * args.launches
            plan = Plan(launches=args.launches, budget_s=budget)
            traces.append(args.traces, traces.take(str(case), arm, plan, args.loaded))
    kept = traces.read(args.traces)
    return replay(kept, -(-args.draws // len(kept)), args.slowdown)


def replay(kept: Sequence[Trace], draws: int, slowdown: float, seed: int = 0) -> list[Rates]:
    """Rates for each trace, of `draws` each, and the table of them.

    Raises `UserError` for a trace with too few launches to draw from.
    """
    rng = random.Random(seed)
    found = []
    for trace in kept:
        if len(trace.launches) < LEAST_LAUNCHES:
            raise UserError(
                f"{trace.case}: {len(trace.launches)} launches; at least {LEAST_LAUNCHES} are drawn"
            )
        rates = Rates()
        for _ in range(draws):
            _draw(trace, slowdown, rng, rates)
        found.append(rates)
    show(kept, found, slowdown)
    return found


def _draw(trace: Trace, slowdown: float, rng: random.Random, rates: Rates) -> None:
    """Add the verdicts of one comparison of each kind, on the same draw, to `rates`."""
    launches = rng.sample(trace.launches, min(MOST_LAUNCHES, len(trace.launches)))
    roles = [dict(zip(_shuffled(trace.arms, rng), ROLES, strict=True)) for _ in launches]
    blocks = cast(trace, launches, roles)
    rates.draws += 1
    word, _ = verdict(blocks, 0.0)
    rates.same[word] += 1
    word, floor = verdict(blocks, slowdown)
    rates.slower[word] += 1
    if floor is not None:
        rates.floors.append(floor)
        rates.tellable += floor < slowdown
        rates.found += floor < slowdown and word == "slower"


def _shuffled(arms: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(list(arms), len(arms))


def cast(
    trace: Trace, launches: Sequence[int], roles: Sequence[dict[str, str]]
) -> list[list[Block]]:
    """The blocks of some launches, renumbered, with the parts that the processes play."""
    by_launch: dict[int, list[Block]] = {}
    for block in trace.blocks:
        by_launch.setdefault(block.launch, []).append(block)
    return [
        [
            dataclasses.replace(block, launch=number, arm=roles[number][block.arm])
            for block in by_launch[launch]
        ]
        for number, launch in enumerate(launches)
    ]


def verdict(launches: Sequence[Sequence[Block]], slowdown: float) -> tuple[str, float | None]:
    """Return the verdict that would have been given, and the noise floor, where the candidate takes
    longer by a share `slowdown`."""
    used: list[Block] = []
    for count, blocks in enumerate(launches, start=1):
        used += [_slowed(block, slowdown) for block in blocks]
        if count >= LEAST_LAUNCHES and is_narrow(used, PAIRS, PLAN):
            break
    recording = Recording(PLAN, ARMS, (), tuple(used), (), PLAN.budget_s, "width")
    floor = floor_between(recording, BASELINE, TWIN)
    found = compared_of(recording, BASELINE, CANDIDATE, floor)
    return found.verdict.word, found.floor


def _slowed(block: Block, share: float) -> Block:
    if block.arm != CANDIDATE or not share:
        return block
    seconds = tuple(taken * (1 + share) for taken in block.ran.seconds)
    return dataclasses.replace(block, ran=dataclasses.replace(block.ran, seconds=seconds))


def show(kept: Sequence[Trace], found: Sequence[Rates], slowdown: float) -> None:
    """The table, with a last row for all."""
    rows = []
    named = [
        (f"{trace.case}{', loaded' if trace.loaded else ''}", rates)
        for trace, rates in zip(kept, found, strict=True)
    ]
    total = sum(found, Rates())
    for name, rates in (*named, ("all", total)):
        wrong = (rates.same["faster"] + rates.same["slower"]) / rates.draws
        floors = sorted(rates.floors)
        rows.append(
            (
                name,
                f"{rates.draws:,}",
                f"{wrong:.2%}",
                f"{rates.slower['slower'] / rates.draws:.1%}",
                f"{rates.tellable / rates.draws:.1%}",
                f"{rates.found / rates.tellable:.1%}" if rates.tellable else "-",
                f"{rates.slower['faster'] / rates.draws:.2%}",
                f"{floors[len(floors) // 2]:.1%}" if floors else "-",
            )
        )
    terminal.table(
        (
            "trace",
            "draws",
            "A/A called different",
            f"{slowdown:.0%} slower found",
            "floor below it",
            "found there",
            "wrong direction",
            "median floor",
        ),
        rows,
    )
