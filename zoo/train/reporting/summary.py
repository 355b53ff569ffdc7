"""The end of a run: its facts, its pictures, and the table that says what to do next."""

import json
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.base import Examples, Task
from tasks.metrics.spec import metric_spec
from zoo.evaluation import class_facts
from zoo.evaluation.loop import Evaluation
from zoo.machine import commands, terminal
from zoo.machine.formatting import interval, size
from zoo.store import evidence
from zoo.train.resume.progress import Progress

if TYPE_CHECKING:
    from tasks.metrics.intervals import Measured
    from tasks.preflight import Finding
    from zoo.model.entry import Entry


def metric_facts(
    measured: "Sequence[Measured]",
    *,
    run: str,
    subject: str,
    dataset: Mapping[str, Any],
    split: str,
    seed: int | None,
    device: str,
    deployment: str = "eager",
) -> list[evidence.Fact]:
    """Metrics of a checkpoint as facts; those that are undefined on this data are left out.

    Args:
        subject: digest of the checkpoint or artifact; see `zoo.runtimes.artifacts.subject_of`.
    """
    return [
        evidence.fact(
            "metric",
            m.name,
            m.value,
            metric_spec(m.name).unit,
            n=m.n,
            interval={"low": m.low, "high": m.high, "level": m.level, "method": m.method}
            if m.low == m.low
            else None,
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
    folder: Path,
    manifest: Mapping[str, Any],
    task: Task,
    examples: Examples,
    result: tuple[str, Evaluation],
    progress: Progress,
    peak: int,
    dtype: torch.dtype,
    device: torch.device,
    findings: "Sequence[Finding]",
) -> list[evidence.Fact]:
    """What a finished run has measured, with what the check before it counted in the data."""
    split, evaluation = result
    run = uuid.uuid4().hex[:12]
    dataset = {"name": examples.name, "fingerprint": examples.fingerprint}
    whose: dict[str, Any] = {
        "run": run,
        "subject": evidence.subject_digest(folder),
        "dataset": dataset,
        "seed": manifest["seed"],
    }
    where: dict[str, Any] = {"device": str(device), "threads": torch.get_num_threads()}
    common: dict[str, Any] = {
        **whose,
        **where,
        "deployment": "eager" if dtype == torch.float32 else "eager+autocast-bf16",
        "split": "train",
    }
    training = [
        ("training", "train_seconds", progress.seconds, "s"),
        ("training", "train_samples_per_second", progress.samples / progress.seconds, "samples/s"),
        (
            "training",
            f"train_{task.unit}_per_second",
            progress.units / progress.seconds,
            f"{task.unit}/s",
        ),
        ("memory", "train_peak_memory", peak, "bytes"),
    ]
    return [
        *metric_facts(evaluation.measured, **whose, split=split, device=str(device)),
        *(evidence.fact(k, name, value, unit, **common) for k, name, value, unit in training),
        *class_facts.of_classes(
            class_facts.rows_of(task, evaluation.tally),
            **whose,
            **where,
            deployment="eager",
            split=split,
        ),
        *class_facts.of_data(task, examples, findings, whose),
    ]


def plots(folder: Path, records: Sequence[Mapping[str, Any]], task: Task) -> None:
    """`plots/training.png`: loss and main metric over the run."""
    from zoo.machine.plots import training_curves

    training_curves(folder / "plots" / "training.png", records, task.primary.name)


def show(
    entry: "Entry",
    folder: Path,
    task: Task,
    examples: Examples,
    result: tuple[str, Evaluation],
    progress: Progress,
    peak: int,
    seconds: float,
) -> None:
    """The closing table, and what to type next."""
    split, evaluation = result
    rows = [
        (m.name, f"{m.value:.4f}", interval(m.low, m.high), f"{split}, n={m.n:,}")
        for m in evaluation.measured
    ]
    rows += [
        ("training", f"{progress.seconds:.1f} s", "", f"{seconds:.1f} s in all"),
        (
            "speed",
            f"{progress.samples / progress.seconds:.1f} samples/s",
            "",
            f"{progress.units / progress.seconds:,.0f} {task.unit}/s",
        ),
        ("peak memory", size(peak, "GiB", 2), "", ""),
    ]
    terminal.table(("", "value", "95% interval", ""), rows, title=f"{entry.name} in {folder}")
    example = commands.example(task.example_call, examples.splits[split], folder)
    own = "" if _known(folder) else "import zoo.auto, then "
    terminal.lines(
        f"checkpoint    {folder}/, loaded by {own}transformers.pipeline({task.pipeline!r}, "
        "model=...)",
        f"evidence      {folder}/evidence.jsonl",
        f"curves        {folder}/plots/training.png;  "
        + shlex.join(["tensorboard", "--logdir", f"{folder}/logs"]),
        "next:",
        f"  {commands.python(entry.module, 'evaluate', folder)}",
        *(
            [f"  {commands.python(entry.module, 'predict', folder, *example)}"]
            if "predict" in entry.verbs
            else []
        ),
        *(
            [f"  {commands.python(entry.starts, 'finetune', '--model', folder)}"]
            if entry.starts is not None
            else []
        ),
    )


def _known(folder: Path) -> bool:
    """Whether transformers knows the network of a checkpoint by itself."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config.get("model_type") in CONFIG_MAPPING_NAMES
