"""The step that trains: watched, and fitted to its time by the rate that it shows."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from zoo.machine.formatting import duration
from zoo.ship.args import ShipArgs
from zoo.ship.choose import Choice, most_epochs
from zoo.ship.clock import Clock
from zoo.ship.look import Look
from zoo.ship.programs import Ended, Running, Step, run
from zoo.ship.record import Record
from zoo.store.checkpoint import MANIFEST

LOGGED = 5
"""Optimizer steps between the numbers that the rate is taken of."""
MEASURED_S = 4.0
"""Seconds of training that a rate is taken of, at the least."""
CLOSING_S = 8.0
"""That a fine-tune takes behind its last evaluation: it opens the checkpoint anew, and sums."""
SLACK = 0.03
"""Share of the whole time by which training may be late before it is made shorter."""
MOST_FITS = 4
"""Times that it is made shorter, each of which costs a start."""
EVALUATIONS = 5
"""Of a training whose validation split is as large as its train split, or nearly."""


@dataclass(frozen=True)
class Plan:
    """How long is trained."""

    epochs: float
    """that the recipe makes sense with"""
    steps: int
    """optimizer steps that these are"""
    batch: int
    """samples of a step"""
    fitted: int | None = None
    """optimizer steps for which there is time, where those are fewer"""

    @classmethod
    def of(cls, choice: Choice, rows: int) -> "Plan":
        """Return the plan for so many rows, as if there was time for all of it."""
        batch = int(choice.entry.recipe.get("per_device_train_batch_size", 32))
        epochs = round(most_epochs(choice.entry, rows), 2)
        return cls(epochs, max(1, math.ceil(epochs * -(-rows // batch))), batch)

    @property
    def total(self) -> int:
        """Return the optimizer steps to take."""
        return self.fitted or self.steps


@dataclass
class Watch:
    """Looks at a training while it runs, and stops it where it will be late."""

    logs: Path
    plan: Plan
    clock: Clock
    rows: dict[str, int]
    start_s: float = 0.0
    """seconds until its first step; measured"""
    is_rounded: bool = False
    """whether it trains in bf16, and is evaluated slower than it trains"""
    may_fit: bool = True
    fitted: int | None = None
    """optimizer steps that it is to be gone on with"""
    late_s: float = 0.0
    """by which it would have been late"""
    rate: float = 0.0
    """samples a second"""
    told: int = 0
    """lines that were looked at"""
    trained: list[tuple[float, float]] = field(default_factory=list)
    """samples and seconds of training, as they were logged"""
    tell: Callable[[dict[str, Any]], None] = lambda found: None
    """called with each evaluation"""

    def __call__(self, running: Running) -> None:
        """Look once; stop what runs if it has to be shorter."""
        if not self._read():
            return
        if not self.start_s:
            self.start_s = self.clock.spent() - self._began
        if self.may_fit and self._is_late() and self.fitted is not None:
            running.stop()

    def __post_init__(self) -> None:
        self._began = self.clock.spent()

    def _read(self) -> bool:
        """Take the lines that are new; returns whether there were any of training so far."""
        try:
            lines = (self.logs / "metrics.jsonl").read_bytes().split(b"\n")[:-1]
        except OSError:
            return False
        for line in lines[self.told :]:
            said = json.loads(line)
            if said["split"] == "train":
                samples = float(said["step"] * self.plan.batch)
                self.trained.append((samples, samples / said["samples_per_second"]))
            else:
                self.tell(said)
        self.told = max(self.told, len(lines))
        return bool(self.trained)

    def _is_late(self) -> bool:
        """Forecast the end; where it is too late, note how many steps there is time for."""
        first = self.trained[0] if len(self.trained) < 4 else self.trained[len(self.trained) // 4]
        (samples, seconds), (done, spent) = first, self.trained[-1]
        if spent - seconds < MEASURED_S or done <= samples:
            return False
        self.rate = (done - samples) / (spent - seconds)
        rest = self.plan.total * self.plan.batch - done
        if rest <= 0:
            return False
        ends = self.clock.spent() + rest / self.rate + self._beside(rest)
        self.late_s = ends - self.clock.training_ends()
        if self.late_s <= SLACK * self.clock.seconds:
            return False
        room = self.clock.training_ends() - self.clock.spent() - self.start_s - self._beside(0)
        per_sample = 1 / self.rate + (self._beside(rest) - self._beside(0)) / rest
        steps = int((done + max(0.0, room) / per_sample) / self.plan.batch)
        self.fitted = max(steps, int(done / self.plan.batch) + 1)
        return self.fitted < self.plan.total

    def _beside(self, samples: float) -> float:
        """The seconds of all that is no training while so many samples are trained on: evaluations
        of validation, and that of test at the end."""
        rate = self.rate * (1.0 if self.is_rounded else 2.0)
        evaluations = 1 + samples / self.rows["train"]
        others = self.rows.get("test", self.rows.get("validation", 0))
        return (evaluations * self.rows.get("validation", 0) + others) / rate + CLOSING_S


def step_of(args: ShipArgs, look: Look, choice: Choice, plan: Plan, folder: Path) -> Step:
    """Return the command that trains."""
    long = ("--num_train_epochs", f"{plan.epochs:g}")
    if plan.fitted is not None:
        long = ("--max_steps", str(plan.fitted))
    words = ["finetune", choice.entry.name, *choice.words, *look.words, *long]
    rows = look.rows
    if rows.get("validation", 0) > 0.3 * rows["train"] and plan.epochs > EVALUATIONS:
        words += ["--eval_strategy", "steps", "--eval_steps", str(-(-plan.total // EVALUATIONS))]
    if args.device != "auto":
        words += ["--device", args.device]
    if args.seed != type(args).seed:
        words += ["--seed", str(args.seed)]
    words += ["--logging_steps", str(LOGGED), "--save_minutes", "2", "--report_to", "none"]
    return Step("zoo", (*words, "--resume", "--output_dir", str(folder)))


def train(
    args: ShipArgs,
    look: Look,
    choice: Choice,
    record: Record,
    clock: Clock,
    say: Callable[..., None],
) -> None:
    """Train in the time there is; the checkpoint lies in the record's folder then.

    Raises `UserError` where the data or the machine has a fault.
    """
    plan = Plan.of(choice, look.rows["train"])
    plan = dataclasses.replace(plan, fitted=record.steps.get("plan", {}).get("max_steps"))
    step = step_of(args, look, choice, plan, record.folder)
    if plan.fitted is None:
        until = f"or until {duration(clock.training_ends())} are used"
        say("training", f"up to {plan.epochs:g} epochs ({plan.steps:,} steps), {until}", step)
    else:
        say("training", f"{plan.fitted:,} steps, as was measured before", step)
    start_s = 0.0
    for fits in range(MOST_FITS + 1):
        watch = _watch(look, plan, clock, record)
        watch.start_s, watch.may_fit = start_s, fits < MOST_FITS
        watch.tell = lambda found: _tell(look, found, say)
        ended = run(step, record.place / "training.txt", _with_record(watch, record))
        if ended.code == 0 or watch.fitted is None:
            break
        start_s = watch.start_s
        plan = dataclasses.replace(plan, fitted=watch.fitted)
        record.done("plan", max_steps=watch.fitted)
        record.save(clock.spent())
        step = step_of(args, look, choice, plan, record.folder)
        say("training", _shorter(watch, plan, look), step)
    _must_have_ended(ended, record.folder, step)


def _watch(look: Look, plan: Plan, clock: Clock, record: Record) -> Watch:
    watch = Watch(record.folder / "logs", plan, clock, look.rows)
    watch.is_rounded = _has_bf16()
    path = watch.logs / "metrics.jsonl"
    if path.is_file():  # of before: its rate may be another one
        watch.told = path.read_bytes().count(b"\n")
    return watch


def _has_bf16() -> bool:
    from zoo.machine import environment

    flags: Sequence[str] = environment.machine(gpu=False).get("isa", ())
    return any("bf16" in flag for flag in flags)


def _with_record(watch: Watch, record: Record) -> Callable[[Running], None]:
    """The watch, which also keeps how much time was spent."""

    def look(running: Running) -> None:
        watch(running)
        if watch.clock.spent() - record.spent > 5:
            record.save(watch.clock.spent())

    return look


def _tell(look: Look, found: dict[str, Any], say: Callable[..., None]) -> None:
    name = look.task.primary.name
    value = found.get(name)
    if value is not None:
        say("", f"epoch {found['epoch']:.2g}: {name} {value:.4f} on validation")


def _shorter(watch: Watch, plan: Plan, look: Look) -> str:
    epochs = plan.total * plan.batch / look.rows["train"]
    rows = f"{epochs:.2g} epochs"
    if epochs < 1:
        rows = f"{plan.total * plan.batch:,} of {look.rows['train']:,} rows, each once"
    return (
        f"{watch.rate:.3g} samples/s were measured, with which it would end "
        f"{duration(watch.late_s)} too late: {plan.total:,} steps fit ({rows})"
    )


def _must_have_ended(ended: Ended, folder: Path, step: Step) -> None:
    """Raises `UserError` with what the program has said, where it has failed."""
    if ended.code == 0 and (folder / MANIFEST).is_file():
        return
    if ended.code < 0 or ended.code >= 128:
        raise UserError(f"training was stopped by a signal: the same command goes on ({step})")
    raise UserError(f"training: {ended.last}")
