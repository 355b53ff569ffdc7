"""ONNX Runtime, on the processor or by CUDA."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Batch
from tasks.errors import UserError
from zoo.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature

if TYPE_CHECKING:
    from torch import nn

FILE = "model.onnx"
OLDEST_OPSET = 18  # what torch's exporter writes; it converts down from there, and loses operators


def export(
    model: "nn.Module",
    example: Batch,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
    opset: int | None = None,
) -> dict[str, Any]:
    """Writes model.onnx and model.onnx.data; returns what to record.

    Raises `UserError` for an opset that is too old.
    """
    if opset is not None and opset < OLDEST_OPSET:
        raise UserError(f"--opset {opset} is too old: at least {OLDEST_OPSET}")
    import onnx
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from zoo.runtimes import transformers_export

    newest = onnx.defs.onnx_opset_version()
    if opset is not None and opset > newest:
        raise UserError(f"--opset {opset}: the installed onnx knows up to {newest}")
    config = OnnxConfig(dynamic_shapes=transformers_export.shapes(signature), opset_version=opset)
    transformers_export.export(OnnxExporter(), config, model, example, folder)
    return {"opset": opset_of(folder)}


def opset_of(folder: Path) -> int:
    """The opset of the standard operators in a folder's program."""
    import onnx

    proto = onnx.load(folder / FILE, load_external_data=False)
    return max(int(used.version) for used in proto.opset_import if not used.domain)


def load(
    artifact: Artifact, deployment: Deployment, device: str, threads: int | None
) -> "OnnxRunner":
    """See `zoo.runtimes.load`."""
    return OnnxRunner(artifact, deployment, device, threads)


class OnnxRunner(Runner):
    """An inference session."""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        import onnxruntime

        super().__init__(deployment, artifact.signature, device, threads)
        must_stay_inside(artifact.folder)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        self.session = onnxruntime.InferenceSession(
            artifact.folder / FILE, options, providers=[_provider(device)]
        )
        self.outputs = list(artifact.signature.outputs)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner`."""
        # from a GPU's tensors by way of the host: bindings would have to know shapes beforehand
        arrays = {name: _to_host(array) for name, array in inputs.items()}
        found = self.session.run(self.outputs, arrays)
        return dict(zip(self.outputs, found, strict=True))


def _to_host(array: Any) -> Any:
    import numpy as np

    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def _provider(device: str) -> str:
    import onnxruntime

    wanted = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UserError(
            f"the installed onnxruntime has no {wanted}: pip install onnxruntime-gpu, or "
            "--device cpu"
        )
    return wanted


def must_stay_inside(folder: Path) -> None:
    """Raises `UserError` where a program keeps weights outside its folder, or can't be read."""
    import onnx

    try:
        proto = onnx.load(folder / FILE, load_external_data=False)
    except Exception as error:  # protobuf's own, which onnx does not name
        raise UserError(f"{folder / FILE} is damaged: {error}") from None
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key != "location":
                continue
            place = folder / entry.value
            if place.is_symlink() or place.resolve().parent != folder.resolve():
                raise UserError(
                    f"{folder / FILE} keeps the weight {tensor.name} in {entry.value}, outside its "
                    "folder: refused"
                )
