"""ExecuTorch: for phones and small boards; here with XNNPACK, on the processor."""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pte"
FAILURE = re.compile(r"failed|missing|attempted", re.IGNORECASE)


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Writes model.pte, lowered to XNNPACK where that has the operator."""
    from transformers.exporters.exporter_executorch import ExecutorchConfig, ExecutorchExporter

    from zoo.runtimes import transformers_export

    config = ExecutorchConfig(
        dynamic_shapes=transformers_export.shapes(signature), backend="xnnpack"
    )
    transformers_export.export(ExecutorchExporter(), config, model, example, folder)
    return {}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> "ExecutorchRunner":
    """Load an artifact of ExecuTorch; see `zoo.runtimes.load`."""
    return ExecutorchRunner(artifact, deployment, device, threads)


class ExecutorchRunner(Runner):
    """The method `forward` of a program."""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        from executorch.runtime import Runtime

        super().__init__(deployment, artifact.signature, device, threads)
        with explained():
            self.program = Runtime.get().load_program(artifact.folder / FILE)
            self.method = self.program.load_method("forward")

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on checked inputs, arrays by name; see `Runner.run`."""
        import torch

        tensors = [torch.from_numpy(inputs[port.name]) for port in self.signature.inputs]
        with explained():
            found = self.method.execute(tensors)
        # what it gives lies in memory that the next call writes to
        outputs = [output.numpy().copy() for output in found if isinstance(output, torch.Tensor)]
        return dict(zip(self.signature.outputs, outputs, strict=True))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Keeps ExecuTorch's log off the screen, and puts its reason, which names the operator, in the
    place of an error's number.

    Raises RuntimeError.
    """
    log = io.StringIO()
    try:
        with contextlib.redirect_stderr(log):
            yield
    except RuntimeError as error:
        said = [line.partition("] ")[2] for line in log.getvalue().splitlines()]
        reasons = [line for line in reversed(said) if FAILURE.search(line)]  # the operator first
        raise RuntimeError("; ".join(reasons) or str(error)) from error
