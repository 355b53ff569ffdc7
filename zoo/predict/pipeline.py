"""A checkpoint that predicts: `zoo.load(folder).predict([...])`.

Inputs become rows (`Task.inputs`), a batch, the outputs of a model, predictions, and JSON. Where an
exported program is the model and the task can, all of it is numpy's arrays: torch, which takes
longer to import than most programs to answer, is imported for networks alone.
"""

import contextlib
import copy
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import zoo.runtimes
from tasks.base import Batch, Outputs, PredictsArrays, Task
from tasks.errors import UserError
from tasks.writes import Writes
from zoo.machine.terminal import quiet_libraries
from zoo.model.loading import must_agree
from zoo.model.modality import modality_of
from zoo.model.network import load_network
from zoo.runtimes.array_model import ArrayModel
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.runtimes.runner import Runner
from zoo.store.checkpoint import MANIFEST, Checkpoint, open_checkpoint

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo.generation.speculative import Acceptance
    from zoo.model.entry import Entry

SHOWN = 5
"""Labels that a model's repr names."""
GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""What Linux has where there is a GPU to compute on: NVIDIA's, AMD's, Windows' below it."""


def open_deployed(
    folder: Path, entry: "Entry | None", deployment: str, device: str, threads: int | None = None
) -> "tuple[Checkpoint, nn.Module, Any]":
    """Return a checkpoint with its task bound, the network or the runner of its deployment, and its
    processor.

    An artifact is read instead of the weights, which need not exist. Raises `UserError` for a
    deployment that is unknown, unavailable here, or not exported.
    """
    checkpoint, found, processor = _open(folder, entry, deployment, device, threads)
    return checkpoint, _as_network(found, folder), processor


def _open(
    folder: Path, entry: "Entry | None", deployment: str, device: str, threads: int | None = None
) -> "tuple[Checkpoint, nn.Module | Runner, Any]":
    """Return the checkpoint, its network or runner, and the processor of its inputs."""
    wanted = Deployment.parse(deployment)
    if wanted == Deployment("eager"):
        from zoo.machine.precision import compute_on

        place = compute_on(device, threads)
        checkpoint = open_checkpoint(folder, entry)
        model, processor = load_network(checkpoint, place)
        return checkpoint.bind(processor), model, processor
    where = _place(wanted, device)
    checkpoint = open_checkpoint(folder, entry, weights=not RUNTIMES[wanted.runtime].artifact)
    runner = zoo.runtimes.load(folder, wanted, where, threads)
    reader = modality_of(checkpoint.entry).load_reader(folder)
    must_agree(folder, checkpoint.task, reader)
    return checkpoint.bind(reader), runner, reader


def are_weights(entry: "Entry", model: str) -> bool:
    """Return whether a name is that of a model's pretrained weights which predict as they are, as
    Whisper's do, and no checkpoint's folder."""
    if model not in entry.presets or (Path(model) / MANIFEST).exists():
        return False
    return hasattr(importlib.import_module(entry.task), "without_data")


def _as_network(found: "nn.Module | Runner", folder: Path) -> "nn.Module":
    if not isinstance(found, Runner):
        return found
    from zoo.runtimes.runner_model import RunnerModel

    return RunnerModel(found, folder).eval()


def _place(wanted: Deployment, asked: str) -> str:
    """Return the device that a deployment runs on; for `auto` it is the CPU if the runtime supports
    no other device of this machine.

    Raises `UserError` if the device that was asked for does not exist.
    """
    devices = RUNTIMES[wanted.runtime].devices
    if asked == "cpu" or (asked == "auto" and (devices == ("cpu",) or not _may_have_gpu())):
        return "cpu"
    from zoo.machine.precision import choose_device

    place = choose_device(asked)
    return "cpu" if asked == "auto" and place.type not in devices else str(place)


def _may_have_gpu() -> bool:
    """Return whether it is worth importing torch to ask it for a GPU."""
    if sys.platform == "darwin" or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    return sys.platform != "linux" or any(Path(node).exists() for node in GPU_NODES)


class PredictionPipeline:
    """Turns raw inputs into predictions; subclasses say how the outputs are computed."""

    task: Task
    source: str
    """what predicts, for people: the folder of a checkpoint, or weights"""
    device: Any

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that are told apart; empty of a recogniser, a regression, a masked model."""
        return tuple(self.task.labels)

    def __call__(
        self, inputs: Any, *, batch_size: int = 32, top_k: int | None = None, **settings: Any
    ) -> Any:
        """Return the prediction for one input, or a list of predictions for several, as `predict`
        does."""
        return self.predict(inputs, batch_size=batch_size, top_k=top_k, **settings)

    def __repr__(self) -> str:
        """Return what predicts, its task, labels and device."""
        shown = [repr(label) for label in self.labels[:SHOWN]]
        if len(self.labels) > SHOWN:
            shown.append(f"... {len(self.labels):,} in all")
        told = f", labels {', '.join(shown)}" if shown else ""
        return f"<{self.source}: {self.task.name}{told}, on {self.device}>"

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which predictions are computed: without gradients."""
        import torch

        return torch.inference_mode()

    def outputs(self, batch: Sequence[Any]) -> Outputs:
        """Return the model's outputs for at least one input, computed in one pass."""
        raise NotImplementedError

    def predictions(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return the task's predictions for at least one input, computed in one pass."""
        raise NotImplementedError

    def prepare(self, inputs: Sequence[Any]) -> list[Any]:
        """Return what `compute` takes for each input: decoded, tokenised, not yet in a batch.

        Raises `UserError` if any of them can't be read.
        """
        return list(inputs)

    def compute(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """Return the task's predictions for at least one prepared input, computed in one pass."""
        with self.context():
            return self.predictions(prepared)

    def logits(self, inputs: Any) -> "torch.Tensor":
        """Return the logits of inputs, float32 [b, ...], from one pass, on the CPU and without
        gradients.

        They are what the scores of `predict` are made of: [b, labels] of a classifier, [b, frames,
        vocabulary] of a recogniser with CTC, [b, masks, vocabulary] of a model that fills masks.

        Args:
            inputs: as `predict` takes them; one input is a batch of one.

        Raises `UserError` for an input that can't be read, where there is none, and for a model
        that writes its text (Whisper): it has no logits of its input.
        """
        import torch

        batch = [inputs] if self.task.is_one(inputs) else list(inputs)
        if not batch:
            raise UserError("there are no inputs, and so no logits")
        with torch.no_grad():
            return torch.as_tensor(self.outputs(batch)["logits"]).cpu()

    def predict(
        self, inputs: Any, *, batch_size: int = 32, top_k: int | None = None, **settings: Any
    ) -> Any:
        """Return the prediction for one input, or a list of predictions for several.

        A prediction is a dict: `label` and `score`, and with `top_k` the `scores` of the best k
        labels; `text` of a recogniser, and of a model that goes on with texts (see `write`).

        Args:
            inputs: one input, or a list (or any other row) of them. A text is a str, or a tuple of
                two where the model was trained on pairs. An image or sound is a path, bytes, an
                open file, a mapping of `bytes` or `path`, or an array or tensor; an image also
                PIL's (see `tasks.vision.image_items.pixels`), a sound a mapping of `array` and
                `sampling_rate` (see `tasks.speech.audio_items.samples`): an array alone has the
                model's own rate.
            batch_size: inputs in a pass.
            top_k: scores of so many labels; a model that goes on with texts draws among so many
                tokens.
            settings: of a model that goes on with texts, as `write` takes them.

        Raises `UserError` for an input that can't be read, and for a setting as `write` does.
        """
        one = self.task.is_one(inputs)
        row = [inputs] if one else inputs
        found = list(self.stream(row, batch_size=batch_size, top_k=top_k, **settings))
        return found[0] if one else found

    def stream(
        self,
        inputs: Iterable[Any],
        *,
        batch_size: int = 32,
        top_k: int | None = None,
        **settings: Any,
    ) -> Iterator[dict[str, Any]]:
        """Yield one prediction for each input, computed batch by batch; there may be any number of
        inputs. Arguments are those of `predict`."""
        for _, found in self.readings(inputs, batch_size=batch_size, top_k=top_k, **settings):
            yield found

    def readings(
        self,
        inputs: Iterable[Any],
        *,
        batch_size: int = 32,
        top_k: int | None = None,
        **settings: Any,
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield the prediction of each input as the task's own dataclass (`typed`) and as JSON
        (`stream`)."""
        if top_k is not None and top_k < 1:
            raise UserError(f"`top_k` {top_k}: at least 1")
        if top_k is not None and isinstance(self.task, Writes):
            settings, top_k = {**settings, "top_k": top_k}, None
        writer = self.writing_as(**settings) if settings else self
        for one in writer.typed(inputs, batch_size=batch_size):
            yield one, self.task.to_json(one, top_k)

    def writing_as(self, **settings: Any) -> Self:
        """Return the same model with other settings of the texts that it writes, by the names that
        `write` takes.

        Raises `UserError` as `write` does.
        """
        if not isinstance(self.task, Writes):
            raise UserError(
                f"{self.source} does not go on with texts, and `{next(iter(settings))}` says how"
            )
        found = copy.copy(self)
        task: Any = self.task.writing_as(**settings)
        found.task = task
        return found

    def write(self, prompt: Any, **settings: Any) -> Iterator[str]:
        """Yield the text that goes on behind a prompt, piece by piece, as it is written.

            for piece in zoo.load("runs/gpt_lm").write("This package", temperature=0.8):
                print(piece, end="", flush=True)

        Args:
            settings: flags of `predict` by name: `max_new_tokens`, `min_new_tokens`, `temperature`,
                `top_k`, `top_p`, `num_beams`, `length_penalty`, `repetition_penalty`,
                `no_repeat_ngram_size`, `stop`, `regex`, `json_schema`, `seed`. With beams all comes
                at the end.

        Raises `UserError` for a prompt that can't be gone on with, a setting out of bounds, and a
        model that writes nothing.
        """
        raise UserError(f"{self.source} does not go on with texts")

    def draft_with(self, checkpoint: str | Path) -> "Acceptance":
        """Let a smaller checkpoint guess the tokens that this one writes: the same texts, sooner
        where it often guesses right (`zoo.generation.speculative`).

        Returns what comes of its guesses, which is counted up from now on.

        Raises `UserError` where one of the two does not go on with texts, or they have not the same
        tokens.
        """
        raise UserError(f"{self.source} does not go on with texts, and so takes no draft")

    def typed(self, inputs: Iterable[Any], *, batch_size: int = 32) -> Iterator[Any]:
        """Yield the prediction of each input as the task's own frozen dataclass, before it becomes
        JSON: a classifier's has the number of the label (see `labels`) and all scores.

        Its types: `LabelPrediction`, `LabelsPrediction`, `NumberPrediction` of
        `tasks.kinds.label_values`, `TextPrediction` of `tasks.speech.transcription`,
        `TagsPrediction` of `tasks.nlp.tagged_words`, `MaskPrediction` of `tasks.nlp.masked_lm`,
        `Continuation` of `tasks.nlp.writing`, `SegmentationPrediction` of
        `tasks.vision.segmentation`.
        """
        if batch_size < 1:
            raise UserError(f"`batch_size` {batch_size}: at least 1")
        waiting = iter(inputs)
        while chunk := list(islice(waiting, batch_size)):
            with self.context():
                found = self.predictions(chunk)
            assert len(found) == len(chunk), f"{len(found)} predictions of {len(chunk)} inputs"
            yield from found


class Predictor(PredictionPipeline):
    """Predicts with a checkpoint's model, under a deployment."""

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        entry: "Entry | None" = None,
        deployment: str = "eager",
        threads: int | None = None,
    ) -> None:
        """Open a checkpoint; `threads` of the processor are this process's from then on."""
        quiet_libraries()
        folder = Path(checkpoint)
        self.checkpoint, found, self.processor = _open(folder, entry, deployment, device, threads)
        self.device, self.task = found.device, self.checkpoint.task
        ran = "" if deployment == "eager" else f", {deployment}"
        self.source = f"{self.checkpoint.entry.name} in {folder}{ran}"
        self.model: Any
        if isinstance(found, Runner) and isinstance(self.task, PredictsArrays):
            self.model = ArrayModel(found)
        else:
            self.model = _as_network(found, folder)

    @classmethod
    def of_weights(
        cls,
        entry: "Entry",
        model: str,
        device: str = "auto",
        threads: int | None = None,
        deployment: str = "eager",
    ) -> Self:
        """Return pretrained weights that predict as they are (see `are_weights`); `threads` of the
        processor are this process's from then on.

        Raises `UserError` where the weights are not at hand, or of another kind, and for another
        deployment than eager.
        """
        from zoo.machine.precision import compute_on
        from zoo.model.network import assemble

        if deployment != "eager":
            raise UserError(f"{model} are weights, and `deployment` is for a checkpoint")
        quiet_libraries()
        place = compute_on(device, threads)
        task = importlib.import_module(entry.task).without_data()
        assembly = assemble(entry, entry.options(model=model), task, {})
        network, _ = assembly.build()
        made = cls.__new__(cls)
        made.device, made.task = place, assembly.task
        made.model, made.processor = network.to(made.device).eval(), assembly.processor
        made.source = f"{entry.name} with {model}"
        return made

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which predictions are computed: for a network, without
        gradients."""
        return contextlib.nullcontext() if isinstance(self.model, ArrayModel) else super().context()

    def prepare(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the task's row of each input; raises as `PredictionPipeline.prepare` does."""
        return self.task.inputs(inputs)

    def compute(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """Return the task's predictions for at least one row, computed in one pass."""
        with self.context():
            return self.task.predict(self.model, self._collate(prepared))

    def write(self, prompt: Any, **settings: Any) -> Iterator[str]:
        """Yield the text behind a prompt as it is written; see `PredictionPipeline.write`."""
        if not isinstance(self.task, Writes):
            yield from super().write(prompt)
            return
        task: Any = self.task.writing_as(**settings)
        batch = self._collate(task.inputs([prompt]))
        shown = 0
        for [text] in task.write(self.model, batch):
            if len(text.text) > shown:
                yield text.text[shown:]
                shown = len(text.text)

    def draft_with(self, checkpoint: str | Path) -> "Acceptance":
        """Let a smaller checkpoint guess tokens; see `PredictionPipeline.draft_with`."""
        from zoo.generation.writer import TokenWriter

        draft = Predictor(checkpoint, str(self.device))
        for each in (self, draft):
            if not isinstance(getattr(each.model, "write", None), TokenWriter):
                raise UserError(
                    f"{each.source} writes no text token by token: no draft can be used"
                )
        own, theirs = (each.processor.backend_tokenizer.get_vocab() for each in (self, draft))
        for token in sorted(own.keys() | theirs.keys(), key=lambda token: own.get(token, -1)):
            if own.get(token) != theirs.get(token):
                raise UserError(
                    f"`draft` {checkpoint} has other tokens than {self.source}: {token!r} is "
                    f"{_numbered(theirs.get(token))} of it, and {_numbered(own.get(token))} here. "
                    "A draft has the tokenizer of its model"
                )
        self.model.write.draft = draft.model.write
        found: Acceptance = self.model.write.acceptance
        return found

    def _collate(self, rows: Sequence[Any]) -> Batch:
        if isinstance(self.model, ArrayModel):
            assert isinstance(self.task, PredictsArrays)
            return self.task.collate_arrays(rows)
        return self.task.collate(rows).to(self.device)

    def outputs(self, batch: Sequence[Any]) -> Outputs:
        """Return the outputs of the model for inputs collated by the task."""
        return self.task.forward(self.model, self._collate(self.prepare(batch)))

    def predictions(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return the task's predictions for inputs, computed by the model."""
        return self.task.predict(self.model, self._collate(self.prepare(batch)))


def _numbered(token: int | None) -> str:
    return "no token" if token is None else f"token {token}"
