"""What a method of training is: an object whose hooks a fine-tune and its loop call.

A `Method` takes part in what a fine-tune prepares: data, network, objective, what is saved and
what is told in the end. A `Hook` takes part in the steps of the loop. Every hook does nothing
here, so that a method has those alone that it needs; `zoo.train.methods.known` lists all methods.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tasks.base import Collate, Examples, Features, Objective, Task
from tasks.data.source import DataArgs
from tasks.packed import PackedShape

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.evaluation.loop import Evaluation
    from zoo.model.entry import Entry
    from zoo.store.checkpoint import Checkpoint
    from zoo.store.evidence import Fact
    from zoo.train.args import TrainArgs
    from zoo.train.optim.loss_scale import LossScaler
    from zoo.train.resume.progress import Progress


@dataclass(frozen=True)
class FinetuneJob:
    """All that a fine-tune was asked to do."""

    options: Any
    data: DataArgs
    task: Any
    train: "TrainArgs"


@dataclass(frozen=True)
class Setup:
    """What is known of a run before its data are read."""

    entry: "Entry"
    job: FinetuneJob
    folder: Path  # where the checkpoint goes
    accelerator: "Accelerator"
    dtype: torch.dtype  # arithmetic of training
    begun: "Progress | None" = None  # how far the run has come that is gone on with

    @property
    def args(self) -> "TrainArgs":
        """How the model is trained."""
        return self.job.train

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return bool(self.accelerator.is_main_process)


@dataclass(frozen=True)
class Data:
    """The examples of a run, read and made ready."""

    task: Task  # settled
    examples: Examples
    processor: Any
    features: Mapping[str, Features]  # by split
    beside: Mapping[str, Features]  # what methods add to them


@dataclass(frozen=True)
class Learning:
    """What the loop learns: from which samples, made into batches how, by which objective."""

    features: Features
    collate: Collate
    objective: Objective
    packing: PackedShape | None = None  # of every pass, where samples are packed


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds of a trained network."""

    model: nn.Module  # whose config is written
    state: Mapping[str, Tensor]
    beside: Callable[[Path], None] | None = None  # writes more into the checkpoint's folder


@dataclass(frozen=True)
class FinetuneResult:
    """The saved checkpoint, measured."""

    split: str
    evaluation: "Evaluation"
    parameters: int  # of the network
    measure: Callable[[nn.Module], "Evaluation"]  # another network on the same split


class Method:
    """A way of training that is more than the task's own loss on labelled examples.

    Hooks are called in the order in which they stand here, on every rank.
    """

    reads_layers = False
    """Whether layers must be computed whole, as the network has them."""
    sees_more = False
    """Whether more goes through the network than the train split."""
    rows_beside = 0
    """Rows that go through the network beside each labelled one."""
    networks_beside: Sequence[nn.Module] = ()
    """Other networks that see what the trained one sees."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Whether flags ask for this method."""
        raise NotImplementedError

    def look(self) -> None:
        """Before data are read, which may take long: raises `UserError` for what can't be had."""

    def start(self) -> "Checkpoint | None":
        """The checkpoint that is trained on; None: the weights that the options name."""
        return None

    def read(self, task: Task, processor: Any) -> None:
        """With the settled task: reads what the method needs.

        Raises `UserError` where that does not fit the task.
        """

    def manifest(self) -> dict[str, Any]:
        """What zoo.json says of the method."""
        return {}

    def features(self, task: Task) -> dict[str, Features]:
        """More features than those of the splits, by a name to announce them with."""
        return {}

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        """The network as it is trained."""
        return model

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        """What is learned instead."""
        return learning

    def to_save(self, model: nn.Module) -> Saved | None:
        """What is saved of the network; None: all of it, as it is."""
        return None

    def finish(self, result: FinetuneResult) -> None:
        """After the checkpoint was measured."""

    def facts(self, student: "Sequence[Fact]") -> "list[Fact]":
        """More evidence, beside that of the run; on the main process."""
        return []

    def show(self) -> None:
        """Prints behind the closing table; on the main process."""


Named = dict[str, Tensor]


class Hook:
    """What happens around the steps of the loop.

    `computing`, `after_backward` and `after_step` only queue work on the device, since a GPU may
    record a step once and replay it: they read nothing from the device, and a number that differs
    from step to step is a tensor there.
    """

    scaler: "LossScaler | None" = None
    """What scales the loss, where the arithmetic needs that."""
    keeps_program = True
    """Whether every step computes the same, so that it may be replayed."""

    def attach(self, model: nn.Module, named: Named) -> Named:
        """Before there is an optimizer; returns what it is to step, in fp32, by name.

        Args:
            model: as it is trained, on its device, sharded if asked, not yet wrapped.
            named: its parameters, or what an earlier hook has put in their place.
        """
        return named

    def begin(self, parameters: Sequence[nn.Parameter]) -> None:
        """Takes what the optimizer steps, in its order."""

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which a pass computes its loss."""
        return contextlib.nullcontext()

    def before_step(self, done: float) -> None:
        """On the host, before the passes of a step.

        Args: done: share of the training, from 0 to 1, that lies behind.
        """

    def after_backward(self) -> None:
        """Gradients of a pass have been added up."""

    def after_step(self, found_inf: Tensor | None = None) -> None:
        """The optimizer has stepped, and gradients are gone.

        Args: found_inf: float32 scalar on the device, 1 where the step was skipped; None: it was
            not.
        """

    def as_saved(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network has the weights that are evaluated and saved."""
        return contextlib.nullcontext()

    def state(self) -> dict[str, Named]:
        """What a saved state holds of it: tensors by file."""
        return {}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """Puts a saved state back; weights and optimizer have been.

        Raises KeyError where it has nothing of this.
        """
