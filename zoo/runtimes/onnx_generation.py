"""A model that generates text, under ONNX Runtime: its programs, and how they are called.

An encoder-decoder is encoder.onnx and decoder.onnx, a decoder alone (`zoo.runtimes.onnx_decoder`)
is model.onnx. The keys and values stay where ONNX Runtime has put them (on a GPU there), and go
from one step into the next without a copy in between.
"""

import copy
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tasks.arrays import to_numpy
from tasks.errors import UserError
from zoo.generation import decoding
from zoo.generation.decoding import Decoding, SpecialTokens, from_config
from zoo.generation.session import Ids, Session
from zoo.generation.target_writer import TargetWriter
from zoo.runtimes.artifacts import Artifact
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.onnx_session import open_session, opset_of, provider
from zoo.runtimes.runner import Runner
from zoo.runtimes.signature import Signature
from zoo.runtimes.stages import (
    BATCH,
    DECODER,
    ENCODER,
    ENCODER_MASK,
    MODEL,
    PAST,
    GenerativeRunner,
)

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.stages import Stage

PROGRAMS = "programs"  # in the manifest: the signature of each
MASK = "attention_mask"
INPUT = "input"  # in a session: which input each row is of
HIDDEN = "last_hidden_state"  # of the encoder; the decoder takes what was computed from it


def export(
    stages: "Mapping[str, Stage]", model: "nn.Module", folder: Path, opset: int | None
) -> dict[str, Any]:
    """Writes the programs, and the configs that say how they are used; returns what to record.

    Raises `UserError` where the generation config of what reads no text asks for what is not greedy
    decoding; others are told by their task how they write.
    """
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    from zoo.runtimes import transformers_export

    exported = {}
    for name, stage in stages.items():
        shapes = transformers_export.shapes(stage.signature)
        config = OnnxConfig(dynamic_shapes=shapes, opset_version=opset)
        exported[name] = OnnxExporter().export(stage.module, dict(stage.example), config)
    transformers_export.save(exported, model, folder)
    if ENCODER in stages and "input_ids" not in stages[ENCODER].example:
        decoding.read(folder)
    return {
        "opset": opset_of(_file(folder, list(stages)[-1])),
        PROGRAMS: {name: stage.signature.to_json() for name, stage in stages.items()},
    }


def take_over(artifact: Artifact, folder: Path) -> dict[str, Any]:
    """Copy what lies beside the programs of an artifact into the folder of one that is made of it,
    and return what is to be recorded of them; nothing of a model that is no generator."""
    if PROGRAMS not in artifact.manifest:
        return {}
    for name in ("config.json", decoding.FILE):
        shutil.copyfile(artifact.folder / name, folder / name)
    return {PROGRAMS: artifact.manifest[PROGRAMS]}


def files_of(artifact: Artifact) -> list[str]:
    """Return the names of the files of an ONNX artifact's programs: of one that is no generator
    model.onnx alone."""
    return [_file(Path(), name).name for name in artifact.manifest.get(PROGRAMS, (MODEL,))]


def _file(folder: Path, program: str) -> Path:
    return folder / f"{program}.onnx"


class OnnxGenerativeRunner(GenerativeRunner):
    """What the runners of programs with a cache share; each program is an inference session."""

    stages: tuple[str, ...]
    """names of the programs"""
    main: str
    """the one that is called for each token"""

    def __init__(
        self, artifact: Artifact, deployment: Deployment, device: str, threads: int | None
    ) -> None:
        super().__init__(deployment, artifact.signature, device, threads)
        try:
            self.programs = {
                name: Signature.from_json(artifact.manifest[PROGRAMS][name]) for name in self.stages
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{artifact.folder} is damaged ({error!r}): export it again") from None
        self.sessions = {
            name: open_session(_file(artifact.folder, name), [provider(device)], threads)
            for name in self.programs
        }
        self.folder = artifact.folder
        # at once: an artifact is moved when it is proven, and its runner goes on
        self.own_config = decoding.read_config(self.folder)

    @cached_property
    def _config(self) -> tuple[SpecialTokens, Decoding]:
        where = self.folder / decoding.FILE
        return from_config(self.own_config, where, has_encoder=ENCODER in self.stages)

    @property
    def special_tokens(self) -> SpecialTokens:
        """Return the special tokens that the generation config of the model names.

        Raises `UserError` where it asks for what is not known here.
        """
        return self._config[0]

    @property
    def decoding(self) -> Decoding:
        """Return how the generation config of the model says that it writes.

        Raises `UserError` where it asks for what is not known here.
        """
        return self._config[1]

    def with_tokens(self, special_tokens: SpecialTokens, decoding: Decoding) -> Self:
        """Return the same runner with special tokens and a decoding in place of the model's own."""
        changed = copy.copy(self)
        changed.__dict__["_config"] = (special_tokens, decoding)
        return changed

    def empty_cache(self, rows: int) -> dict[str, Any]:
        """Return the cache of texts without any token, OrtValues by name."""
        arrays = empty_cache(self.programs[self.main], rows)
        return {name: ort_value(array) for name, array in arrays.items()}

    def advance(self, session: Session, given: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run the main program behind the cache of a session, which grows; return the logits."""
        values = {name: value for name, value in session.state.items() if name in self._takes}
        values |= {name: ort_value(array) for name, array in given.items()}
        found = self.call(self.main, values)
        logits: np.ndarray = found.pop("logits").numpy()
        session.state |= {name.replace("present", "past"): array for name, array in found.items()}
        return logits

    @cached_property
    def _takes(self) -> set[str]:
        """Names of the inputs of the main program."""
        return {port.name for port in self.programs[self.main].inputs}

    def step_by_step(self) -> Runner:
        """Return the same program, given its tokens one by one, by way of the cache."""
        return StepByStepRunner(self)

    def run_stepwise(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run as `Runner.run` does, with the tokens given one by one."""
        raise NotImplementedError

    def call(self, program: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a program on OrtValues, which it also gives."""
        session, outputs = self.sessions[program], self.programs[program].outputs
        if self.device == "cpu":  # there is one place for outputs, which need not be bound
            found = session.run_with_ort_values(outputs, given)
            return dict(zip(outputs, found, strict=True))
        binding = session.io_binding()
        for name, value in given.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, self.device.partition(":")[0])
        session.run_with_iobinding(binding)
        return dict(zip(outputs, binding.get_outputs(), strict=True))


class OnnxEncoderDecoder(OnnxGenerativeRunner):
    """A runner that generates text with two inference sessions: the encoder and the decoder."""

    stages = (ENCODER, DECODER)
    main = DECODER

    @cached_property
    def _reads(self) -> tuple[str, ...]:
        """Names of the inputs of the encoder."""
        return tuple(port.name for port in self.programs[ENCODER].inputs)

    def target_writer(self) -> "RunnerTargetWriter | None":
        """Return what writes texts from texts; None where the encoder reads none."""
        return RunnerTargetWriter(self) if "input_ids" in self._reads else None

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of tokens that are given at once; see `Runner.run`."""
        session = self.encode({name: inputs[name] for name in self._reads})
        return self._outputs(session, self.step(session, to_numpy(inputs["decoder_input_ids"])))

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Run the encoder and the prompts; see `GenerativeRunner.start`.

        Tokens without an `attention_mask` are all read.
        """
        inputs = {name: to_numpy(array) for name, array in inputs.items()}
        if MASK in self._reads and MASK not in inputs:
            inputs[MASK] = np.ones_like(inputs["input_ids"])
        self.programs[ENCODER].check(inputs)
        session = self.encode(inputs)
        rows = len(next(iter(inputs.values())))
        prompts = np.tile(np.array(self.special_tokens.prefix, np.int64), (rows, 1))
        session.logits = self.step(session, prompts)[:, -1]
        return session

    def encode(self, inputs: Mapping[str, Any]) -> Session:
        """Run the encoder on inputs [batch, ...]; no token is given yet."""
        given = {name: ort_value(to_numpy(array)) for name, array in inputs.items()}
        rows = len(next(iter(inputs.values())))
        state = self.call(ENCODER, given) | {INPUT: np.arange(rows)}
        if ENCODER_MASK in self._takes:
            state[ENCODER_MASK] = given[MASK]
        return Session(None, state | self.empty_cache(rows))

    def step(self, session: Session, tokens: Ids) -> np.ndarray:
        """Return the logits behind the next tokens; see `GenerativeRunner.step`."""
        return self.advance(session, {"input_ids": tokens})

    def reorder(self, session: Session, rows: Ids) -> None:
        """Reorder the rows of a session, on the host; see `GenerativeRunner.reorder`.

        What the encoder gave stays where the rows are the same inputs': beams change among
        themselves.
        """
        before, after = session.state[INPUT], session.state[INPUT][rows]
        session.state[INPUT] = after
        are_same = np.array_equal(before, after)
        for name, value in session.state.items():
            if name.startswith("past_") or (name != INPUT and not are_same):
                session.state[name] = ort_value(value.numpy()[rows])

    def run_stepwise(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of tokens that are given one by one; see `Runner.run`."""
        session = self.encode({name: inputs[name] for name in self._reads})
        tokens = to_numpy(inputs["decoder_input_ids"])
        steps = [self.step(session, column[:, None]) for column in tokens.T]
        return self._outputs(session, np.concatenate(steps, 1))

    def _outputs(self, session: Session, logits: np.ndarray) -> dict[str, Any]:
        return {"logits": logits, f"encoder_{HIDDEN}": session.state[HIDDEN].numpy()}


class RunnerTargetWriter(TargetWriter):
    """Writes texts from sources by an encoder and a decoder under ONNX Runtime."""

    def __init__(self, runner: OnnxEncoderDecoder) -> None:
        self.runner = runner

    def own_config(self) -> Mapping[str, Any]:
        """Return the generation config that lies beside the programs."""
        return self.runner.own_config

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> OnnxEncoderDecoder:
        """Return the runner with these special tokens; see `TargetWriter`."""
        return self.runner.with_tokens(special_tokens, decoding)


class StepByStepRunner(Runner):
    """A generative runner that is given its tokens one by one."""

    def __init__(self, runner: OnnxGenerativeRunner) -> None:
        super().__init__(runner.deployment, runner.signature, runner.device, runner.threads)
        self.runner = runner

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the logits of tokens that are given one by one; see `Runner.run`."""
        return self.runner.run_stepwise(inputs)


def empty_cache(program: Signature, rows: int) -> dict[str, np.ndarray]:
    """Return the keys and values of texts without any token, [rows, heads, 0, size] by name."""
    sizes = {BATCH: rows, PAST: 0}
    return {
        port.name: np.zeros(
            [sizes[size] if isinstance(size, str) else size for size in port.dims], port.dtype
        )
        for port in program.inputs
        if port.name.startswith("past_")
    }


def ort_value(array: np.ndarray) -> Any:
    """Return an array as an OrtValue on the processor."""
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
