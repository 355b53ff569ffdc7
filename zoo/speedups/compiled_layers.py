"""Layers that a network repeats, compiled once for all of them.

PyTorch's regional compilation (https://docs.pytorch.org/tutorials/recipes/regional_compilation.html):
layers of one class and of equal shapes share the compiled code, so that it costs what one of them
does, while nearly all the arithmetic is in them. State dict and classes stay as they are.
"""

import contextlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import torch
from torch import nn

GAIN = 1.41
"""How many times faster training is when compiled: the geometric mean over three suites on an A100
in Ansel et al. 2024, "PyTorch 2" (https://dl.acm.org/doi/10.1145/3620665.3640366)."""
SECONDS_A_KIND = 60.0
"""What compiling one kind of layer is taken to cost at most, forward and backward."""
REPEATED = 2  # layers of one kind, on average


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers that a model repeats: neighbours of one class in a list, none inside
    another.

    Classes whose layers have many shapes, such as the stages of a convolutional network, are left
    out, since each shape would be compiled separately.
    """
    groups: dict[type, list[nn.Module]] = {}
    for module in model.modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            for child in module.children():
                if any(True for _ in child.children()):
                    groups.setdefault(type(child), []).append(child)
    repeated = [g for g in groups.values() if len(g) >= REPEATED * len(set(map(_kind, g)))]
    found = {id(module): module for group in repeated for module in group}
    within = {id(part) for one in found.values() for part in one.modules() if part is not one}
    return [module for key, module in found.items() if key not in within]


def _kind(layer: nn.Module) -> Hashable:
    """Return a key that is equal for layers that share compiled code."""
    return type(layer), tuple((name, p.shape) for name, p in layer.named_parameters())


class CompiledForward:
    """The forward of a layer: compiled in training, the original in evaluation, which has other
    dtypes and few batches. An object, so that a copy of the layer uses the copy's weights."""

    in_evaluation = False
    """Whether it is compiled there, too."""

    def __init__(self, layer: nn.Module, compiled: Callable[..., Any]) -> None:
        """Args: compiled: the compiled `forward` of the layer's class; takes the layer as first
        argument."""
        self.layer, self.compiled = layer, compiled

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the layer's forward, compiled in training."""
        compiles = self.layer.training or self.in_evaluation
        compute = self.compiled if compiles else type(self.layer).forward
        return compute(self.layer, *arguments, **keywords)


@contextlib.contextmanager
def compiled_in_evaluation(model: nn.Module) -> Iterator[None]:
    """Context manager in which compiled layers stay compiled in evaluation, to compare their
    outputs."""
    found = [vars(module).get("forward") for module in model.modules()]
    layers = [forward for forward in found if isinstance(forward, CompiledForward)]
    for forward in layers:
        forward.in_evaluation = True
    try:
        yield
    finally:
        for forward in layers:
            forward.in_evaluation = False


def compile_layers(model: nn.Module) -> int:
    """Compile the repeated layers of a model in place, at their first call; return their number.

    The first input shape is compiled as it is; other shapes are compiled once for any size. Layers
    whose `forward` was replaced (`zoo.speedups.fast_encoder`) stay unchanged.
    """
    layers = [module for module in layers_of(model) if "forward" not in vars(module)]
    compiled = {kind: torch.compile(kind.forward) for kind in {type(layer) for layer in layers}}
    for layer in layers:
        layer.forward = CompiledForward(layer, compiled[type(layer)])
    return len(layers)


def pays(model: nn.Module, seconds: float) -> bool:
    """Return whether compiling saves more of a training's expected seconds than it costs."""
    kinds = len(set(map(_kind, layers_of(model))))
    return kinds > 0 and seconds * (1 - 1 / GAIN) > kinds * SECONDS_A_KIND


def seconds_compiled() -> float:
    """Return the seconds that this process has spent in the compiler."""
    from torch._dynamo.utils import compilation_time_metrics

    times: Any = compilation_time_metrics
    return float(sum(times.get("entire_frame_compile", times.get("_compile.compile_inner", ()))))
