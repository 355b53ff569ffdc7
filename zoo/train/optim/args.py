"""Flags of the optimizer and of its learning rate, with what they can't stand beside."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tasks.bounds import BelowOne, Bounded, CountOrZero, InnerShare, NotNegative
from tasks.errors import UserError

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs


@dataclass(frozen=True)
class OptimizerArgs(Bounded):
    """See `zoo.train.optim.optimizer.make_optimizer`."""

    optim: Literal["adamw", "adam", "sgd", "rmsprop", "adamax", "adagrad", "adadelta"] = "adamw"
    """optimizer; sgd and rmsprop use `momentum`; adadelta wants a learning rate of about 1"""
    learning_rate: NotNegative = 5e-5
    """peak learning rate"""
    weight_decay: NotNegative = 0.0
    """decay of weights; biases and norms are spared"""
    adam_beta1: BelowOne = 0.9
    """Adam's decay of the first moment"""
    adam_beta2: BelowOne = 0.999
    """Adam's decay of the second moment"""
    adam_epsilon: NotNegative = 1e-8
    """Adam's epsilon"""
    momentum: BelowOne = 0.9
    """momentum of sgd and rmsprop"""
    nesterov: bool = False
    """sgd looks ahead along its momentum (Nesterov)"""
    max_grad_norm: NotNegative = 1.0
    """clip the global gradient norm to this; 0 clips nothing"""
    max_grad_value: NotNegative = 0.0
    """clip every number of the gradients to this, and then their norm to max_grad_norm; 0 clips
    nothing"""


def check_optimizer(args: "TrainArgs") -> None:
    """Raise `UserError` for Nesterov's momentum without momentum."""
    if args.nesterov and (args.optim != "sgd" or not args.momentum):
        has = f"`optim` {args.optim}" if args.optim != "sgd" else "`momentum` 0"
        raise UserError(f"`nesterov` is for `optim` sgd with a `momentum`, not for {has}")


@dataclass(frozen=True)
class LearningRateArgs(Bounded):
    """See `zoo.train.optim.schedules`."""

    lr_scheduler_type: Literal["linear", "cosine", "constant", "exponential", "plateau"] = "linear"
    """learning rate after warmup; exponential falls to 1% at the end, plateau falls whenever
    evaluations bring no better metric (metric_for_best_model)"""
    warmup_steps: NotNegative = 0.0
    """steps of linear warmup; below 1, a share of all steps"""
    lr_plateau_factor: InnerShare = 0.1
    """plateau: what the learning rate is multiplied by each time (0.1 in torch, too)"""
    lr_plateau_patience: CountOrZero = 1
    """plateau: evaluations without a better metric that are waited for (10 in torch, for trainings
    of 100 epochs)"""


def check_learning_rate(args: "TrainArgs") -> None:
    """Raise `UserError` for a schedule that follows evaluations in a run that makes none."""
    if args.lr_scheduler_type == "plateau" and args.eval_strategy == "no":
        raise UserError(
            "`lr_scheduler_type` plateau follows evaluations, and `eval_strategy` no makes none: "
            "epoch or steps"
        )
