"""OpenVINO, on Intel's and other x86 processors."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Tensors
from tasks.errors import UserError
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn

FILE = "openvino_model.xml"
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8-static": "f32"}
"""What is not quantized computes in this; OpenVINO itself would choose bf16 where it is fast."""


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
) -> dict[str, Any]:
    """Writes openvino_model.xml and .bin, the weights in fp32."""
    try:
        from transformers.exporters.exporter_openvino import OpenVINOConfig, OpenVINOExporter
    except ModuleNotFoundError as error:
        import transformers

        raise UserError(
            f"transformers {transformers.__version__} can't export to OpenVINO: update it "
            "(pip install -U transformers)"
        ) from error

    from zoo.runtimes import transformers_export

    config = OpenVINOConfig(dynamic_shapes=transformers_export.shapes(signature))
    transformers_export.export(OpenVINOExporter(), config, model, example, folder)
    return {}


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> "OpenVINORunner":
    """Load an OpenVINO artifact; see `zoo.runtimes.load`."""
    return OpenVINORunner(artifact, deployment, device, threads)


def settings_of(numerics: str, threads: int | None) -> dict[str, Any]:
    """Return how OpenVINO compiles a program for a processor: a call at a time, by `threads` that
    the system places. OpenVINO would pin those of each process to the same first cores."""
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": PRECISIONS[numerics],
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    return settings


class OpenVINORunner(Runner):
    """A runner of a model that OpenVINO has compiled."""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        import openvino

        super().__init__(deployment, artifact.signature, device, threads)
        settings = settings_of(deployment.numerics, threads)
        self.model = openvino.Core().compile_model(artifact.folder / FILE, "CPU", settings)
        self.request = self.model.create_infer_request()

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on checked inputs, arrays by name; see `Runner.run`."""
        found = self.request.infer(dict(inputs), share_inputs=True)
        arrays = found.to_tuple()
        return {
            name: array.copy() for name, array in zip(self.signature.outputs, arrays, strict=True)
        }
