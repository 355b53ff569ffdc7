"""Choices of networks that are trained from scratch: how weights begin, and which activation.

Nothing here imports torch before a network is made, since flags are declared with it.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

Initialization = Literal["default", "xavier", "he", "normal"]
"""How matrices and kernels begin; `default` is each network's own way."""
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]


def drawing(config: Any) -> "Callable[[Tensor], Any] | None":
    """Return what draws a weight [out, in, ...] in place as a config's `initialization` says; None
    for `default`.

    xavier: uniform, of variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010); he: normal, of
    variance 2 / fan_in (He et al. 2015); normal: with the standard deviation
    `config.initializer_range`.
    """
    from torch.nn import init

    ways: dict[str, Callable[[Tensor], Any] | None] = {
        "default": None,
        "xavier": init.xavier_uniform_,
        "he": lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"),
        "normal": lambda weight: init.normal_(weight, std=config.initializer_range),
    }
    return ways[config.initialization]


def activation(name: str) -> "nn.Module":
    """Return the module of an activation; relu computes in place, for which nothing before it may
    need its own output to go back."""
    from torch import nn

    kinds: dict[str, Callable[[], nn.Module]] = {
        "relu": partial(nn.ReLU, inplace=True),
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
    }
    return kinds[name]()
