"""ONNX Runtime, on the processor or by CUDA."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.arrays import to_numpy
from tasks.base import Tensors
from tasks.errors import UserError
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_session import open_session, opset_of, provider
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import MODEL

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.stages import Stage

FILE = "model.onnx"
NAMES = {
    "float32": "tensor(float)",
    "int64": "tensor(int64)",
    "int32": "tensor(int32)",
    "bool": "tensor(bool)",
}
"""onnxruntime's names of numpy's types."""
OLDEST_OPSET = 18  # what torch's exporter writes; it converts down from there, and loses operators


def export(
    model: "nn.Module",
    example: Tensors,
    signature: Signature,
    deployment: Deployment,
    folder: Path,
    opset: int | None = None,
) -> dict[str, Any]:
    """Writes model.onnx and model.onnx.data; returns what to record.

    Raises `UserError` for an opset that is too old.
    """
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from zoo.runtimes import transformers_export

    must_be_known(opset)
    config = OnnxConfig(dynamic_shapes=transformers_export.shapes(signature), opset_version=opset)
    transformers_export.export(OnnxExporter(), config, model, example, folder)
    return {"opset": opset_of(folder / FILE)}


def export_stages(
    stages: "Mapping[str, Stage]", model: "nn.Module", folder: Path, opset: int | None = None
) -> dict[str, Any]:
    """Writes the programs of a model that writes text; see `zoo.runtimes.onnx_generation`."""
    from zoo.runtimes import onnx_generation

    must_be_known(opset)
    return onnx_generation.export(stages, model, folder, opset)


def must_be_known(opset: int | None) -> None:
    """Raises `UserError` for an opset that is too old, or newer than the installed onnx."""
    import onnx

    if opset is None:
        return
    if opset < OLDEST_OPSET:
        raise UserError(f"`opset` {opset} is too old: at least {OLDEST_OPSET}")
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise UserError(f"`opset` {opset}: the installed onnx knows up to {newest}")


def load(artifact: Artifact, deployment: Deployment, device: str, threads: int | None) -> Runner:
    """Load an ONNX artifact into ONNX Runtime; see `zoo.runtimes.load`."""
    from zoo.runtimes.onnx_decoder import OnnxDecoder
    from zoo.runtimes.onnx_generation import PROGRAMS, OnnxEncoderDecoder

    programs = artifact.manifest.get(PROGRAMS, {})
    kind = OnnxDecoder if MODEL in programs else OnnxEncoderDecoder if programs else OnnxRunner
    return kind(artifact, deployment, device, threads)


class OnnxRunner(Runner):
    """A runner of one ONNX program in an inference session of ONNX Runtime."""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        super().__init__(deployment, artifact.signature, device, threads)
        self.session = self.open(artifact.folder / FILE)
        self.outputs = list(artifact.signature.outputs)

    def open(self, program: Path) -> Any:
        """Open an inference session of a program. Raises `UserError` where it takes or gives other
        than export.json says."""
        session = open_session(program, [provider(self.device)], self.threads)
        taken = {port.name: port.type for port in session.get_inputs()}
        wanted = {p.name: NAMES.get(p.dtype, taken.get(p.name)) for p in self.signature.inputs}
        given = {port.name for port in session.get_outputs()}
        if wanted != taken or not set(self.signature.outputs) <= given:
            raise UserError(
                f"{program} takes {_said(taken)} and gives {', '.join(sorted(given))}, and its "
                "export.json says otherwise: export it again"
            )
        return session

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on checked inputs, arrays by name; see `Runner.run`."""
        # from a GPU's tensors by way of the host: bindings would have to know shapes beforehand
        arrays = {name: to_numpy(array) for name, array in inputs.items()}
        found = self.session.run(self.outputs, arrays)
        return dict(zip(self.outputs, found, strict=True))


def _said(taken: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in sorted(taken.items()))
