"""torch.export's programs, run as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.signature import Signature
from zoo.runtimes.torch_runner import DTYPES, TorchRunner

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pt2"


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Writes model.pt2; the weights are in the deployment's numerics."""
    from transformers.exporters.exporter_dynamo import DynamoConfig, DynamoExporter

    from zoo.runtimes import transformers_export

    dtype = DTYPES[deployment.numerics]
    config = DynamoConfig(dynamic_shapes=transformers_export.shapes(signature))
    transformers_export.export(
        DynamoExporter(), config, model.to(dtype), cast(example, dtype), folder
    )
    return {}


def cast(example: Tensors, dtype: Any) -> Tensors:
    """The batch with its floats in another type."""
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in example.items()}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> TorchRunner:
    """Load an artifact of torch.export; see `zoo.runtimes.load`."""
    import torch

    from zoo.runtimes import transformers_export

    transformers_export.register_outputs(artifact.component)
    program = torch.export.load(artifact.folder / FILE).module().to(device)
    return TorchRunner(program, deployment, artifact.signature, device, threads)
