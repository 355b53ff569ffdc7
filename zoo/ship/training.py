"""The step that trains, in the time that it has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.errors import UserError
from zoo.cli.args import ShipArgs
from zoo.machine.formatting import duration
from zoo.ship.choose import Choice, most_epochs
from zoo.ship.clock import START_S, Clock
from zoo.ship.look import Look
from zoo.ship.programs import Ended, Running, Step, run
from zoo.ship.record import Record
from zoo.store.checkpoint import MANIFEST

CUT = " fit into "
"""In the line of a training that its time has made shorter."""
VALIDATION = b'"split": "validation"'
"""In the lines of a log that are evaluations."""
LEAST_S = 20.0
"""That training gets where earlier calls have spent its share."""
EVALUATIONS = 5
"""Of a training whose validation split is nearly as large as its train split."""


def step_of(args: ShipArgs, look: Look, choice: Choice, seconds: float, folder: Path) -> Step:
    """Return the command that trains for so many seconds at most."""
    rows = look.rows
    epochs = round(most_epochs(choice.entry, rows["train"]), 2)
    words = ["finetune", choice.entry.name, *choice.words, *look.words]
    words += ["--num_train_epochs", f"{epochs:g}", "--minutes", f"{seconds / 60:.2f}"]
    if rows.get("validation", 0) > 0.3 * rows["train"] and epochs > EVALUATIONS:
        batch = int(choice.entry.recipe["per_device_train_batch_size"])
        every = math.ceil(epochs * rows["train"] / batch / EVALUATIONS)
        words += ["--eval_strategy", "steps", "--eval_steps", str(every)]
    if args.device != "auto":
        words += ["--device", args.device]
    if args.seed != type(args).seed:
        words += ["--seed", str(args.seed)]
    words += ["--save_minutes", "2", "--report_to", "none"]
    return Step("zoo", (*words, "--resume", "--output_dir", str(folder)))


@dataclass
class Watch:
    """Tells what a training finds while it runs, and keeps how much time was spent."""

    logs: Path
    metric: str
    record: Record
    clock: Clock
    say: Callable[..., None]
    told: int = -1
    """optimizer step of the last evaluation that was told"""

    def __call__(self, running: Running | None = None) -> None:
        """Look once."""
        for found in self.evaluations():
            self.told = int(found["step"])
            value = f"{self.metric} {found[self.metric]:.4f}"
            self.say("", f"epoch {found['epoch']:.2g}: {value} on validation")
        if self.clock.spent() - self.record.spent > 5:
            self.record.save(self.clock.spent())

    def evaluations(self) -> list[dict[str, Any]]:
        """Return the evaluations that were not told yet. The log is read anew: a training that goes
        on has written it anew, without what came after its state."""
        try:
            lines = (self.logs / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        found = [json_files.parse(line) for line in lines if VALIDATION in line]
        return [one for one in found if one["step"] > self.told and self.metric in one]


def train(
    args: ShipArgs,
    look: Look,
    choice: Choice,
    record: Record,
    clock: Clock,
    say: Callable[..., None],
) -> bool:
    """Train in the time there is; the checkpoint lies in the record's folder then. Returns whether
    there was too little time for all that the recipe makes sense with.

    Raises `UserError` where the data or the machine has a fault.
    """
    seconds = max(LEAST_S, clock.training_ends() - clock.spent() - START_S)
    epochs = most_epochs(choice.entry, look.rows["train"])
    step = step_of(args, look, choice, seconds, record.folder)
    text = f"{duration(seconds)} of {args.minutes:g} min, and no more than {epochs:.2g} epochs"
    say("training", text, step)
    watch = Watch(record.folder / "logs", look.task.primary.name, record, clock, say)
    watch.told = max((int(one["step"]) for one in watch.evaluations()), default=-1)  # of before
    ended = run(step, record.place / "training.txt", watch)
    watch()
    cuts = [line.strip() for line in ended.printed.splitlines() if CUT in line]
    for line in cuts[-1:]:
        say("", line)
    _must_have_ended(ended, record.folder, step)
    return bool(cuts)


def _must_have_ended(ended: Ended, folder: Path, step: Step) -> None:
    """Raises `UserError` with what the program has said, where it has failed."""
    if ended.code == 0 and (folder / MANIFEST).is_file():
        return
    if ended.code < 0 or ended.code >= 128:
        raise UserError(f"training was stopped by a signal: the same command goes on ({step})")
    raise UserError(f"training: {ended.last}")
