"""A model that generates text, under ONNX Runtime: encoder.onnx, and decoder.onnx with a cache.

The keys and values stay where ONNX Runtime has put them (on a GPU there), and go from one step into
the next without a copy in between.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.arrays import to_numpy
from tasks.errors import UserError
from zoo.generation import decoding
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.session import Ids, Session
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_session import open_session, opset_of, provider
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import BATCH, PAST, GenerativeRunner

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.stages import Stage

PROGRAMS = "programs"  # in the manifest: the signature of each
ENCODER, DECODER = "encoder", "decoder"
HIDDEN = "last_hidden_state"  # of the encoder; the decoder takes what was computed from it


def export(
    stages: "Mapping[str, Stage]", model: "nn.Module", folder: Path, opset: int | None
) -> dict[str, Any]:
    """Writes both programs, and the configs that say how they are used; returns what to record.

    Raises `UserError` where the generation config asks for what is not greedy decoding.
    """
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from zoo.runtimes import transformers_export

    exported = {}
    for name, stage in stages.items():
        shapes = transformers_export.shapes(stage.signature)
        config = OnnxConfig(dynamic_shapes=shapes, opset_version=opset)
        exported[name] = OnnxExporter().export(stage.module, dict(stage.example), config)
    transformers_export.save(exported, model, folder)
    decoding.read(folder)
    return {
        "opset": opset_of(_file(folder, DECODER)),
        PROGRAMS: {name: stage.signature.to_json() for name, stage in stages.items()},
    }


def _file(folder: Path, program: str) -> Path:
    return folder / f"{program}.onnx"


class OnnxGenerativeRunner(GenerativeRunner):
    """A runner that generates text with two inference sessions: the encoder and the decoder."""

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
        self._special_tokens, self._decoding = decoding.read(artifact.folder)

    @property
    def special_tokens(self) -> SpecialTokens:
        """Return the special tokens that the artifact has recorded."""
        return self._special_tokens

    @property
    def decoding(self) -> Decoding:
        """Return how the model generates by default, as the artifact has recorded."""
        return self._decoding

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of tokens that are given at once; see `Runner.run`."""
        session = self.encode({"input_features": inputs["input_features"]})
        return self._outputs(session, self.step(session, to_numpy(inputs["decoder_input_ids"])))

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run the encoder and the prompts; see `GenerativeRunner.start`."""
        self.programs[ENCODER].check(inputs)
        session = self.encode(inputs)
        rows = len(next(iter(inputs.values())))
        prompts = np.tile(np.array(self.special_tokens.prefix, np.int64), (rows, 1))
        session.logits = self.step(session, prompts)[:, -1]
        return session

    def encode(self, inputs: Mapping[str, Any]) -> Session:
        """Run the encoder on inputs float32 [batch, ...]; no token is given yet."""
        given = {name: to_numpy(array) for name, array in inputs.items()}
        state = self.call(ENCODER, {name: _value(array) for name, array in given.items()})
        sizes = {BATCH: len(next(iter(given.values()))), PAST: 0}
        for port in self.programs[DECODER].inputs:
            if port.name.startswith("past_"):
                shape = [sizes[size] if isinstance(size, str) else size for size in port.dims]
                state[port.name] = _value(np.zeros(shape, port.dtype))
        return Session(None, state)

    def step(self, session: Session, tokens: Ids) -> np.ndarray:
        """Return the logits behind the next tokens; see `GenerativeRunner.step`."""
        cache = {name: value for name, value in session.state.items() if name != HIDDEN}
        found = self.call(DECODER, {"input_ids": _value(tokens), **cache})
        logits: np.ndarray = found.pop("logits").numpy()
        session.state |= {name.replace("present", "past"): array for name, array in found.items()}
        return logits

    def reorder(self, session: Session, rows: Ids) -> None:
        """Reorder the rows of a session, on the host; see `GenerativeRunner.reorder`."""
        for name, value in session.state.items():
            session.state[name] = _value(value.numpy()[rows])

    def step_by_step(self) -> Runner:
        """Return the same program, given its tokens one by one, by way of the cache."""
        return StepByStepRunner(self)

    def _outputs(self, session: Session, logits: np.ndarray) -> dict[str, Any]:
        return {"logits": logits, f"encoder_{HIDDEN}": session.state[HIDDEN].numpy()}

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


class StepByStepRunner(Runner):
    """A generative runner that is given its tokens one by one."""

    def __init__(self, runner: OnnxGenerativeRunner) -> None:
        super().__init__(runner.deployment, runner.signature, runner.device, runner.threads)
        self.runner = runner

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of tokens that are given one by one; see `Runner.run`."""
        session = self.runner.encode({"input_features": inputs["input_features"]})
        tokens = to_numpy(inputs["decoder_input_ids"])
        steps = [self.runner.step(session, column[:, None]) for column in tokens.T]
        return self.runner._outputs(session, np.concatenate(steps, 1))


def _value(array: np.ndarray) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
