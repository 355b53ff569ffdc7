"""TorchScript, by trace. Deprecated in PyTorch; for those whose programs still load it."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature
from zoo.runtimes.torch_runner import TorchRunner

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "model.ts"


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Writes model.ts, which takes the inputs in the order of the signature."""
    import torch

    names = [port.name for port in signature.inputs]

    class Positional(torch.nn.Module):
        """Trace gives its inputs by position, and takes no classes of outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: "Tensor") -> "tuple[Tensor, ...]":
            found = self.model(**dict(zip(names, tensors, strict=True)))
            return tuple(found[name] for name in signature.outputs)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a deprecation, and what the proof finds out anyway
        inputs = tuple(example[name] for name in names)
        wrapped = Positional().eval().requires_grad_(False)  # a trace takes constants without
        program = torch.jit.trace(wrapped, inputs, check_trace=False)
        torch.jit.save(torch.jit.freeze(program), folder / FILE)
    return {}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load a TorchScript artifact; see `zoo.runtimes.load`."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.load(artifact.folder / FILE, map_location=device)
    names = [port.name for port in artifact.signature.inputs]

    def by_name(**inputs: "Tensor") -> Any:
        return program(*(inputs[name] for name in names))

    return TorchRunner(by_name, deployment, artifact.signature, device, threads)
