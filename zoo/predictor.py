"""A checkpoint that predicts: `zoo.load(folder).predict([...])`."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.base import Task
from zoo.checkpoint import Checkpoint, open_checkpoint
from zoo.loading import must_agree
from zoo.terminal import quiet_libraries
from zoo.train.evaluation import to_device
from zoo.train.precision import choose_device

if TYPE_CHECKING:
    from torch import nn

    from zoo.entry import Entry


def open_deployed(
    folder: Path, entry: "Entry | None", deployment: str, device: str, threads: int | None = None
) -> "tuple[Checkpoint, nn.Module, Any]":
    """A checkpoint, what runs it under a deployment, and its processor.

    An artifact is read in the place of the weights, which need not be there. Raises `UserError` for
    a deployment that is not known, not available here, or not exported.
    """
    import zoo.runtimes
    from zoo import signatures
    from zoo.runtimes.deployment import Deployment
    from zoo.runtimes.known import RUNTIMES

    wanted = Deployment.parse(deployment)
    place = choose_device(device)
    if device == "auto" and place.type not in RUNTIMES[wanted.runtime].devices:
        place = choose_device("cpu")
    if wanted == Deployment("eager"):
        checkpoint = open_checkpoint(folder, entry)
        return checkpoint, *load_network(checkpoint, place)
    from zoo.runtimes.runner_model import RunnerModel

    checkpoint = open_checkpoint(folder, entry, weights=not RUNTIMES[wanted.runtime].artifact)
    runner = zoo.runtimes.load(folder, wanted, str(place), threads)
    processor = signatures.domain_of(checkpoint.entry).load_processor(folder)
    must_agree(folder, checkpoint.task, processor)
    return checkpoint, RunnerModel(runner, folder).eval(), processor


def load_network(checkpoint: Checkpoint, device: torch.device) -> tuple["nn.Module", Any]:
    """The model in fp32, ready to evaluate, and its processor."""
    import importlib

    network = importlib.import_module(checkpoint.entry.network)
    model, processor = network.load(checkpoint.folder)
    must_agree(checkpoint.folder, checkpoint.task, processor)
    return model.to(device).eval(), processor


class Readings:
    """From raw inputs to readings; where their logits come from is the subclass's matter."""

    task: Task

    def logits(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Logits float32 [b, ...] of a batch of inputs, on the CPU; without gradients."""
        raise NotImplementedError

    def predict(
        self, inputs: Sequence[Any], *, batch_size: int = 32, top_k: int | None = None
    ) -> list[dict[str, Any]]:
        """Readings of the inputs, in their order: label and score, and `scores` with `top_k`."""
        return list(self.stream(inputs, batch_size=batch_size, top_k=top_k))

    def stream(
        self, inputs: Iterable[Any], *, batch_size: int = 32, top_k: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The same for inputs of any number, batch by batch."""
        waiting = iter(inputs)
        while chunk := list(islice(waiting, batch_size)):
            with torch.inference_mode():
                logits = self.logits(chunk)
            yield from self.task.read(logits, top_k)


class Predictor(Readings):
    """A checkpoint's model, under a deployment, and its processor."""

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        entry: "Entry | None" = None,
        deployment: str = "eager",
    ) -> None:
        quiet_libraries()
        self.device = choose_device(device)
        self.checkpoint, self.model, self.processor = open_deployed(
            Path(checkpoint), entry, deployment, device
        )
        self.task: Task = self.checkpoint.task

    def logits(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Those of the model, as the task collates its inputs."""
        batch = self.task.collate(self.task.inputs(inputs, self.processor))
        return self.task.logits(self.model, to_device(batch, self.device)).cpu()
