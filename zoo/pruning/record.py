"""What the stages of a pruning have left: measured, recorded, and shown as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo.evaluation.loop import Evaluation
from zoo.machine import commands, terminal
from zoo.machine.formatting import interval
from zoo.pruning import magnitude
from zoo.pruning.setting import PruningRun
from zoo.store import evidence
from zoo.train.finetune import measure
from zoo.train.reporting.summary import metric_facts

if TYPE_CHECKING:
    from zoo.model.entry import Entry


@dataclass(frozen=True)
class PruningStage:
    """Measurements of the checkpoint that a stage made; the first stage is the unpruned input."""

    subject: str
    sparsity: float  # share of the prunable weights, or of the units, that is gone
    parameters: int  # that are left
    found: Mapping[str, Evaluation]  # by split


def measure_stage(setting: PruningRun, number: int, folder: Path, model: nn.Module) -> PruningStage:
    """Measure the model in a folder; the first and the last stage are measured on two splits."""
    splits = [setting.split]
    if number in (0, setting.args.stages) and setting.final_split not in splits:
        splits.append(setting.final_split)
    found = {
        split: measure(
            model, setting.task, setting.data.features[split], setting.train, setting.accelerator
        )
        for split in splits
    }
    parameters = sum(p.numel() for p in model.parameters())
    if setting.args.structured:
        left = sum(setting.network.prunable_widths(model))
        sparsity = 1 - left / sum(setting.dense)
    else:
        gone, prunable = magnitude.zeros(model)
        sparsity = gone / prunable
        parameters -= gone
    return PruningStage(evidence.subject_digest(folder), sparsity, parameters, found)


def append(setting: PruningRun, stage: PruningStage, run: str) -> None:
    """Add a stage to the evidence of the pruned checkpoint; each stage is a separate subject."""
    if not setting.accelerator.is_main_process:
        return
    common: dict[str, Any] = {"subject": stage.subject, "run": run, "seed": setting.args.seed}
    examples = setting.data.examples
    facts = [
        fact
        for split, evaluation in stage.found.items()
        for fact in metric_facts(
            evaluation.measured,
            dataset={"name": examples.name, "fingerprint": examples.fingerprint},
            split=split,
            device=str(setting.accelerator.device),
            **common,
        )
    ]
    facts += [
        evidence.fact("size", "sparsity", stage.sparsity, "1", **common),
        evidence.fact("size", "parameters_left", stage.parameters, "1", **common),
    ]
    evidence.append(setting.folder, facts)


def show(entry: "Entry", setting: PruningRun, stages: Sequence[PruningStage]) -> None:
    """Print all stages by the main metric, and the first and the last stage by all metrics."""
    metric, folder = setting.task.primary.name, setting.folder
    rows = []
    for number, stage in enumerate(stages):
        one = next(m for m in stage.found[setting.split].measured if m.name == metric)
        size = f"{stage.sparsity:.3f}", f"{stage.parameters:,}"
        said = f"{one.value:.4f}", interval(one.low, one.high), f"{one.n:,}"
        rows.append((str(number), *size, *said))
    what = "units" if setting.args.structured else "weights"
    terminal.table(
        ("stage", f"{what} gone", "parameters left", metric, "95% interval", "n"),
        rows,
        title=f"{entry.name} in {folder}, {setting.split}",
    )
    before, after = (stages[i].found[setting.final_split].measured for i in (0, -1))
    was = {m.name: f"{m.value:.4f}" for m in before}
    terminal.table(
        ("metric", "before", "pruned", "95% interval", "n"),
        [
            (m.name, was[m.name], f"{m.value:.4f}", interval(m.low, m.high), f"{m.n:,}")
            for m in after
        ],
        title=setting.final_split,
        after_gap=True,
    )
    terminal.lines(
        f"checkpoint    {folder}/",
        f"evidence      {folder}/evidence.jsonl",
        "next:",
        f"  {commands.of_model(entry.module, 'evaluate', folder)}",
    )
