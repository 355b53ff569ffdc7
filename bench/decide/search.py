"""The verb decide: the best deployment of a checkpoint on this machine, under what is asked for.

Every deployment is made and proven, and its metric measured on the validation split; those that are
left are timed by successive halving, the finalists compared with eager fp32, interleaved, and their
memory taken. The winner is confirmed once on the test split.
"""

import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from bench.cases.args import DecideArgs
from bench.cases.case import threads_of
from bench.decide import evidence, options, picture, successive_halving, table
from bench.decide.pareto import Limits, OptionCost, front, winner
from bench.measures import memory
from tasks.bounds import Bounds
from tasks.errors import UserError
from zoo.deploy import export
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.chosen import confirm
from zoo.deploy.export import ContractNotMet, ExportSource
from zoo.machine import terminal
from zoo.measure import Arm, Plan, compare
from zoo.quantization import calibration
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store.checkpoint import MANIFEST

MAKING, HALVING = 0.5, 0.2
"""Shares of the budget: until the first is spent options are made, the second goes to the rounds of
halving, and what is left to the finalists."""
LONGEST = 7 * 86_400
BUDGET = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>s|m|h)?")


def decide(args: DecideArgs) -> OptionCost:
    """Searches, prints, and adds what was measured to the evidence; gives the winner.

    Raises:
        UserError: a damaged checkpoint, data that can't be read, limits that make no sense.
        Refused: none meets what was asked for, or the winner fails on the test split.
    """
    began = time.monotonic()
    budget, limits, threads = seconds_of(args.budget), limits_of(args), threads_of(args.threads)
    if not (args.checkpoint / MANIFEST).is_file():
        raise UserError(f"{args.checkpoint} holds no {MANIFEST}, so it is no checkpoint of ours")
    if args.picture is not None:
        picture.check(args.picture)
    wanted = options.asked(args.deployments)
    terminal.quiet_libraries()
    original = ExportSource.open(args.checkpoint)
    validation = original.samples("validation", args.data, args.max_eval_samples)
    workload = calibration.workload(original, validation, args.batch_size, args.length)
    title = f"{args.checkpoint}: {original.task.primary.name} lost on validation; {workload}"
    with artifacts.workshop(args.checkpoint) as staging:
        inputs = staging / "inputs.npz"
        np.savez(inputs, **calibration.draw(original, workload))  # type: ignore[arg-type]
        builder = DeploymentBuilder(original, staging, validation, threads)
        make = options.maker(builder, args.data, args.max_drop)
        found = _make_all(make, wanted, args.max_drop, began + MAKING * budget)
        sound = {each.name: each for each in found if not each.fault}
        if BASELINE not in sound:
            raise UserError(f"eager fp32, which all are compared with: {found[0].fault}")
        arms = {name: builder.arm(one, inputs, threads) for name, one in sound.items()}
        drops = {each.name: each.drop.value for each in found if each.drop}
        terminal.lines(f"timing {len(arms)} deployments ...")
        halved = successive_halving.halve(list(arms.values()), drops, HALVING * budget)
        finalists = [BASELINE, *(name for name in halved.left if name != BASELINE)]
        left = max(0.0, budget - (time.monotonic() - began))
        if len(finalists) < 2:
            raise ContractNotMet("eager fp32 is all that is left: there is nothing to decide")
        outcome = compare([arms[name] for name in finalists], Plan(budget_s=left))
        for name in finalists:
            sound[name].take_times(outcome)
        timed = [sound[each.arm] for each in outcome.measured]
        points = [_point(one, arms[one.name]) for one in timed]
        best = winner(points, limits)
        table.show(found, halved, points, limits, best, title)
        evidence.record(builder, timed, workload, threads)
        if args.picture is not None:
            picture.draw(args.picture, points, front(points), best, limits, str(args.checkpoint))
            terminal.lines(f"picture: {args.picture}")
        if best is None:
            raise ContractNotMet("none of them meets what was asked for")
        _settle(args, builder, sound[best.name])
    return best


def _settle(args: DecideArgs, builder: DeploymentBuilder, chosen: Candidate) -> None:
    """Confirms the winner on the test split, names it, and leaves its artifact where asked."""
    original = builder.original
    command = options.command(chosen, original.checkpoint.entry.module, args.checkpoint)
    terminal.lines(f"winner: {chosen.name}", f"  {command}")
    if chosen.name == BASELINE:
        return
    runner = builder.runner(chosen)
    confirmed = confirm(original, runner, args.data, args.max_eval_samples, args.max_drop)
    if args.export and chosen.artifact is not None:
        assert chosen.proof and chosen.drop
        lost = [(builder.validation, chosen.drop), *([confirmed] if confirmed else [])]
        metric = original.task.primary
        placed = export.commit_artifact(
            chosen.artifact, chosen.proof, args.checkpoint, metric, lost
        )
        terminal.lines(f"{placed.folder}")


def seconds_of(text: str) -> float:
    """Of "300", "90s", "5m", "1h". Raises `UserError` for what is none."""
    match = BUDGET.fullmatch(text)
    seconds = 0.0
    if match is not None:
        seconds = float(match["number"]) * {"s": 1, "m": 60, "h": 3600}[match["unit"] or "s"]
    if seconds not in Bounds(0, LONGEST, above=True):
        raise UserError(f"--budget {text!r}: write 90s, 5m or 1h, of a week at most")
    return seconds


def limits_of(args: DecideArgs) -> Limits:
    """What was asked for, in seconds and bytes."""
    return Limits(
        None if args.p95_ms is None else args.p95_ms / 1e3,
        args.max_drop,
        None if args.memory_mb is None else args.memory_mb * 1e6,
    )


def _make_all(
    make: Callable[[Deployment], Candidate],
    wanted: Sequence[Deployment],
    max_drop: float,
    until: float,
) -> list[Candidate]:
    """Makes them one by one; those that come when the time for it is spent are left out."""
    found: list[Candidate] = []
    for deployment in wanted:
        if found and time.monotonic() > until:
            fault = "not tried: half of the budget was spent"
            found.append(Candidate(deployment, fault=fault))
            continue
        terminal.lines(f"{deployment} ...")
        made = make(deployment)
        if not made.fault and made.drop is not None and made.drop.value > max_drop:
            made.fault = f"loses {made.drop}"
        found.append(made)
    return found


def _point(candidate: Candidate, arm: Arm) -> OptionCost:
    """What a candidate costs, its memory measured for that."""
    assert candidate.drop is not None and candidate.times is not None
    found = memory.of(arm).values
    candidate.memory = found["peak"].value if "peak" in found else None
    p95 = candidate.times.percentiles.get("p95")
    return OptionCost(
        candidate.name,
        candidate.drop.value,
        candidate.times.median,
        None if p95 is None else p95.value,
        candidate.memory,
        found["size_on_disk"].value,
    )
