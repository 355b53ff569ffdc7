"""bf16 weights in the network, fp32 weights in the optimizer.

Autocast casts every weight and many an activation anew in each pass. Here the network's weights are
kept in bf16 and the optimizer's ("master" weights) in fp32: the arithmetic of the matrix products
is the same, the casts are gone (Micikevicius et al. 2018, section 3.1, with bf16 for fp16, so no
loss scaling). Gradients of several passes are summed in fp32. Embeddings stay in fp32, since their
gradient adds up hundreds of occurrences of one row; only their output is cast, or the weight where
a network reads it without calling the embedding, as DeBERTa does with its relative positions. (One
that is also the weight of the output layer goes to bf16.) Batch norms stay in
fp32, as their running statistics do; what comes into the network as fp32 (pixels, spectrograms) is
cast.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from zoo.speedups.sparse_embedding import SparseEmbeddingGrad


class _CastWhenRead(nn.Module):
    """Base mixed into an embedding's class: while the network runs, other modules read its fp32
    weight as bf16."""

    keeper: "Bf16Weights"
    called = False

    @property
    def weight(self) -> Tensor:
        """Return the weight [rows, hidden]: the fp32 parameter, or its bf16 copy for other modules
        while the network runs."""
        parameter = self._parameters["weight"]
        assert parameter is not None
        within = self.keeper.running and not self.called
        return self.keeper.cast(parameter) if within else parameter

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the embedding, which reads its weight in fp32."""
        self.called = True
        try:
            return super().forward(*arguments, **keywords)
        finally:
            self.called = False


def _cast_when_read(embedding: nn.Embedding, keeper: "Bf16Weights") -> None:
    kind = type(embedding)
    embedding.__class__ = type(kind.__name__, (_CastWhenRead, kind), {"keeper": keeper})


class Bf16Weights:
    """Pairs a network's bf16 parameters with the fp32 ones that are optimized."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        embeddings = [
            m for m in model.modules() if isinstance(m, nn.Embedding | SparseEmbeddingGrad)
        ]
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        kept = {id(p) for m in (*embeddings, *norms) for p in m.parameters(recurse=False)}
        # an output layer that shares its weight with an embedding multiplies by it
        kept -= {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
        self._casts = True
        self.running = False  # whether the network is in its forward
        for module in embeddings:
            module.register_forward_hook(self._cast)
            if isinstance(module, nn.Embedding) and id(module.weight) in kept:
                _cast_when_read(module, self)
        model.register_forward_pre_hook(self._cast_inputs, with_kwargs=True)
        model.register_forward_hook(self._leave, always_call=True)
        self.masters: dict[str, Tensor] = {}
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._buffers: dict[int, Tensor] = {}
        for name, parameter in model.named_parameters():
            if id(parameter) in kept or parameter.dtype != torch.float32:
                continue
            master = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
            self.masters[name] = master
            parameter.data = parameter.data.to(torch.bfloat16)
            self._pairs.append((parameter, master))

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return every parameter of the network by name, in fp32: those that are optimized and
        saved."""
        return [(name, self.masters.get(name, p)) for name, p in self.model.named_parameters()]

    def collect(self) -> None:
        """Add the gradients of a pass to those of the fp32 weights, and drop them from the
        network."""
        fresh, values = [], []
        for parameter, master in self._pairs:
            if parameter.grad is None:
                continue
            if master.grad is None:
                master.grad = self._buffer(master)
                fresh.append(master.grad)
                values.append(parameter.grad)
            else:
                master.grad.add_(parameter.grad)
            parameter.grad = None
        if fresh:
            torch._foreach_copy_(fresh, values)

    def _buffer(self, master: nn.Parameter) -> Tensor:
        """Return the memory for a gradient, kept between steps: allocating pages costs more than
        the copy."""
        if id(master) not in self._buffers:
            self._buffers[id(master)] = torch.empty_like(master, requires_grad=False)
        return self._buffers[id(master)]

    def publish(self) -> None:
        """Copy the fp32 weights into the network, rounded to bf16."""
        with torch.no_grad():
            torch._foreach_copy_([p for p, _ in self._pairs], [m for _, m in self._pairs])

    @contextlib.contextmanager
    def full_precision(self) -> Iterator[None]:
        """Context manager in which the network computes with, and saves, the fp32 weights."""
        rounded = [parameter.data for parameter, _ in self._pairs]
        for parameter, master in self._pairs:
            parameter.data = master.data
        self._casts = False
        try:
            yield
        finally:
            for (parameter, _), data in zip(self._pairs, rounded, strict=True):
                parameter.data = data
            self._casts = True

    def cast(self, tensor: Tensor) -> Tensor:
        """Return a tensor in bf16, or unchanged within `full_precision`."""
        return tensor.to(torch.bfloat16) if self._casts else tensor

    def _cast(self, module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        return self.cast(output)

    def _cast_inputs(
        self, module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def cast(value: Any) -> Any:
            numbers = isinstance(value, Tensor) and value.dtype == torch.float32
            return value.to(torch.bfloat16) if numbers and self._casts else value

        self.running = True
        return tuple(map(cast, arguments)), {name: cast(v) for name, v in keywords.items()}

    def _leave(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self.running = False
