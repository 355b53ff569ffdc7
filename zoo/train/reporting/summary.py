"""The end of a run: its facts, its pictures, and the table that says what to do next."""

import json
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.metrics.spec import metric_spec
from tasks.writes import HasNoPipeline
from zoo.evaluation import class_facts, confusions, constant_answer, number_facts
from zoo.machine import commands, terminal
from zoo.machine.formatting import duration, interval, size
from zoo.machine.progress import samples_per_second, units_per_second
from zoo.store import evidence
from zoo.train.resume.progress import Progress

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.metrics.intervals import MetricEstimate
    from tasks.preflight import Finding
    from zoo.train.methods.base import Data, FinetuneResult, Setup


@dataclass(frozen=True)
class Training:
    """A finished training: its progress, peak memory in bytes, and findings of the check before
    it."""

    progress: Progress
    peak: int  # bytes of memory
    findings: "Sequence[Finding]"  # of the check before it


def metric_facts(
    measured: "Sequence[MetricEstimate]",
    *,
    run: str,
    subject: str,
    dataset: Mapping[str, Any],
    split: str,
    seed: int | None,
    device: str,
    deployment: str = "eager",
) -> list[evidence.Fact]:
    """Return the metrics of a checkpoint as facts, without those that are undefined on this data.

    Args:
        subject: digest of the checkpoint or artifact (`zoo.runtimes.artifacts.subject_of`).
    """
    return [
        evidence.fact(
            "metric",
            m.name,
            m.value,
            metric_spec(m.name).unit,
            n=m.n,
            interval=evidence.interval_of(m),
            subject=subject,
            run=run,
            dataset=dataset,
            split=split,
            seed=seed,
            deployment=deployment,
            device=device,
            threads=torch.get_num_threads(),
        )
        for m in measured
        if m.value == m.value
    ]


def facts(
    setup: "Setup", data: "Data", result: "FinetuneResult", training: Training
) -> list[evidence.Fact]:
    """Return what a finished run has measured, with what the check before training counted in the
    data."""
    task, examples, progress = data.task, data.examples, training.progress
    split, evaluation = result.split, result.evaluation
    whose: dict[str, Any] = {
        "run": uuid.uuid4().hex[:12],
        "subject": evidence.subject_digest(setup.folder),
        "dataset": {"name": examples.name, "fingerprint": examples.fingerprint},
        "seed": setup.args.seed,
    }
    where: dict[str, Any] = {"device": str(setup.device), "threads": torch.get_num_threads()}
    evaluated: dict[str, Any] = {**whose, **where, "deployment": "eager", "split": split}
    common: dict[str, Any] = {
        **whose,
        **where,
        "deployment": _deployment(setup),
        "split": "train",
    }
    measured = [
        ("training", "train_seconds", progress.seconds, "s"),
        ("training", "train_samples_per_second", progress.samples / progress.seconds, "samples/s"),
        (
            "training",
            f"train_{task.unit}_per_second",
            progress.units / progress.seconds,
            f"{task.unit}/s",
        ),
        ("memory", "train_peak_memory", training.peak, "bytes"),
    ]
    return [
        *metric_facts(evaluation.measured, **whose, split=split, device=str(setup.device)),
        *constant_answer.facts(
            task,
            evaluation.constant,
            len(evaluation.accumulator),
            evaluated,
        ),
        *(evidence.fact(k, name, value, unit, **common) for k, name, value, unit in measured),
        *class_facts.of_classes(class_facts.rows_of(task, evaluation.accumulator), **evaluated),
        *number_facts.of_numbers(number_facts.rows_of(task, evaluation.accumulator), **evaluated),
        *confusions.facts(task, evaluation.accumulator, **evaluated),
        *class_facts.of_data(task, examples, training.findings, whose),
    ]


def _deployment(setup: "Setup") -> str:
    """Return how the passes of the training were computed, in the form of
    `zoo.runtimes.deployment`."""
    if setup.dtype == torch.float32:
        return "eager+tf32" if setup.args.dtype == "tf32" else "eager"
    return f"eager+autocast-{'fp16' if setup.dtype == torch.float16 else 'bf16'}"


def show(
    setup: "Setup",
    data: "Data",
    result: "FinetuneResult",
    training: Training,
    pictures: Mapping[str, Path],
    seconds: float,
) -> None:
    """Print the closing table and the next commands to type.

    Args:
        pictures: what was drawn beside the curves, by what it shows.
        seconds: duration of the whole run.
    """
    task, split, evaluation = data.task, result.split, result.evaluation
    _show_table(setup, task, result, training, seconds)
    if warning := constant_answer.warning(task, evaluation.accumulator):
        terminal.lines(f"warning: on {split} {warning}")
    entry, folder = setup.entry, setup.folder
    example = commands.example(task.example_call, data.examples.splits[split], folder)
    own = "" if _known(folder) else "import zoo.auto, then "
    loader = f"pipeline({task.pipeline!r}, model=...)"
    if isinstance(task, HasNoPipeline):
        loader = f"{task.auto_class}.from_pretrained(...)"
    terminal.lines(
        f"checkpoint    {folder}/, loaded by {own}transformers.{loader}",
        f"evidence      {folder}/evidence.jsonl",
        f"curves        {folder}/plots/training.png;  "
        + shlex.join(["tensorboard", "--logdir", f"{folder}/logs"]),
        *(f"{name:<13} {path}" for name, path in pictures.items()),
        "next:",
        f"  {commands.of_model(entry.module, 'evaluate', folder)}",
        *(
            [f"  {commands.of_model(entry.module, 'predict', folder, *example)}"]
            if "predict" in entry.verbs
            else []
        ),
        *(
            [f"  {commands.of_model(entry.pretrains_for, 'finetune', '--model', folder)}"]
            if entry.pretrains_for is not None
            else []
        ),
    )


def _show_table(
    setup: "Setup", task: "Task", result: "FinetuneResult", training: Training, seconds: float
) -> None:
    """Print the metrics, each beside that of one answer to every row, and what training took."""
    progress, constant = training.progress, result.evaluation.constant
    rows = [
        (
            m.name,
            f"{m.value:.4f}",
            interval(m.low, m.high),
            *constant_answer.cell(constant, m.name),
            f"{result.split}, n={m.n:,}",
        )
        for m in result.evaluation.measured
    ]
    others = [
        ("training", duration(progress.seconds), f"{duration(seconds)} in all"),
        (
            "speed",
            samples_per_second(progress.samples / progress.seconds),
            units_per_second(progress.units / progress.seconds, task.unit),
        ),
        ("peak memory", size(training.peak, "GiB", 2), ""),
    ]
    empty = constant_answer.cell(constant, None)
    rows += [(name, value, "", *empty, more) for name, value, more in others]
    header = ("", "value", "95% interval", *constant_answer.heading(task, constant), "")
    terminal.table(header, rows, title=f"{setup.entry.name} in {setup.folder}")


def _known(folder: Path) -> bool:
    """Return whether transformers can load the network of a checkpoint without our code."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config.get("model_type") in CONFIG_MAPPING_NAMES
