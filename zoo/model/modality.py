"""Modality: what is particular to text, images or sound, whatever the model and the task."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tasks.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from tasks.base import Batch, Task
    from zoo.model.entry import Entry
    from zoo.runtimes.signature import Signature


class Modality(ABC):
    """A kind of input: its axes and sizes, inputs to try a program with, and how it is described.

    The module that `Entry.modality` names has an object of a subclass as `MODALITY`, and imports no
    torch.
    """

    name: ClassVar[str]
    """The name of its folder in `zoo` and `tasks`: "nlp"."""
    axis: ClassVar[str]
    """The name that a signature gives to the size that varies beside the batch."""
    unit: ClassVar[str]
    """The unit of lengths and of work: "tokens", "pixels", "seconds"."""
    usual_length: ClassVar[float] = 1.0
    """The length of a sample that is timed, in the unit, where no other length is asked for."""
    file_note: ClassVar[str | None] = None
    """A note on what transformers' pipeline needs to read a file, if it needs more than the zoo
    does."""

    @abstractmethod
    def load_processor(self, folder: Path) -> Any:
        """Return the processor of a checkpoint whose weights need not be there.

        Raises `UserError` where it is missing or damaged.
        """

    def load_reader(self, folder: Path) -> Any:
        """Return what reads inputs for a program that is no network, under the names of the
        processor: without transformers and torch where it can do without.

        Raises `UserError` as `load_processor` does.
        """
        return self.load_processor(folder)

    @abstractmethod
    def example_inputs(self, task: "Task", processor: Any) -> "tuple[Batch, Batch]":
        """Return a small and a large batch: what differs between their sizes varies."""

    @abstractmethod
    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
    ) -> dict[str, np.ndarray]:
        """Return random inputs by name, of the signature's types and of these sizes.

        Every row but the first ends earlier, and is padded, where there is a mask.
        """

    @abstractmethod
    def bounds(self, task: "Task", model: "nn.Module") -> tuple[int, int | None]:
        """Return the least and the largest size of `axis` that a model takes; None: any."""

    def axis_of(self, name: str) -> str:
        """Return what the size of an input, by its name, is called that varies beside the batch."""
        return self.axis

    def further_bounds(self, task: "Task") -> Mapping[str, tuple[int, int | None]]:
        """Return the bounds of sizes other than `axis`, by what `axis_of` calls them."""
        return {}

    def positions(self, length: float, signature: "Signature", task: "Task") -> int:
        """Return the size of `axis` that a length in `unit` is."""
        return round(length)

    def row_size(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Return how large a row of `Task.inputs` is: the rows of a batch that it fills (several
        for a text or sound cut in windows), and the size of `axis` of the longest of them."""
        return 1, 1

    def decode(self, item: Any, task: "Task", max_seconds: float) -> Any:
        """Return an input of a service as `Task.inputs` takes it. A sound that came as a file is
        decoded: one of a few bytes may last days.

        Raises `UserError` where it can't be read, or is longer than `max_seconds`.
        """
        return item

    def duration(self, row: Mapping[str, Any], task: "Task") -> float | None:
        """Return how long the sound of a row of `Task.inputs` is, in seconds; None: it is none."""
        return None

    def with_words(self, predictor: Any, item: Any) -> dict[str, Any]:
        """Return the prediction for one sound, computed by itself, as JSON: with `words` and their
        times where the model knows them. Empty of other modalities."""
        return {}

    def open_stream(self, predictor: Any, rate: int, pause_s: float | None) -> Any:
        """Return a `zoo.speech.streaming.SpeechStream` for a sound that comes piece by piece.

        Raises `UserError` for a rate that no sound has, and a modality that is not heard.
        """
        raise UserError("only sounds come as a stream")

    @abstractmethod
    def fixed_length(self, signature: "Signature", task: "Task") -> float:
        """Return the length in `unit` (pixels: of a side) of inputs that have one size only."""

    @abstractmethod
    def work(self, arrays: Mapping[str, np.ndarray], task: "Task") -> dict[str, float]:
        """Return what a call handles: `samples`, and `unit`; padding is no work."""

    @abstractmethod
    def describe_inputs(self, task: "Task") -> Iterator[str]:
        """Yield sentences for a card: how long or large an input may be, and what happens to it."""

    def live(
        self, predictor: Any, asked: Any, top_k: int | None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield what is predicted of a live stream on standard input, as it comes: the input as the
        task's `show_input` takes it, and the prediction as JSON.

        Args:
            predictor: a `zoo.predict.pipeline.Predictor`.
            asked: the task's `Inputs`, which satisfy `tasks.inputs.FromStream`.
        """
        raise NotImplementedError(f"{self.name} has no streams")

    def program_inputs(self, repo: str) -> tuple[list[str], list[str]]:
        """Return Python that makes `inputs` of an ONNX `session` out of a Hub repo, imports and
        lines; none where that takes more than a few lines."""
        return [], []


def modality_of(entry: "Entry") -> Modality:
    """Return the modality of a model of the zoo; imports no torch."""
    modality: Modality = importlib.import_module(entry.modality).MODALITY
    return modality
