"""The signature of a checkpoint's network: found by giving it two batches and comparing them."""

from typing import TYPE_CHECKING, Any

from zoo.model.modality import modality_of
from zoo.runtimes.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from zoo.store.checkpoint import Checkpoint


def infer_signature(checkpoint: "Checkpoint", model: "nn.Module", processor: Any) -> Signature:
    """The network's inputs as its task collates them, and its outputs, of the kinds that the task
    says.

    What differs between a small and a large batch varies: the first dimension as "batch", another
    as its modality calls it.
    """
    import torch

    modality, task = modality_of(checkpoint.entry), checkpoint.task.bind(processor)
    small, large = (batch.inputs for batch in modality.example_inputs(task, processor))
    inputs = tuple(_port(name, small, large, modality.axis_of(name)) for name in small)
    with torch.inference_mode():
        found = model(**small)
    outputs = tuple(name for name, value in found.items() if isinstance(value, torch.Tensor))
    limits: dict[str, tuple[int, int | None]] = {"batch": (1, None)}
    if any(modality.axis in port.dims for port in inputs):
        limits[modality.axis] = modality.bounds(task, model)
    varying = {size for port in inputs for size in port.dims}
    further = modality.further_bounds(task)
    limits |= {name: between for name, between in further.items() if name in varying}
    kinds = {name: kind for name, kind in task.output_kinds.items() if name in outputs}
    return Signature(inputs, outputs, limits, kinds)


def _port(
    name: str, small: "Mapping[str, Tensor]", large: "Mapping[str, Tensor]", varying: str
) -> TensorSpec:
    one, other = small[name], large[name]
    dims = tuple(
        size if size == another else ("batch" if axis == 0 else varying)
        for axis, (size, another) in enumerate(zip(one.shape, other.shape, strict=True))
    )
    return TensorSpec(name, str(one.dtype).removeprefix("torch."), dims)
