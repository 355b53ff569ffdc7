"""Optimizers and their parameter groups."""

import re
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

LAYER = re.compile(r"\.(?:layers?|blocks|stages|h)\.?(\d+)\.")
FIRST = re.compile(
    r"embed|\.(?:stem|conv_stem|conv1|bn1|feature_extractor|feature_projection|subsampling)\."
)
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


def no_decay_names(model: nn.Module) -> set[str]:
    """Return the names of parameters without weight decay: biases, and all parameters of norms."""
    names = {name for name, _ in model.named_parameters() if "bias" in name.split(".")[-1]}
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS) or type(module).__name__.endswith(("LayerNorm", "RMSNorm")):
            names |= {name for name, _ in module.named_parameters(prefix, recurse=False)}
    return names


def depth_of(name: str, layers: int) -> int:
    """Return the distance of a parameter from the head: 0 is the head, 1 the top layer, layers + 1
    the embeddings or first convolutions."""
    found = LAYER.search(name)
    if found:
        return layers - int(found.group(1))
    return layers + 1 if FIRST.search(name) else 0


def skips_by_itself(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether the optimizer reads `found_inf` on the device and skips the step where it is
    not 0."""
    return bool(optimizer.defaults.get("fused"))


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every parameter group to `factor` of its peak."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["peak_lr"] * factor)
        else:
            group["lr"] = group["peak_lr"] * factor


def keep_rates_on_device(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Turn the learning rates into tensors, which a recorded step reads each time it is replayed.

    float32, as the kernels of a GPU read them; float64 on the CPU, whose kernels compute in it.
    """
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    for group in optimizer.param_groups:
        group["lr"] = torch.full((), group["lr"], dtype=dtype, device=device)


def make_optimizer(
    named: Sequence[tuple[str, Tensor]], no_decay: Set[str], args: "TrainArgs"
) -> torch.optim.Optimizer:
    """Return an optimizer of the named parameters that require gradients.

    Groups carry `names` and `peak_lr`, the learning rate that schedules scale: lower in deeper
    layers with `layerwise_lr_decay` (Howard & Ruder 2018, section 3.2).
    """
    trained = {n: p for n, p in named if p.requires_grad}
    layers = max((int(m.group(1)) for m in map(LAYER.search, trained) if m), default=-1) + 1
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in trained.items():
        decay = 0.0 if name in no_decay else args.weight_decay
        rate = args.learning_rate * args.layerwise_lr_decay ** depth_of(name, layers)
        group = groups.setdefault(
            (decay, rate),
            {"params": [], "names": [], "weight_decay": decay, "lr": rate, "peak_lr": rate},
        )
        group["params"].append(parameter)
        group["names"].append(name)
    parameters = list(groups.values())
    betas = (args.adam_beta1, args.adam_beta2)
    if args.optim == "adamw":
        return torch.optim.AdamW(parameters, betas=betas, eps=args.adam_epsilon, fused=True)
    if args.optim == "adam":
        return torch.optim.Adam(parameters, betas=betas, eps=args.adam_epsilon, fused=True)
    if args.optim == "sgd":
        # fused on a GPU only: on the CPU it rounds otherwise than the plain one
        fused = any(p.device.type == "cuda" for p in trained.values())
        return _sgd(parameters, args.learning_rate, args.momentum, fused, args.nesterov)
    if args.optim == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=args.learning_rate, momentum=args.momentum)
    if args.optim == "adagrad":
        return torch.optim.Adagrad(parameters)
    if args.optim == "adadelta":
        return torch.optim.Adadelta(parameters)
    return torch.optim.Adamax(parameters, betas=betas, eps=args.adam_epsilon)


def _sgd(
    groups: list[dict[str, Any]], rate: float, momentum: float, fused: bool, nesterov: bool = False
) -> torch.optim.Optimizer:
    """Return SGD; the momentum of a fused one starts as zeros, which gives the same first step.

    torch (2.11) creates the buffers of all parameters in the first step. That fails if some have no
    gradient until later, and leaves their values undefined if `found_inf` skips the step.
    """
    optimizer = torch.optim.SGD(
        groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=fused or None
    )
    if fused and momentum:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
