"""The methods of training that there are, and which of them flags ask for."""

from typing import TYPE_CHECKING

import torch

from zoo.train.methods.base import Hook, Method, Setup
from zoo.train.methods.distillation import Distillation
from zoo.train.methods.ema import WeightAverage
from zoo.train.methods.faster import Speedups
from zoo.train.methods.packing import Packing
from zoo.train.methods.precision import Autocast, Bf16Training, Fp16Training
from zoo.train.methods.qat import QuantizationAware
from zoo.train.methods.semi_supervised import UnlabelledData
from zoo.train.methods.tuning import GradualUnfreezing, Tuning

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.train.args import TrainArgs

METHODS: tuple[type[Method], ...] = (Tuning, QuantizationAware, UnlabelledData, Distillation)


def methods_of(setup: Setup) -> list[Method]:
    """Return the methods that a fine-tune was asked for, in the order in which their hooks are
    called."""
    methods: list[Method] = [kind(setup) for kind in METHODS if kind.is_asked(setup.args)]
    if Speedups.is_asked(setup.args):
        methods = [Speedups(setup, methods), *methods]
    return [*methods, Packing(setup)] if Packing.is_asked(setup.args) else methods


def hooks_of(args: "TrainArgs", accelerator: "Accelerator", dtype: torch.dtype) -> list[Hook]:
    """Return the hooks that the flags ask for.

    Args:
        dtype: arithmetic of training.
    """
    hooks: list[Hook] = []
    # several ranks use autocast: their gradients are better added up in fp32
    if dtype == torch.bfloat16 and args.speedups and accelerator.num_processes == 1:
        hooks.append(Bf16Training())
    elif dtype == torch.float16:
        hooks.append(Fp16Training(accelerator.device))
    else:
        hooks.append(Autocast(accelerator.device, dtype))
    if args.tune == "gradual":
        hooks.append(GradualUnfreezing())
    if args.ema_decay:
        hooks.append(WeightAverage(args.ema_decay))
    return hooks
