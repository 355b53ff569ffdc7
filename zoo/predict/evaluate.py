"""The verb evaluate: a checkpoint's metrics with n and intervals, its confusions and worst
mistakes."""

import dataclasses
import importlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.base import Examples, Features, HasConfusions, Task
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.inputs import FromMedia
from tasks.writes import Writes
from zoo.evaluation import (
    class_facts,
    confusions,
    constant_answer,
    hardest_errors,
    number_facts,
)
from zoo.evaluation.checkpoint_metrics import CheckpointMetrics
from zoo.evaluation.class_facts import ClassScores
from zoo.evaluation.confusions import top_confusions
from zoo.evaluation.loop import Evaluation, evaluate
from zoo.evaluation.number_facts import NumberScores
from zoo.machine import terminal
from zoo.machine.accelerator import accelerator_on
from zoo.machine.formatting import interval
from zoo.machine.precision import choose_device, choose_dtype
from zoo.predict import made_pictures, made_texts
from zoo.predict.judged import Judge, Judged
from zoo.predict.pipeline import open_deployed
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.speedups.allocator import keep_freed_memory
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint
from zoo.train import threads
from zoo.train.reporting.summary import metric_facts

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.metrics.accumulator import ConstantAnswer
    from tasks.metrics.classification import ClassificationMetric
    from tasks.metrics.intervals import MetricEstimate
    from zoo.cli.args import EvaluateArgs
    from zoo.model.entry import Entry

COMMONEST = 10  # confusions that are listed
READING = {"objects_column": "boxes", "box_format": "boxes", "classes": "masks"}
"""What may be told anew of the data, beside `on_bad_file`, and what each is for."""


def evaluate_checkpoint(entry: "Entry", args: "EvaluateArgs") -> CheckpointMetrics:
    """Evaluate a checkpoint, print its metrics, add them to its evidence, and return them.

    Raises `UserError` for a damaged checkpoint, data that can't be read, or unknown labels.
    """
    terminal.quiet_libraries()
    keep_freed_memory()
    with threads.restored():  # who calls this from Python has theirs again
        if args.threads is not None:
            torch.set_num_threads(args.threads)  # also of what is computed beside the deployment
        return _evaluate(entry, args)


def _evaluate(entry: "Entry", args: "EvaluateArgs") -> CheckpointMetrics:
    deployment = _deployment(args)
    how = (args.deployment, args.device, args.threads)
    checkpoint, model, _ = open_deployed(args.checkpoint, entry, *how)
    task, data = _as_told(checkpoint.task, args), _data(checkpoint, args)
    trained_on = checkpoint.manifest["data"]["fingerprint"]
    factory = importlib.import_module(entry.task)
    examples = factory.for_evaluation(task, data, args.split, trained_on)
    split = next(iter(examples.splits))
    device = choose_device(args.device)
    features = task.features(examples.splits[split], f"{examples.fingerprint}/{split}/{data}")
    dtype = choose_dtype(args.dtype, device)
    judge = _judge_of(args, entry, task, model, examples, features, device)
    accelerator = accelerator_on(device)
    model.to(device)
    found = evaluate(
        model,
        task,
        features,
        batch_size=args.per_device_eval_batch_size,
        accelerator=accelerator,
        dtype=dtype,
        keep_errors=args.mistakes,
        split=split,
    )
    folder = args.checkpoint
    metrics = CheckpointMetrics.of(folder, entry.name, examples.name, split, found)
    if not accelerator.is_main_process:
        return metrics
    ran = str(deployment) if dtype == torch.float32 else "eager+autocast-bf16"
    common: dict[str, Any] = {
        **_measured_on(examples, split, checkpoint.manifest["seed"]),
        "device": str(device),
        "deployment": ran,
        "subject": artifacts.subject_of(folder, deployment),
    }
    numbers = number_facts.rows_of(task, found.accumulator)
    classes = class_facts.rows_of(task, found.accumulator)
    where = common | {"threads": torch.get_num_threads()}
    per_part = [
        *class_facts.of_classes(classes, **where),
        *number_facts.of_numbers(numbers, **where),
    ]
    evidence.append(folder, [*_of_the_whole(task, found, common, where), *per_part])
    if judged := judge.judge(model, features, dtype) if judge else None:
        evidence.append(folder, judged.facts(where))
        metrics = metrics.extended(judged.made)
    if args.json:
        said = {"checkpoint": str(folder), "data": examples.name, "split": split}
        parts = as_json(task, found, classes, numbers, judged)
        terminal.lines(json.dumps(said | parts, ensure_ascii=False))
        return metrics
    _show_metrics(task, found, f"{folder} on {examples.name}, {split}")
    class_facts.show(classes)
    number_facts.show(numbers)
    if judged:
        judged.show()
    _show_confusions(folder, task, found.accumulator)
    _show_mistakes(folder, found, task, features, examples.splits[split], common)
    return metrics


def _judge_of(
    args: "EvaluateArgs",
    entry: "Entry",
    task: Task,
    model: "nn.Module",
    examples: Examples,
    features: Features,
    device: torch.device,
) -> Judge | None:
    """Return what measures the pictures or texts that the model makes; None where that is not asked
    for. Raises `UserError` as `made_pictures.judge_of` and `made_texts.judge_of` do."""
    [(split, rows)] = examples.splits.items()
    data = f"{examples.name}, {split}"
    if isinstance(task, Writes) and args.features is None:
        return made_texts.judge_of(args, task, model, rows, data, device)
    return made_pictures.judge_of(args, entry, task, features, data)


def _deployment(args: "EvaluateArgs") -> Deployment:
    found = Deployment.parse(args.deployment)
    if found != Deployment("eager") and args.dtype != "fp32":
        raise UserError(f"`dtype` is for eager: name the numerics in `deployment` {found}")
    return found


def _measured_on(examples: Examples, split: str, seed: int) -> dict[str, Any]:
    """Return what all facts of one evaluation have in common of its data."""
    data = {"name": examples.name, "fingerprint": examples.fingerprint}
    return {"run": uuid.uuid4().hex[:12], "dataset": data, "split": split, "seed": seed}


def _of_the_whole(
    task: Task, found: Evaluation, common: dict[str, Any], where: dict[str, Any]
) -> "list[evidence.Fact]":
    """Return the facts that are of no single class or number."""
    return [
        *metric_facts(found.measured, **common),
        *constant_answer.facts(task, found.constant, len(found.accumulator), where),
        *confusions.facts(task, found.accumulator, **where),
    ]


def _show_mistakes(
    folder: Path,
    found: Evaluation,
    task: Task,
    features: Features,
    examples: "datasets.Dataset",
    said: Mapping[str, Any],
) -> None:
    """Print the hardest errors and draw them; keep those of the weights themselves for the card."""
    seen = found.hardest, task, features, examples
    hardest_errors.show(*seen)
    path = hardest_errors.picture(folder, *seen)
    if path:
        terminal.lines(f"mistakes          {path}")
    if found.hardest and said["deployment"] == "eager":
        hardest_errors.record(folder, hardest_errors.rows(*seen), path, said)


def _data(checkpoint: Checkpoint, args: "EvaluateArgs") -> DataArgs:
    """Return the data that the flags name, or else those that the checkpoint was trained on."""
    trained = checkpoint.manifest["config"]["data"]
    return dataclasses.replace(
        DataArgs(**trained),
        data=args.data or trained["data"],
        data_config=args.data_config if args.data else trained["data_config"],
        max_eval_samples=args.max_eval_samples,
    )


def _as_told(task: Any, args: "EvaluateArgs") -> Task:
    """Return the task that reads as the flags say, where they say something; raises `UserError` for
    one that is not for the task."""
    if args.on_bad_file is not None and not isinstance(task.args, FromMedia):
        raise UserError(f"`on_bad_file` is for files, and {task.name} reads none")
    said = {name: getattr(args, name) for name in ("on_bad_file", *READING)}
    said = {name: value for name, value in said.items() if value is not None}
    for name in said:
        if not hasattr(task.args, name):
            raise UserError(f"`{name}` is for {READING[name]}, and {task.name} reads none")
    told: Task = task
    if said:
        told = dataclasses.replace(task, args=dataclasses.replace(task.args, **said))
    return told


def _show_metrics(task: Task, evaluation: Evaluation, title: str) -> None:
    constant = evaluation.constant
    always = constant_answer.heading(task, constant)
    terminal.table(
        ("metric", "value", "95% interval", *always, "n", "method"),
        [
            (
                m.name,
                f"{m.value:.4f}",
                interval(m.low, m.high),
                *constant_answer.cell(constant, m.name),
                f"{m.n:,}",
                m.method,
            )
            for m in evaluation.measured
        ],
        title=f"{title} (loss {evaluation.loss:.4f}, {evaluation.seconds:.1f} s)",
    )
    if warning := constant_answer.warning(task, evaluation.accumulator):
        terminal.lines(f"warning: {warning}")


def as_json(
    task: Task,
    evaluation: Evaluation,
    classes: Sequence[ClassScores],
    numbers: Sequence[NumberScores],
    judged: Judged | None = None,
) -> dict[str, Any]:
    """Return an evaluation as plain JSON: loss, metrics, what one constant answer would be worth,
    the classes, those without rows as well, each of several numbers, and what was measured of
    pictures or texts that were made. What is undefined is None."""
    found: dict[str, Any] = {
        "loss": _finite(evaluation.loss),
        "metrics": {one.name: _estimate(one) for one in evaluation.measured},
        **_constant(task, evaluation.constant),
    }
    if warning := constant_answer.warning(task, evaluation.accumulator):
        found["warning"] = warning
    if classes:
        found["classes"] = [
            {"label": row.label, "n": row.n, "predicted": row.predicted}
            | {name: _estimate(one) for name, one in row.scores.items()}
            for row in classes
        ]
    if numbers:
        found["numbers"] = [
            {"name": row.name, "metrics": {one.name: _estimate(one) for one in row.metrics}}
            | _constant(task, row.constant)
            for row in numbers
        ]
    if judged:
        sets = {
            name: {one.name: _estimate(one) for one in metrics}
            for name, metrics in judged.sets.items()
        }
        found[judged.kind] = {**judged.described(), "sets": sets}
    return found


def _constant(task: Task, constant: "ConstantAnswer | None") -> dict[str, Any]:
    """Return what a constant answer is worth, under `constant`; nothing without one."""
    if constant is None:
        return {}
    worth = {name: _finite(value) for name, value in constant.values.items()}
    answer = constant_answer.name_of(task, constant.answer)
    return {"constant": {"answer": answer, "metrics": worth}}


def _estimate(one: "MetricEstimate") -> dict[str, Any]:
    numbers = {name: _finite(getattr(one, name)) for name in ("value", "low", "high")}
    return {**numbers, "level": one.level, "method": one.method, "n": one.n}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _show_confusions(folder: Path, task: Task, accumulator: "ClassificationMetric") -> None:
    matrix = confusions.matrix_of(task, accumulator)
    pairs: Sequence[tuple[str, str, int]] = ()
    if isinstance(task, HasConfusions):
        pairs = task.top_confusions(accumulator)
    elif matrix is not None:
        pairs = top_confusions(matrix, task.labels)
    if pairs:
        rows = [(truth, said, f"{count:,}") for truth, said, count in pairs[:COMMONEST]]
        title = "commonest confusions"
        terminal.table(("true", "taken for", "times"), rows, title, after_gap=True)
    if matrix is not None:
        path = confusions.picture(folder, matrix, task.labels)
        terminal.lines(f"confusion matrix  {path}", f"evidence          {folder}/evidence.jsonl")
