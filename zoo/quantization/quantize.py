"""The verb quantize: a contract. The fastest int8 program whose metric drops by no more than was
allowed, and that is faster than eager fp32 by at least what was asked; or none.

Recipes are chosen on the validation split and confirmed once on the test split: refused there where
the whole interval of the drop lies above what is allowed.
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tasks.errors import UserError
from zoo.deploy import export
from zoo.deploy.export import Original, Refused, Samples, quiet
from zoo.evaluation.paired import Drop, drop
from zoo.machine import terminal
from zoo.machine.formatting import milliseconds, size
from zoo.quantization import calibration, on_gpu, onnx_int8
from zoo.quantization.candidate import Candidate, attempt
from zoo.quantization.recipes import Material, Recipe, fitting
from zoo.runtimes import artifacts
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

if TYPE_CHECKING:
    from zoo.cli.args import QuantizeArgs
    from zoo.evaluation.loop import Evaluation
    from zoo.measure import Estimate
    from zoo.model.entry import Entry
    from zoo.runtimes.runner import Runner

BASELINE = "eager"


def quantize(entry: "Entry | None", args: "QuantizeArgs") -> Artifact:
    """Tries the recipes, keeps the best that meets the contract, and prints the table of all.

    Raises:
        UserError: a damaged checkpoint, data that can't be read, no recipe that could be tried.
        Refused: none meets the contract; nothing was put in place.
    """
    terminal.quiet_libraries()
    original = Original.open(args.checkpoint, entry)
    recipes, left_out = fitting(original.network, args.method, args.device)
    if not recipes:
        why = f": {left_out[0][0].deployment}: {left_out[0][1]}" if left_out else ""
        raise UserError(f"no recipe can be tried{why}")
    validation = original.samples("validation", args.data, args.max_eval_samples)
    sizes = calibration.workload(original, validation, args.batch_size, args.length)
    drawn = calibration.draw(original, sizes)
    with artifacts.workshop(args.checkpoint) as shop:
        builds = any(recipe.build for recipe in recipes)
        material = prepare(original, shop, args.data) if builds else None
        source = original.measured(validation.features)
        inputs = shop / "inputs.npz"
        np.savez(inputs, **drawn)  # type: ignore[arg-type]
        candidates = []
        for recipe in recipes:
            terminal.lines(f"{recipe.deployment} ...")
            candidates.append(
                attempt(original, recipe, material, shop, validation, source, args.max_drop)
            )
        timed = [one for one in candidates if one.artifact]
        if not args.all:
            timed = [one for one in timed if one.within(args.max_drop)]
        eager = time_all(timed, args, inputs)
        meet = [
            one for one in candidates if one.within(args.max_drop) and one.surely(args.min_speedup)
        ]
        best = max(meet, key=Candidate.speedup, default=None)
        show(args, original, source, candidates, left_out, best, sizes)
        if best is None:
            raise Refused(
                f"no recipe loses at most {args.max_drop:g} and is surely {args.min_speedup:g} "
                "times as fast; nothing was put in place"
            )
        return keep(original, best, validation, args, sizes, eager)


def prepare(original: Original, shop: Path, data: str | None) -> Material:
    """Exports the fp32 program that recipes begin with, and draws the calibration data."""
    exported, prepared = shop / "fp32", shop / "prepared"
    exported.mkdir()
    prepared.mkdir()
    export.build(original, Deployment("onnx"), exported)
    with quiet():
        onnx_int8.prepare(exported, prepared)
    return Material(original, prepared, calibration.feeds(original, data), shop / "ranges.json")


def time_all(
    candidates: Sequence[Candidate], args: "QuantizeArgs", inputs: Path
) -> "Estimate | None":
    """Times the candidates against eager fp32, interleaved, each in processes of its own; returns
    the seconds of eager."""
    from zoo.deploy.timed import arm
    from zoo.measure import ArmFailed, Plan, compare

    if not candidates:
        return None
    shared = (args.checkpoint, inputs, args.threads or torch.get_num_threads(), args.device)
    arms = [arm(BASELINE, None, *shared)]
    for one in candidates:
        built = one.artifact if one.recipe.build else None
        arms.append(arm(str(one.deployment), built, *shared))
    plan = Plan(budget_s=args.budget_s)
    terminal.lines(
        f"timing {len(candidates)} against eager fp32, in at least {plan.launches} processes each; "
        f"more for up to {args.budget_s:.0f} s ..."
    )
    outcome = compare(arms, plan)
    for one in candidates:
        found, times = outcome.of(str(one.deployment)), outcome.times(str(one.deployment))
        if isinstance(found, ArmFailed):
            one.note = one.note or found.reason
        elif not isinstance(times, ArmFailed):
            one.timed, one.seconds = found, times
            if times.violations:
                one.note = one.note or f"while it was timed: {times.violations[0]}"
    eager = outcome.times(BASELINE)
    return None if isinstance(eager, ArmFailed) else eager.median


def show(
    args: "QuantizeArgs",
    original: Original,
    source: "Evaluation",
    candidates: Sequence[Candidate],
    left_out: Sequence[tuple[Recipe, str]],
    best: Candidate | None,
    sizes: Mapping[str, int],
) -> None:
    """The table of all recipes."""
    metric = original.task.primary.name
    rows = []
    for one in candidates:
        fast = one.timed and (
            f"{one.timed.speedup.value:.2f} ({one.timed.speedup.interval.low:.2f} to "
            f"{one.timed.speedup.interval.high:.2f})"
        )
        notes = [one.note] if one.note else []
        if one.excluded:
            notes.append(f"{len(one.excluded)} layers in fp32")
        if one is best:
            notes.append("chosen")
        cells = (
            one.drop and str(one.drop),
            fast,
            one.seconds and milliseconds(one.seconds.median.value),
            one.artifact and size(one.artifact.size, "MB"),
        )
        rows.append((str(one.deployment), *(cell or "-" for cell in cells), ", ".join(notes)))
    rows += [(str(recipe.deployment), "-", "-", "-", "-", why) for recipe, why in left_out]
    work = ", ".join(f"{name} {size}" for name, size in sizes.items())
    terminal.table(
        ("deployment", f"{metric} lost", "times as fast", "a call", "size", ""),
        rows,
        title=f"{args.checkpoint}: eager fp32 has {metric} {source.value(metric):.4f} on "
        f"validation; {work}; at most {args.max_drop:g} may be lost, at least "
        f"{args.min_speedup:g} times as fast",
    )


def keep(
    original: Original,
    best: Candidate,
    validation: Samples,
    args: "QuantizeArgs",
    sizes: Mapping[str, int],
    eager: "Estimate | None",
) -> Artifact:
    """Confirms the chosen one on the test split, once; puts it in place and records everything.

    Raises `Refused` where it surely loses too much there.
    """
    assert best.artifact and best.proof and best.drop and best.timed and best.seconds
    drops = [(validation, best.drop)]
    metric = original.task.primary
    runner = on_gpu.open_runner(best.artifact)
    confirmed = confirm(original, runner, args.data, args.max_eval_samples, args.max_drop)
    if confirmed is not None:
        drops.append(confirmed)
    contract = {"max_drop": args.max_drop, "min_speedup": args.min_speedup, **sizes}
    common = measured_where(args.device, args.threads or torch.get_num_threads(), sizes)
    subject, deployment = best.artifact.digest, best.deployment
    speeds = [speed_fact("latency", best.seconds.median, subject, deployment, common)]
    if eager is not None:
        source = str(best.artifact.manifest["source"])
        speeds.append(speed_fact("latency", eager, source, Deployment(BASELINE), common))
        ratio = best.timed.speedup
        speeds.append(speed_fact("speedup", ratio, subject, deployment, common, speeds[1]))
    if isinstance(best.artifact, on_gpu.Itself):
        on_gpu.record(best.artifact, best.proof, metric, drops, speeds)
        terminal.lines(f"{best.artifact.folder} --deployment {best.deployment}")
        return best.artifact
    artifact = export.settle(
        best.artifact, best.proof, args.checkpoint, metric, drops, {"contract": contract}, speeds
    )
    terminal.lines(f"{artifact.folder}")
    return artifact


def confirm(
    original: Original, runner: "Runner", data: str | None, limit: int | None, max_drop: float
) -> tuple[Samples, Drop] | None:
    """What is lost on the test split; None, with a line that says so, where there is none.

    Raises `Refused` where it surely loses too much there.
    """
    try:
        test = original.samples("test", data, limit)
    except UserError as error:
        terminal.lines(f"not confirmed on a test split: {error}")
        return None
    metric = original.task.primary
    source, ours = original.measured(test.features), original.measured(test.features, runner)
    lost = drop(source.tally, ours.tally, metric)
    terminal.lines(
        f"on the test split {metric.name} is {ours.value(metric.name):.4f}, in fp32 "
        f"{source.value(metric.name):.4f}: lost {lost}, n = {lost.n:,}"
    )
    if lost.value > max_drop and not lost.low <= max_drop:
        raise Refused(
            f"{runner.deployment} keeps to the contract on the validation split, and loses {lost} "
            "on the test split; nothing was put in place"
        )
    return test, lost


def measured_where(device: str, threads: int, sizes: Mapping[str, int]) -> dict[str, Any]:
    """What the facts of one timing share."""
    run = uuid.uuid4().hex
    return {"run": run, "device": device, "threads": threads, "workload": dict(sizes)}


def speed_fact(
    name: str,
    found: "Estimate",
    subject: str,
    deployment: Deployment,
    common: Mapping[str, Any],
    baseline: evidence.Fact | None = None,
) -> evidence.Fact:
    """Seconds of a call, or, with a baseline's fact, how many times as fast as that it is.

    Args:
        subject: digest of what was timed.
        common: see `measured_where`.
    """
    return evidence.fact(
        "latency",
        name,
        unit="1" if baseline else "s",
        baseline=baseline.id if baseline else None,
        subject=subject,
        deployment=str(deployment),
        **found.as_json(),
        **common,
    )
