"""The learning rate over time, as a factor of its peak."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    from tasks.metrics import MetricSpec
    from zoo.train.args import TrainArgs

from tasks.preflight import Finding

FLOOR = 0.01  # where the exponential schedule ends
THRESHOLD = 1e-4
"""Share of the best value so far by which a better one must be better, for the schedule `plateau`:
the default of `torch.optim.lr_scheduler.ReduceLROnPlateau`."""


def steps_of_warmup(total: int, warmup: float) -> float:
    """Return the steps of warmup; `warmup` below 1 is a share of `total`, rounded up."""
    return math.ceil(warmup * total) if warmup < 1 else warmup


def check_warmup(total: int, warmup: float) -> list[Finding]:
    """Return a warning if training ends before the learning rate has reached its peak."""
    if steps_of_warmup(total, warmup) < total:
        return []
    steps = "1 step" if total == 1 else f"{total:,} steps"
    told = f"`warmup_steps` {warmup:g}: the training ends after {steps}, before the learning rate"
    return [Finding("warning", f"{told} has reached its peak")]


def lr_factor(kind: str, step: float, total: int, warmup: float) -> float:
    """Return the factor of the peak learning rate for the next step, after `step` completed ones.

    Linear and cosine are those of transformers' get_scheduler: from 1 after warmup to 0 at `total`.

    Args:
        kind: linear, cosine, constant, exponential, or plateau, which is constant but for what
            `Plateau` makes of it.
        step: optimizer steps done; a fraction where a run went on with another batch size.
        warmup: steps of linear warmup; below 1 a share of `total`.
    """
    warmup_steps = steps_of_warmup(total, warmup)
    if step < warmup_steps:
        return step / max(1.0, warmup_steps)
    done = min(1.0, (step - warmup_steps) / max(1.0, total - warmup_steps))
    if kind == "linear":
        return 1.0 - done
    if kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if kind == "exponential":
        return math.exp(math.log(FLOOR) * done)
    assert kind in ("constant", "plateau"), kind
    return 1.0


@dataclass
class Plateau:
    """The state of the schedule `plateau`, which lowers the learning rate when evaluations bring no
    better metric: `torch.optim.lr_scheduler.ReduceLROnPlateau`, without cooldown or floor."""

    best: float | None = None
    bad_evaluations: int = 0  # since the best one, or since the learning rate was lowered
    factor: float = 1.0  # of the learning rate

    def follow(self, value: float, metric: "MetricSpec", args: "TrainArgs") -> str | None:
        """Count an evaluation, if the schedule is `plateau`; return a message if the learning rate
        falls.

        Args: value: of the metric; one that is not finite is no better than any.
        """
        if args.lr_scheduler_type != "plateau":
            return None
        gain = math.inf
        if self.best is not None:
            gain = value - self.best if metric.greater_is_better else self.best - value
            gain -= THRESHOLD * abs(self.best)
        if math.isfinite(value) and gain > 0:
            self.best, self.bad_evaluations = value, 0
            return None
        self.bad_evaluations += 1
        if self.bad_evaluations <= args.lr_plateau_patience:
            return None
        self.bad_evaluations = 0
        self.factor *= args.lr_plateau_factor
        known = "not finite" if self.best is None else f"no better than {self.best:.4f}"
        return (
            f"{metric.name} is {known}: the learning rate goes down to "
            f"{self.factor * args.learning_rate:.3g}"
        )


def plateau_warning(
    args: "TrainArgs", total_steps: int, steps_per_epoch: int, *, can_evaluate: bool
) -> str | None:
    """Return a warning if the schedule is `plateau` and a run has too few evaluations for it to
    change anything, else None.

    The first evaluation is the best so far, `lr_plateau_patience` + 1 others lower the learning
    rate, and there must be steps behind the last of these.

    Args: can_evaluate: whether there is a validation split.

    Raises `UserError` if there is none.
    """
    if args.lr_scheduler_type != "plateau":
        return None
    if not can_evaluate:
        raise UserError(
            "`lr_scheduler_type` plateau follows evaluations, and the data has no validation split "
            "with labels: give it one, or another schedule"
        )
    every = args.eval_steps if args.eval_strategy == "steps" else steps_per_epoch
    evaluations, least = math.ceil(total_steps / every), args.lr_plateau_patience + 3
    if evaluations >= least:
        return None
    return (
        f"warning: `lr_scheduler_type` plateau needs at least {least} evaluations with "
        f"`lr_plateau_patience` {args.lr_plateau_patience}, and {evaluations} "
        f"{'comes' if evaluations == 1 else 'come'}: the learning rate stays what it is. "
        "`eval_strategy` steps evaluates more often"
    )
