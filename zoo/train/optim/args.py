"""Flags of the optimizer and of its learning rate."""

from dataclasses import dataclass
from typing import Literal

from tasks.bounds import BelowOne, Bounded, NotNegative


@dataclass(frozen=True)
class OptimizerArgs(Bounded):
    """See `zoo.train.optim.optimizer.make_optimizer`."""

    optim: Literal["adamw", "adam", "sgd", "rmsprop", "adamax"] = "adamw"
    """optimizer; sgd and rmsprop use `momentum`"""
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
    max_grad_norm: NotNegative = 1.0
    """clip the global gradient norm to this; 0 clips nothing"""


@dataclass(frozen=True)
class LearningRateArgs(Bounded):
    """See `zoo.train.optim.schedules.lr_factor`."""

    lr_scheduler_type: Literal["linear", "cosine", "constant", "exponential"] = "linear"
    """learning rate after warmup; exponential falls to 1% at the end"""
    warmup_steps: NotNegative = 0.0
    """steps of linear warmup; below 1, a share of all steps"""
