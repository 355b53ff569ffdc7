"""What a method of training is: an object whose hooks a fine-tune and its loop call.

A `Method` takes part in what a fine-tune prepares: data, network, objective, what is saved and
what is told in the end. A `Hook` takes part in the steps of the loop. Every hook does nothing
here, so that a method has those alone that it needs; `zoo.train.methods.known` lists all methods.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
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
    """Everything the user asked of a fine-tune."""

    options: Any
    data: DataArgs
    task: Any
    train: "TrainArgs"
    typed: Collection[str] = ()
    """names of the settings that were given, at their default or not"""


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
        """Return the flags of the training."""
        return self.job.train

    @property
    def device(self) -> torch.device:
        """Return the device that this process computes on."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def is_main(self) -> bool:
        """Return whether this process is the one that writes files and prints."""
        return bool(self.accelerator.is_main_process)


@dataclass(frozen=True)
class Data:
    """The examples of a run, read, with their task and features."""

    task: Task  # settled
    examples: Examples
    processor: Any
    features: Mapping[str, Features]  # by split
    beside: Mapping[str, Features]  # what methods add to them


@dataclass(frozen=True)
class Learning:
    """What the loop learns from: the samples, how they are collated, and the objective."""

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
    """The saved checkpoint and its evaluation."""

    split: str
    evaluation: "Evaluation"
    parameters: int  # of the network
    measure: Callable[[nn.Module], "Evaluation"]  # another network on the same split


class Method:
    """A way of training that adds to the task's own loss on labelled examples.

    Methods are called in the order in which they are defined here, on every rank.
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
        """Return whether the flags ask for this method."""
        raise NotImplementedError

    def look(self) -> None:
        """Check flags and files before the data, which may take long to read; raises
        `UserError`."""

    def start(self) -> "Checkpoint | None":
        """Return the checkpoint to train from; None: the weights that the options name."""
        return None

    def read(self, task: Task, processor: Any) -> None:
        """Read what the method needs, given the task bound to the data.

        Raises `UserError` if it does not fit the task.
        """

    def manifest(self) -> dict[str, Any]:
        """Return what zoo.json records of the method."""
        return {}

    def features(self, task: Task) -> dict[str, Features]:
        """Return features in addition to those of the splits, by the name to announce them with."""
        return {}

    def model(self, model: nn.Module, data: Data) -> nn.Module:
        """Return the network to train, made from the plain one."""
        return model

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        """Return what the loop learns from, given what it would learn from without this method."""
        return learning

    def to_save(self, model: nn.Module) -> Saved | None:
        """Return what a checkpoint holds of the network; None: the whole network unchanged."""
        return None

    def finish(self, result: FinetuneResult) -> None:
        """Do what is left to do after the checkpoint was evaluated."""

    def facts(self, student: "Sequence[Fact]") -> "list[Fact]":
        """Return evidence in addition to that of the run; called on the main process."""
        return []

    def show(self) -> None:
        """Print after the closing table; called on the main process."""


Named = dict[str, Tensor]


class Hook:
    """Callbacks before, within and after the steps of the training loop.

    `computing`, `after_backward` and `after_step` only queue work on the device, since a GPU may
    record a step once and replay it: they read nothing from the device, and a number that differs
    from step to step is a tensor there.
    """

    scaler: "LossScaler | None" = None
    """What scales the loss, where the arithmetic needs that."""
    keeps_program = True
    """Whether every step computes the same, so that it may be replayed."""

    def attach(self, model: nn.Module, named: Named) -> Named:
        """Prepare for a model before its optimizer is made; return the fp32 parameters to optimize,
        by name.

        Args:
            model: the network to train, on its device, sharded if it will be, not yet wrapped.
            named: its parameters, or those that an earlier hook has replaced them with.
        """
        return named

    def begin(self, parameters: Sequence[nn.Parameter]) -> None:
        """Receive the parameters that the optimizer updates, in its order."""

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which a pass computes its loss."""
        return contextlib.nullcontext()

    def before_step(self, done: float) -> None:
        """Run on the host before the passes of a step.

        Args: done: share of the training that is complete, from 0 to 1.
        """

    def after_backward(self) -> None:
        """Run after the gradients of a pass have been accumulated."""

    def after_step(self, found_inf: Tensor | None = None) -> None:
        """Run after the optimizer has stepped and the gradients were dropped.

        Args: found_inf: float32 scalar on the device, 1 where the step was skipped; None: it was
            not.
        """

    def as_saved(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network has the weights that are evaluated and saved."""
        return contextlib.nullcontext()

    def state(self) -> dict[str, Named]:
        """Return the tensors of this hook for a saved state, by file name."""
        return {}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """Restore a saved state; weights and optimizer are restored before.

        Raises KeyError if the state has nothing of this hook.
        """
