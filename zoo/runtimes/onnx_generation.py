"""A model that writes text, under ONNX Runtime: encoder.onnx, and decoder.onnx with a cache.

The keys and values stay where ONNX Runtime has put them (on a GPU there), and go from one step into
the next without a copy in between.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import UserError
from zoo.generation.decoding import Greedy
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_session import open_session, opset_of, provider, to_host
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import BATCH, PAST, Writer

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.stages import Half

PROGRAMS = "programs"  # in the manifest: the signature of each
ENCODER, DECODER = "encoder", "decoder"


def export(
    halves: "Mapping[str, Half]", model: "nn.Module", folder: Path, opset: int | None
) -> dict[str, Any]:
    """Writes both programs, and the configs that say how they are used; returns what to record.

    Raises `UserError` where the generation config asks for what `Greedy` does not do.
    """
    from transformers.exporters.base import ExportedModel
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from zoo.runtimes import transformers_export

    components = {}
    for name, half in halves.items():
        shapes = transformers_export.shapes(half.signature)
        config = OnnxConfig(dynamic_shapes=shapes, opset_version=opset)
        exported = OnnxExporter().export(half.module, dict(half.example), config)
        components[name] = exported.components["model"]
    configs = {"config": model.config, "generation_config": model.generation_config}
    ExportedModel(components, "onnx", **configs).save_pretrained(folder)
    Greedy.read(folder)
    return {
        "opset": opset_of(_file(folder, DECODER)),
        PROGRAMS: {name: half.signature.to_json() for name, half in halves.items()},
    }


def _file(folder: Path, program: str) -> Path:
    return folder / f"{program}.onnx"


class OnnxWriter(Writer):
    """Two inference sessions."""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        super().__init__(deployment, artifact.signature, device, threads)
        try:
            self.programs = {
                name: Signature.from_json(artifact.manifest[PROGRAMS][name])
                for name in (ENCODER, DECODER)
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{artifact.folder} is damaged ({error!r}): export it again") from None
        self.sessions = {
            name: open_session(_file(artifact.folder, name), [provider(device)], threads)
            for name in self.programs
        }
        self.greedy = Greedy.read(artifact.folder)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner`."""
        text = Text(self, inputs["input_features"])
        return {
            "logits": text.go_on(to_host(inputs["decoder_input_ids"])),
            "encoder_last_hidden_state": text.heard.numpy(),
        }

    def generate(self, features: Any, exactly: int | None = None) -> np.ndarray:
        """See `Writer`. Raises `UserError` for inputs that the encoder does not take."""
        self.programs[ENCODER].check({"input_features": features})
        greedy = self.greedy if exactly is None else self.greedy.exactly(exactly)
        return greedy.write(Text(self, features).go_on, len(features))

    def stepwise(self) -> Runner:
        """See `Writer`."""
        return Stepwise(self)

    def call(self, program: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a program on OrtValues, which it also gives."""
        session, outputs = self.sessions[program], self.programs[program].outputs
        binding = session.io_binding()
        for name, value in given.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, self.device.partition(":")[0])
        session.run_with_iobinding(binding)
        return dict(zip(outputs, binding.get_outputs(), strict=True))


class Text:
    """A batch of texts that are being written."""

    def __init__(self, writer: OnnxWriter, features: Any) -> None:
        """Runs the encoder on `features` float32 [batch, bins, frames]."""
        self.writer = writer
        found = writer.call(ENCODER, {"input_features": _value(to_host(features))})
        self.heard = found.pop("last_hidden_state")
        self.cache = found
        sizes = {BATCH: len(features), PAST: 0}
        for port in writer.programs[DECODER].inputs:
            if port.name.startswith("past_"):
                shape = [sizes[size] if isinstance(size, str) else size for size in port.dims]
                self.cache[port.name] = _value(np.zeros(shape, port.dtype))

    def go_on(self, tokens: np.ndarray) -> np.ndarray:
        """Logits float32 [batch, n, vocabulary] of tokens int64 [batch, n], behind those before."""
        found = self.writer.call(DECODER, {"input_ids": _value(tokens), **self.cache})
        logits: np.ndarray = found.pop("logits").numpy()
        self.cache |= {name.replace("present", "past"): value for name, value in found.items()}
        return logits


class Stepwise(Runner):
    """A writer that is given its tokens one by one."""

    def __init__(self, writer: OnnxWriter) -> None:
        super().__init__(writer.deployment, writer.signature, writer.device, writer.threads)
        self.writer = writer

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Runner`."""
        text = Text(self.writer, inputs["input_features"])
        tokens = to_host(inputs["decoder_input_ids"])
        steps = [text.go_on(tokens[:, i : i + 1]) for i in range(tokens.shape[1])]
        return {
            "logits": np.concatenate(steps, 1),
            "encoder_last_hidden_state": text.heard.numpy(),
        }


def _value(array: np.ndarray) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
