"""The folder a run writes to, and what is said before it begins."""

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.base import Examples, Features, Task
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.checkpoint import MANIFEST
from zoo.train import forecast
from zoo.train.memory import out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tasks.preflight import Finding
    from zoo.entry import Entry
    from zoo.train.args import TrainArgs


def prepare(folder: Path, resume: bool, main: bool) -> bool:
    """Makes the folder ready; returns whether the run goes on from a saved state.

    A run that SIGTERM stopped (a preempted machine) goes on by itself. Any other run that lies
    there is moved aside, never overwritten.

    Raises `UserError` where the folder holds something that is not a run.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder} is a file; give a folder")
    contents = {p.name for p in folder.iterdir()} if folder.exists() else set()
    if contents and not contents & {MANIFEST, "state", "logs"}:
        raise UserError(
            f"--output_dir {folder} holds something that is no run of the zoo's; "
            "give an empty or new folder"
        )
    if resume or not contents:
        if main:
            folder.mkdir(parents=True, exist_ok=True)
        return resume
    if _stopped_by_sigterm(folder):
        if main:
            print_lines(f"{folder} was stopped by SIGTERM: going on from there", file=sys.stderr)
        return True
    if main:
        aside = next(
            path
            for i in range(1, 10_000)
            if not (path := folder.with_name(f"{folder.name}.{i}")).exists()
        )
        folder.rename(aside)
        hint = "" if (aside / MANIFEST).exists() else "; --resume would have gone on with it"
        print_lines(f"{folder} held another run: moved to {aside}{hint}", file=sys.stderr)
        folder.mkdir(parents=True)
    return False


def _stopped_by_sigterm(folder: Path) -> bool:
    for path in sorted((folder / "state").glob("step-*/progress.json"), reverse=True):
        try:
            stopped: bool = json.loads(path.read_text())["signal"] == signal.SIGTERM
        except (OSError, ValueError, KeyError):
            continue
        return stopped
    return False


def report_findings(findings: "list[Finding]") -> None:
    """Prints warnings; raises `UserError` with the first error, after printing the others."""
    errors = [finding for finding in findings if finding.level == "error"]
    for finding in findings:
        if finding.level == "warning":
            print_lines(f"warning: {finding.message}", file=sys.stderr)
    for finding in errors[1:]:
        print_lines(f"error: {finding.message}", file=sys.stderr)
    if errors:
        raise UserError(errors[0].message)


def announce(
    entry: "Entry",
    task: Task,
    examples: Examples,
    features: Mapping[str, Features],
    learned: Features,
    parameters: int,
    model: "nn.Module",
    device: "torch.device",
    dtype: "torch.dtype",
    args: "TrainArgs",
    teacher: "nn.Module | None" = None,
) -> None:
    """What is trained on what, and what it will cost; a warning where memory may run out.

    `learned` is what the loop takes: the train split, or more of it.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    sizes = ", ".join(f"{len(f):,} {name}" for name, f in features.items())
    train = features["train"]
    arithmetic = str(dtype).removeprefix("torch.")
    print_lines(
        f"{entry.name}: {parameters / 1e6:.1f}M parameters ({trained:,} trained), "
        f"{arithmetic} on {device}; data {examples.name} ({examples.fingerprint[:12]}): {sizes}; "
        f"{train.lengths.mean():.0f} {task.unit} a sample",
        file=sys.stderr,
    )
    try:
        expected = forecast.forecast(model, task, learned, args, device, dtype, teacher)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        print_lines(
            "warning: memory ran out in the pass that was to forecast the cost", file=sys.stderr
        )
        return
    print_lines(f"expected: {expected}", file=sys.stderr)
    if warning := expected.warning():
        print_lines(f"warning: {warning}", file=sys.stderr)
