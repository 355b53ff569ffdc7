"""The verb quantize: a contract. The fastest quantized program whose metric drops by no more than
was allowed, and that is faster than eager fp32 by at least what was asked; or none.

Recipes are chosen on the validation split and confirmed once on the test split: refused there where
the whole interval of the drop lies above what is allowed.
"""

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from tasks.errors import UserError, spelled
from zoo.deploy import export, golden
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.chosen import (
    confirm,
    measured_where,
    say_what_rows_show,
    speed_fact,
    stop_after,
)
from zoo.deploy.export import ContractNotMet, ExportSource, quiet
from zoo.machine import environment, terminal
from zoo.machine.formatting import milliseconds, size
from zoo.measure import Deadline, OutOfTime
from zoo.measure.process import Worker
from zoo.measure.workload import Workload
from zoo.quantization import calibration, on_gpu, onnx_int8
from zoo.quantization.recipes import Recipe, RecipeInputs, fitting
from zoo.runtimes import artifacts, onnx_decoder, onnx_generation, probe
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

if TYPE_CHECKING:
    from zoo.cli.args import QuantizeArgs
    from zoo.evaluation.loop import Evaluation
    from zoo.measure import Estimate, Outcome
    from zoo.model.entry import Entry


MAKING = 0.5
"""Share of the time until which recipes are made; the rest is for timing them, and for confirming
the one that is chosen."""
TIMING_S = 60.0
"""Seconds of timing after which more launches are not worth the wait, where all have had theirs."""
LEAST_S = 12.0
"""Seconds to time one recipe at all: three processes that import their libraries."""


def quantize(entry: "Entry | None", args: "QuantizeArgs") -> None:
    """Try the recipes, keep the best that meets the contract, and print the table of all.

    Ctrl-C ends the search: the table is that of what was found so far, and the best of it is kept
    as it would have been at the end.

    Raises:
        UserError: a damaged checkpoint, data that can't be read, no recipe that could be tried, or
            less time than the least there is takes.
        ContractNotMet: no recipe meets the contract; nothing was committed.
        KeyboardInterrupt: after Ctrl-C, once the best so far was kept.
    """
    deadline = Deadline(args.minutes)
    terminal.quiet_libraries()
    original = ExportSource.open(args.checkpoint, entry)
    recipes, left_out = fitting(original.network, args.method, args.device)
    if not recipes:
        raise UserError(nothing_to_try(left_out, args.device))
    validation = original.samples("validation", args.data, args.max_eval_samples)
    say_what_rows_show(original.task.primary, len(validation.features), args.max_drop)
    workload = calibration.workload(original, validation, args.batch_size, args.length)
    drawn = calibration.draw(original, workload)
    with artifacts.workshop(args.checkpoint) as staging:
        began = deadline.spent()
        source = original.measured(validation.features)
        reserve = 2 * (deadline.spent() - began)  # both are evaluated to confirm the chosen one
        must_be_enough(deadline, reserve)
        where = (original, staging, validation, None, args.device)
        builder = DeploymentBuilder(*where, source, workload)
        inputs = staging / "inputs.npz"
        np.savez(inputs, **drawn)  # type: ignore[arg-type]
        candidates: list[Candidate] = []
        eager, stopped = None, False
        try:
            make_all(builder, recipes, args, deadline, candidates)
            eager = time_all(builder, to_time(candidates, args), args, inputs, deadline, reserve)
        except KeyboardInterrupt:
            stopped = True
        meet = [
            one for one in candidates if one.within(args.max_drop) and one.surely(args.min_speedup)
        ]
        best = max(meet, key=Candidate.speedup, default=None)
        show(args, original, source, candidates, left_out, best, workload)
        with stop_after(stopped, best.name if best else None):
            if best is None:
                raise ContractNotMet(
                    f"no recipe loses at most {args.max_drop:g} and is surely {args.min_speedup:g} "
                    f"times as fast{within(deadline, candidates)}; nothing was put in place"
                )
            keep(builder, best, args, workload, eager)


def must_be_enough(deadline: Deadline, reserve: float) -> None:
    """Raise `UserError` if the time is too short for one recipe.

    Args:
        reserve: seconds that confirming a recipe takes, twice those of one evaluation.
    """
    least = deadline.spent() + 1.5 * reserve + LEAST_S
    if deadline.seconds < least:
        raise UserError(
            f"`minutes` {deadline.seconds / 60:.2g} is too short: eager fp32 took "
            f"{deadline.spent():.0f} s to open and to evaluate, and with one recipe, its timing "
            f"and its confirmation it takes {Deadline.enough(least)} minutes at least: give more, "
            "or fewer `max_eval_samples`"
        )


def within(deadline: Deadline, candidates: Sequence[Candidate]) -> str:
    """Return a remark on a search whose time was too short to finish; empty if it was not."""
    short = any(one.late for one in candidates) or not deadline.left()
    return f" within {deadline} (more `minutes` may find one)" if short else ""


def make_all(
    builder: DeploymentBuilder,
    recipes: Sequence[Recipe],
    args: "QuantizeArgs",
    deadline: Deadline,
    candidates: list[Candidate],
) -> None:
    """Append a candidate for each recipe; one that is not made by the time for making is a result,
    whose fault says so."""
    material: RecipeInputs | None = None
    for recipe in recipes:
        late = f"not made within half of {deadline}"
        made = Candidate(recipe.deployment, fault=late, late=True)
        if deadline.spent() < MAKING * deadline.seconds:
            terminal.lines(f"{recipe.deployment} ... ({deadline.countdown()})")
            with contextlib.suppress(OutOfTime), deadline.cut(MAKING):
                if material is None and recipe.build:
                    material = prepare(builder.original, builder.staging, args.data)
                made = attempt(builder, recipe, material, args.max_drop)
        candidates.append(made)


def to_time(candidates: Sequence[Candidate], args: "QuantizeArgs") -> list[Candidate]:
    """Return the candidates that are worth timing: with `all` those that lose too much as well."""
    proven = [one for one in candidates if one.proof]
    return proven if args.all else [one for one in proven if one.within(args.max_drop)]


def nothing_to_try(left_out: Sequence[tuple[Recipe, str]], device: str) -> str:
    """Return why no recipe can be tried: the reason of the first one that is for the device."""
    meant = [each for each in left_out if each[0].device == device] or list(left_out)
    why = f": {meant[0][0].deployment}: {meant[0][1]}" if meant else ""
    else_ = ""
    if device == on_gpu.DEVICE and torch.cuda.is_available():
        else_ = "; python -m bench decide --device cuda tries bf16, fp16 and compiled programs"
    return f"no recipe can be tried{why}{else_}"


def attempt(
    builder: DeploymentBuilder, recipe: Recipe, material: RecipeInputs | None, max_drop: float
) -> Candidate:
    """Try a recipe with every layer in int8; if that loses too much, with the most sensitive layers
    in fp32: one, two, four, ... up to half of them.

    A recipe that does not fit the network is a result: `Candidate.fault` says why.
    """

    def tried(excluded: Sequence[str]) -> Candidate:
        write = partial(build, builder.original, recipe, material, excluded)
        return builder.make(recipe.deployment, write if recipe.build else None, excluded)

    best = tried(())
    if best.within(max_drop) or best.artifact is None or not recipe.excludes:
        return best
    assert material is not None
    if len(onnx_generation.files_of(material.exported)) > 1:
        return best  # which layers lose most is found out of one program alone
    with contextlib.suppress(OutOfTime):  # the best until then stands
        try:
            with quiet():
                ranking = material.ranking(recipe.deployment.numerics)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # of the quantizer, about one layer
            best.fault = best.fault or f"layers could not be ranked: {export.obstacle(error)}"
            return best
        count = 1
        while count <= len(ranking) // 2 and not best.within(max_drop):
            found = tried(ranking[:count])
            if found.loses_less(best):
                best = found
            count *= 2
    return best


def build(
    original: ExportSource,
    recipe: Recipe,
    material: RecipeInputs | None,
    excluded: Sequence[str],
    staging: Path,
) -> Artifact:
    """Build the artifact of a recipe in a staging folder."""
    assert recipe.build is not None and material is not None
    more = recipe.build(material, staging, excluded)
    more |= onnx_generation.take_over(material.exported, staging)
    return artifacts.write_manifest(
        staging,
        recipe.deployment,
        probe.infer_signature(original.checkpoint, original.model, original.processor),
        evidence.subject_digest(original.checkpoint.folder),
        {
            "model": original.checkpoint.entry.name,
            "versions": environment.versions(),
            "fp32_layers": list(excluded),
            **more,
        },
    )


def prepare(original: ExportSource, staging: Path, data: str | None) -> RecipeInputs:
    """Export the fp32 program that recipes start from, and select the calibration data."""
    exported, prepared = staging / "fp32", staging / "prepared"
    exported.mkdir()
    prepared.mkdir()
    made = export.build(original, Deployment("onnx"), exported)
    with quiet():
        for file in onnx_generation.files_of(made):
            onnx_int8.prepare(exported, prepared, file)
    feeds = [onnx_decoder.program_feed(made, feed) for feed in calibration.feeds(original, data)]
    return RecipeInputs(original, made, prepared, feeds, staging / "ranges.json")


def time_all(
    builder: DeploymentBuilder,
    candidates: Sequence[Candidate],
    args: "QuantizeArgs",
    inputs: Path,
    deadline: Deadline,
    reserve: float,
) -> "Estimate | None":
    """Time the candidates against eager fp32, interleaved, each in its own processes; return the
    seconds of eager.

    Args:
        reserve: seconds that are kept of the time left.

    Raises `MeasurementInterrupted` on Ctrl-C, once the candidates have the times so far.
    """
    from zoo.measure import ArmFailed, MeasurementInterrupted, Plan, compare

    if not candidates:
        return None
    threads = args.threads or torch.get_num_threads()
    all_of_them = [Candidate(Deployment(BASELINE)), *candidates]
    left = max(0.0, deadline.left() - reserve)
    plan = Plan(budget_s=min(left, TIMING_S), deadline_s=left)
    terminal.lines(
        f"timing {len(candidates)} against eager fp32, in {plan.launches} processes each or as "
        f"many as the time allows ... ({deadline.countdown()})"
    )

    def tell(launches: int) -> None:
        terminal.lines(f"  {launches} of at least {plan.launches} ({deadline.countdown()})")

    def take(outcome: "Outcome") -> "Estimate | None":
        for one in candidates:
            one.take_times(outcome)
            if one.times and one.times.violations:
                one.fault = one.fault or f"while it was timed: {one.times.violations[0]}"
        eager = outcome.times(BASELINE)
        return None if isinstance(eager, ArmFailed) else eager.median

    arms = [builder.arm(one, inputs, threads) for one in all_of_them]
    try:
        return take(compare(arms, plan, start=deadline.bound(Worker), tell=tell))
    except MeasurementInterrupted as stop:
        take(stop.outcome)
        raise


def show(
    args: "QuantizeArgs",
    original: ExportSource,
    source: "Evaluation",
    candidates: Sequence[Candidate],
    left_out: Sequence[tuple[Recipe, str]],
    best: Candidate | None,
    workload: Workload,
) -> None:
    """Print the table of all recipes."""
    metric = original.task.primary.name
    rows = []
    for one in candidates:
        fast = one.compared and (
            f"{one.compared.speedup.value:.2f} ({one.compared.speedup.interval.low:.2f} to "
            f"{one.compared.speedup.interval.high:.2f})"
        )
        notes = [one.fault] if one.fault else []
        if one.excluded:
            layers = "1 layer" if len(one.excluded) == 1 else f"{len(one.excluded)} layers"
            notes.append(f"{layers} in fp32")
        if one is best:
            notes.append("chosen")
        cells = (
            one.drop and str(one.drop),
            fast,
            one.times and milliseconds(one.times.median.value),
            one.proof and size(on_gpu.program(original, one).size, "MB"),
        )
        rows.append((str(one.deployment), *(cell or "-" for cell in cells), ", ".join(notes)))
    rows += [(str(recipe.deployment), "-", "-", "-", "-", spelled(why)) for recipe, why in left_out]
    terminal.table(
        ("deployment", f"{metric} lost", "times as fast", "a call", "size", ""),
        rows,
        title=f"{args.checkpoint}: eager fp32 has {metric} {source.value(metric):.4f} on "
        f"validation; {workload}; at most {args.max_drop:g} may be lost, at least "
        f"{args.min_speedup:g} times as fast",
    )


def keep(
    builder: DeploymentBuilder,
    best: Candidate,
    args: "QuantizeArgs",
    workload: Workload,
    eager: "Estimate | None",
) -> None:
    """Evaluate the chosen candidate on the test split, once; commit it and record all evidence.

    Raises `ContractNotMet` where it surely loses too much there.
    """
    assert best.proof and best.drop and best.compared and best.times
    original, drops = builder.original, [(builder.validation, best.drop)]
    metric = original.task.primary
    runner = builder.runner(best)
    confirmed = confirm(original, runner, args.data, args.max_eval_samples, args.max_drop)
    if confirmed is not None:
        drops.append(confirmed)
    contract = {"max_drop": args.max_drop, "min_speedup": args.min_speedup, **workload.record()}
    common = measured_where(args.device, args.threads or torch.get_num_threads(), workload)
    made, deployment = on_gpu.program(original, best), best.deployment
    speeds = [speed_fact("latency", best.times.median, made.digest, deployment, common)]
    if eager is not None:
        source = str(made.manifest["source"])
        speeds.append(speed_fact("latency", eager, source, Deployment(BASELINE), common))
        ratio = best.compared.speedup
        speeds.append(speed_fact("speedup", ratio, made.digest, deployment, common, speeds[1]))
    if best.artifact is None:
        on_gpu.record(made, best.proof, metric, drops, speeds)
        golden.leave(original, runner, made.digest, args.data)
        terminal.lines(spelled(f"{made.folder} `deployment` {deployment}"))
        return
    artifact = export.commit_artifact(
        made, best.proof, args.checkpoint, metric, drops, {"contract": contract}, speeds
    )
    golden.leave(original, runner, artifact.digest, args.data)
    terminal.lines(f"{artifact.folder}")
