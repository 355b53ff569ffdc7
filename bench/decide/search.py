"""The verb decide: the best deployment of a checkpoint on this machine, under what is asked for.

Every deployment is made and proven, and its metric measured on the validation split; those that are
left are timed by successive halving, the finalists compared with eager fp32, interleaved, and their
memory taken. The winner is confirmed once on the test split.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.cases import child
from bench.cases.args import DecideArgs
from bench.cases.case import threads_of
from bench.cases.deadline import Deadline
from bench.decide import evidence, options, picture, table
from bench.decide.pareto import Limits, OptionCost, front, winner
from bench.decide.successive_halving import Halved, halve
from bench.measures import memory
from bench.record.results import Value
from bench.sweep import suite
from tasks.bounds import Bounds
from tasks.errors import UserError
from zoo.deploy import export
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.chosen import confirm
from zoo.deploy.export import ContractNotMet, ExportSource
from zoo.machine import terminal
from zoo.machine.precision import choose_device
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
    deadline = Deadline(args.minutes)
    budget = deadline.seconds if deadline.is_set else seconds_of(args.budget)
    limits, threads = limits_of(args), threads_of(args.threads)
    if not (args.checkpoint / MANIFEST).is_file():
        raise UserError(f"{args.checkpoint} holds no {MANIFEST}, so it is no checkpoint of ours")
    if args.picture is not None:
        picture.check(args.picture)
    device = _device(args.device)
    wanted = options.asked(args.deployments, device)
    terminal.quiet_libraries()
    original = ExportSource.open(args.checkpoint)
    validation = original.samples("validation", args.data, args.max_eval_samples)
    workload = calibration.workload(original, validation, args.batch_size, args.length)
    title = f"{args.checkpoint}: {original.task.primary.name} lost on validation; {workload}"
    with artifacts.workshop(args.checkpoint) as staging:
        inputs = staging / "inputs.npz"
        np.savez(inputs, **calibration.draw(original, workload))  # type: ignore[arg-type]
        builder = DeploymentBuilder(original, staging, validation, threads, device)
        make = options.maker(builder, args.data, args.max_drop)
        found, reserve = _make_all(make, wanted, args.max_drop, deadline, MAKING * budget)
        sound = {each.name: each for each in found if not each.fault}
        if BASELINE not in sound:
            raise UserError(f"eager fp32, which all are compared with: {found[0].fault}")
        arms = {name: builder.arm(one, inputs, threads) for name, one in sound.items()}
        drops = {each.name: each.drop.value for each in found if each.drop}
        terminal.lines(f"timing {len(arms)} deployments ...")
        halved = _halved(list(arms.values()), drops, deadline, HALVING * budget)
        finalists = [BASELINE, *(name for name in halved.left if name != BASELINE)]
        if len(finalists) < 2:
            raise ContractNotMet("eager fp32 is all that is left: there is nothing to decide")
        sizes = {name: memory.of(arms[name]).values for name in finalists}
        plan = plan_of(deadline, budget, reserve)
        outcome = compare([arms[name] for name in finalists], plan)
        for name in finalists:
            sound[name].take_times(outcome)
        timed = [sound[each.arm] for each in outcome.measured]
        points = [_point(one, sizes[one.name], device) for one in timed]
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
    module = original.checkpoint.entry.module
    command = options.command(chosen, module, args.checkpoint, builder.device)
    terminal.lines(f"winner: {chosen.name}", f"  {command}")
    if chosen.name == BASELINE:
        return
    runner = builder.runner(chosen)
    confirmed = confirm(original, runner, args.data, args.max_eval_samples, args.max_drop)
    if args.export and chosen.artifact is not None:
        assert chosen.proof and chosen.drop
        lost = [(builder.validation, chosen.drop), *([confirmed] if confirmed else [])]
        metric = original.task.primary
        found = (chosen.artifact, chosen.proof, args.checkpoint, metric, lost)
        placed = export.commit_artifact(*found, device=builder.device)
        terminal.lines(f"{placed.folder}")


def seconds_of(text: str) -> float:
    """Return the seconds of a duration: "300", "90s", "5m", "1h". Raises `UserError` for anything
    else."""
    match = BUDGET.fullmatch(text)
    seconds = 0.0
    if match is not None:
        seconds = float(match["number"]) * {"s": 1, "m": 60, "h": 3600}[match["unit"] or "s"]
    if seconds not in Bounds(0, LONGEST, above=True):
        raise UserError(f"--budget {text!r}: write 90s, 5m or 1h, of a week at most")
    return seconds


def _device(name: str) -> str:
    """The device that is asked for. Raises `UserError` where it is not there, or is none that
    deployments are decided on."""
    if suite.device_named(name).partition(":")[0] not in options.USUAL:
        raise UserError(f"--device {name}: decide knows {' and '.join(options.USUAL)}")
    return str(choose_device(name))


def limits_of(args: DecideArgs) -> Limits:
    """Return the limits that were asked for, in seconds and bytes."""
    return Limits(
        None if args.p95_ms is None else args.p95_ms / 1e3,
        args.max_drop,
        None if args.memory_mb is None else args.memory_mb * 1e6,
    )


def _halved(
    arms: Sequence[Arm], drops: Mapping[str, float], deadline: Deadline, budget_s: float
) -> Halved:
    """The finalists. Their times are a first look: forks give it, as no verdict rests on it."""
    with child.preloader(deadline.left) as preloader:
        return halve(arms, drops, budget_s, deadline.bound(preloader), deadline.left)


def plan_of(deadline: Deadline, budget: float, reserve: float) -> Plan:
    """How long to compare the finalists: for what is left of the budget, that of a deadline without
    the reserve, which confirming the winner takes.

    Raises `UserError` where nothing is left before a deadline.
    """
    left = max(0.0, budget - deadline.spent())
    if not deadline.is_set:
        return Plan(budget_s=left)
    if left <= reserve:
        raise UserError(
            f"--minutes {deadline.seconds / 60:g}: making the deployments took "
            f"{deadline.spent():.0f} s, and {reserve:.0f} s are kept to confirm the winner, so "
            "that nothing could be compared: give more, or fewer --deployments"
        )
    return Plan(budget_s=left - reserve, deadline_s=left - reserve)


def _make_all(
    make: Callable[[Deployment], Candidate],
    wanted: Sequence[Deployment],
    max_drop: float,
    deadline: Deadline,
    until: float,
) -> tuple[list[Candidate], float]:
    """Makes them one by one, and how many seconds confirming one may take: twice what the baseline
    took, as both are evaluated then.

    Args:
        until: seconds since the beginning; what comes later is left out.
    """
    found: list[Candidate] = []
    reserve = 0.0
    for deployment in wanted:
        began = deadline.spent()
        if found and began > until:
            fault = "not tried: half of the budget was spent"
            found.append(Candidate(deployment, fault=fault))
            continue
        terminal.lines(f"{deployment} ...")
        made = make(deployment)
        reserve = reserve or 2 * (deadline.spent() - began)
        if not made.fault and made.drop is not None and made.drop.value > max_drop:
            made.fault = f"loses {made.drop}"
        found.append(made)
    return found, reserve


def _point(candidate: Candidate, found: Mapping[str, Value], device: str) -> OptionCost:
    """What a candidate costs; `found` is its memory, of which that of the device counts."""
    assert candidate.drop is not None and candidate.times is not None
    peak = found.get("peak" if device == "cpu" else "gpu_allocated")
    candidate.memory = None if peak is None else peak.value
    p95 = candidate.times.percentiles.get("p95")
    return OptionCost(
        candidate.name,
        candidate.drop.value,
        candidate.times.median,
        None if p95 is None else p95.value,
        candidate.memory,
        found["size_on_disk"].value,
    )
