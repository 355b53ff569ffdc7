"""Task: what every kind of learning problem offers to the loop, the verbs and the harness.

A task owns examples, preprocessing, collation, its supervised objective, metrics and how a
prediction reads. It knows no model: whatever maps inputs to named outputs will do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.data.source import DataArgs
    from tasks.metrics import MetricSpec
    from tasks.preflight import Finding
    from tasks.randomness import EpochView

P_contra = TypeVar("P_contra", contravariant=True)
P = TypeVar("P")  # what a task predicts of a sample: a frozen dataclass


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch collated from b samples, which fill n rows of inputs.

    Each sample is one row (n = b), or several where it was cut in windows. What is called a tensor
    here is numpy's array in a batch of `PredictsArrays.collate_arrays`.
    """

    inputs: "Tensors"
    """for the network, by the names of its arguments, [n, ...]"""
    ids: "Tensor"
    """int64 [b]: the number of each sample in its split"""
    targets: Mapping[str, Any] = field(default_factory=dict)
    """what is to be learned, for the task: tensors, or lists where they are ragged; empty where
    nothing is known"""
    windows: "Tensor | None" = None
    """int64 [n]: the place in `ids` of the sample that each row belongs to; None: one row each"""
    lengths: "Tensor | None" = None
    """int64 [n]: positions of each row that are no padding, where the task needs to know"""
    spans: "Tensor | None" = None
    """int64 [n, 2]: where each window begins in its sample and how long it is, where windows are
    put together again; of an image the row and the column where it begins"""
    sizes: "Tensor | None" = None
    """int64 [b, 2]: height and width of each sample's image, where what is predicted lies in the
    pixels of the image itself and not of what the network sees"""
    parts: Mapping[str, "Batch"] = field(default_factory=dict)
    """other batches that an objective asked for, by name: views of unlabelled samples"""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.ids)

    def to(self, device: Any) -> "Batch":
        """Return the batch on a device; the copy is asynchronous where possible."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory, for fast copies to a GPU; torch's DataLoader
        calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def tensors(self) -> "Batch":
        """Return the batch with numpy arrays converted to tensors that share their memory."""
        import numpy as np
        import torch

        return self._each(torch.from_numpy, np.ndarray)

    def _each(self, change: "Callable[[Any], Tensor]", kind: type | None = None) -> "Batch":
        """Return the batch with `change` applied to every value of type `kind`, by default every
        tensor."""
        import torch

        def changed(value: Any) -> Any:
            if isinstance(value, kind or torch.Tensor):
                return change(value)
            if isinstance(value, Mapping):
                return {name: changed(one) for name, one in value.items()}
            if isinstance(value, list):
                return [changed(one) for one in value]
            return value._each(change, kind) if isinstance(value, Batch) else value

        return Batch(**{each.name: changed(getattr(self, each.name)) for each in fields(self)})


OutputKind = Literal[
    "logits",
    "probabilities",
    "regression",
    "embedding",
    "hidden_state",
    "boxes_xyxy",
    "boxes_cxcywh",
    "mask",
    "waveform",
    "image",
    "tokens",
]
"""What an output of a model is, whatever it is called; batch and other axes stand before.

- logits [..., classes]: before a softmax or sigmoid, in nats; probabilities [..., classes]: behind
  it, from 0 to 1.
- regression: numbers in the unit of the target.
- embedding, hidden_state [..., hidden]: vectors whose direction matters, one of an input or one of
  each token, frame or patch.
- boxes_xyxy [..., 4]: two corners; boxes_cxcywh [..., 4]: centre, width and height (the formats of
  `torchvision.ops.box_convert`), in pixels or as shares of the image, as the network gives them:
  before they are sorted and suppressed.
- mask: float logits of each pixel, [batch, classes, height, width], or of a single thing [batch,
  height, width] or [batch, 1, height, width]; or integer classes [batch, height, width].
- waveform [..., samples]; image: pixels, also of patches.
- tokens: integer ids.
"""

Tensors = Mapping[str, "Tensor"]
"""Tensors by name."""

Outputs = Tensors
"""What a network puts out, by name; float32, whatever it was computed in."""

Collate = Callable[[Sequence[Mapping[str, Any]]], Batch]
"""Makes a batch of the rows that `Features` give."""


@dataclass(frozen=True)
class Loss:
    """What an objective returns for one micro-batch."""

    sum: "Tensor"  # float32 scalar: the loss summed over the valid targets
    count: "Tensor"  # float32 scalar: how many valid targets (or their weight); no gradient
    logs: Mapping[str, "Tensor"]  # scalars, summed like `sum`
    terms: "Tensor | None" = None
    """Without gradient: what `sum` adds up, [b] by sample or with further axes by target, where no
    labels are smoothed. Metrics that are likelihoods and the hardest errors are made of it."""


@dataclass(frozen=True, eq=False)
class Evaluated(Generic[P]):
    """A batch with the model's outputs, loss and predictions for it, from which metrics and the
    hardest errors are computed."""

    batch: Batch
    outputs: Outputs
    loss: Loss
    predictions: Sequence[P]  # one a sample, as the references
    references: Sequence[Any]


class Objective(Protocol):
    """The loss of a model on a micro-batch: all that the training loop knows of the task.

    It draws no random numbers: what is random in a sample (masks, augmentation, views) comes with
    the batch. `tasks.randomness` draws it from (seed, epoch, sample) in `Features` or in collation,
    so that it is the same however a step is cut into micro-batches and ranks.
    """

    def __call__(self, model: "nn.Module", batch: Batch) -> Loss: ...


@dataclass(frozen=True)
class Examples:
    """The examples of a dataset as a task reads it: canonical columns, and every split that the
    task needs."""

    splits: "datasets.DatasetDict"
    name: str
    fingerprint: str
    source_rows: Mapping[str, int] = field(default_factory=dict)
    """rows of each split that the data itself has; a split that is not here was cut from train"""
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    """Rows of the splits that were left out, because none of their rows has a label."""
    cleaned: Mapping[str, int] = field(default_factory=dict)
    """What was done to the texts, counted; see `tasks.nlp.cleaning.cleaned_splits`."""


def supervised(task: "Task", label_smoothing: float = 0.0) -> Objective:
    """Return a task's own objective: the task's loss on the outputs of the model."""

    def objective(model: "nn.Module", batch: Batch) -> Loss:
        return task.loss(task.forward(model, batch), batch, label_smoothing)

    return objective


class Features(Protocol):
    """The preprocessed examples of one split, accessed by position.

    `lengths` [n] is the size of a sample in the unit a batch is budgeted in: int64 tokens or
    pixels, float64 seconds. `rows` int64 [n] is how many rows of a batch it fills: several for a
    text cut in windows.
    """

    lengths: "np.ndarray"
    rows: "np.ndarray"
    origins: "np.ndarray"  # int64 [n]: the row of the split, where some were left out

    def view(self, view: "EpochView") -> "Features":
        """Return the same samples as training sees them in one epoch; the split itself does not
        change."""

    def __len__(self) -> int: ...
    def __getitems__(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]: ...


class Viewed:
    """A base class for `Features` whose `__getitems__` depends on an `EpochView`."""

    _view: "EpochView | None" = None
    """None: the samples as they are."""

    def view(self, view: "EpochView") -> Self:
        """Return the same samples as training sees them in one epoch; the split itself does not
        change."""
        import copy

        seen = copy.copy(self)
        seen._view = view
        return seen


class TaskOf(Protocol[P]):
    """A learning problem, made from the data (`from_data`) or from a checkpoint (`from_config`).

    It never changes: `bind_for_training` and `bind` return another one. What only some tasks can do
    is a protocol of its own, below, asked by `isinstance`.
    """

    @property
    def name(self) -> str: ...
    @property
    def pipeline(self) -> str:
        """The name of the transformers pipeline that runs the task's checkpoints."""

    @property
    def unit(self) -> str:
        """The unit of a sample's length: "tokens", "pixels" or "seconds"."""

    @property
    def verb(self) -> str:
        """A verb for what the task does, used as the name of a function: "classify"."""

    @property
    def has_language(self) -> bool:
        """Whether the task reads or writes text in a natural language."""

    @property
    def example_call(self) -> str:
        """Example flags of `predict` for this task."""

    @property
    def primary(self) -> "MetricSpec":
        """The main metric, used by early stopping, contracts and cards."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def output_kinds(self) -> Mapping[str, OutputKind]:
        """The kind of each output of the task's models, by name."""

    def bind_for_training(self, processor: Any, limit: int) -> "TaskOf[P]":
        """Return the task bound to the processor of a model to be trained, with all open settings
        decided.

        Args:
            limit: tokens that the model takes at most.
        """

    def bind(self, processor: Any) -> "TaskOf[P]":
        """Return the task of a checkpoint bound to the checkpoint's own processor, which
        `features`, `inputs` and `predict` need."""

    def config(self) -> dict[str, Any]: ...
    def model_config(self) -> dict[str, Any]: ...
    def features(self, examples: "datasets.Dataset", cache_key: str) -> Features: ...
    def preflight(
        self, examples: Examples, features: Mapping[str, Features], model: "nn.Module"
    ) -> "list[Finding]": ...
    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]": ...
    def is_one(self, raw: Any) -> bool: ...
    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]: ...
    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch: ...

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return the outputs that `loss` takes. If the model generates text, the true previous
        tokens are its input (teacher forcing)."""

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss: ...

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> Sequence[P]:
        """Return one prediction per sample. A model that generates text does so only here.

        Args:
            outputs: what `forward` returned for this batch; None to compute them.
        """

    def references(self, batch: Batch) -> Sequence[Any]:
        """Return the true value of each sample, to be compared with its prediction."""

    def accumulator(self) -> Any:
        """Return an empty metric accumulator of `tasks.metrics`."""

    def update(self, accumulator: Any, seen: Evaluated[P]) -> None: ...

    def errors(self, seen: Evaluated[P]) -> "Sequence[WrongPrediction]":
        """Return the wrong predictions as (loss of the sample, its id, truth, prediction), where
        it is known with the probability of the prediction behind them."""

    def show(self, example: Mapping[str, Any], row: int) -> str: ...
    def to_json(self, prediction: P, top_k: int | None = None) -> dict[str, Any]: ...

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return a description of what the model returns for an input, for a card; `literal` marks
        up a label or character."""

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source, where the pipeline is called
        as `verb` says; empty where no input in the language of the data is known."""


WrongPrediction = tuple[float, int, str, str] | tuple[float, int, str, str, float | None]
"""Loss of a sample, its id, truth, prediction, and perhaps the probability of the prediction."""
Task = TaskOf[Any]
"""A task, whatever it predicts."""


class Bindable:
    """A base class for tasks that are frozen dataclasses with a field `processor`."""

    processor: Any
    """The tokenizer, image processor or feature extractor that its inputs go through; None until it
    is bound. No part of what a task is: `field(default=None, compare=False, repr=False)`."""

    def bind(self, processor: Any) -> Self:
        """Return the task of a checkpoint bound to the checkpoint's own processor."""
        bound: Self = replace(self, processor=processor)  # type: ignore[type-var]
        return bound

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        found = asdict(self.bind(None))  # type: ignore[call-overload]
        return {name: value for name, value in found.items() if name != "processor"}

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return the logits, in float32, of a network called with the inputs of a batch
        unchanged."""
        from tasks.arrays import to_float32

        return {"logits": to_float32(model(**batch.inputs).logits)}


@runtime_checkable
class HasConfusions(Protocol):
    """A task that can list its most frequent confusions, of too many words for a matrix."""

    def top_confusions(self, accumulator: Any) -> list[tuple[str, str, int]]:
        """Return (truth, prediction, count) of the wrong predictions, the most frequent first."""


@runtime_checkable
class HasConfusionMatrix(Protocol):
    """A task with few labels, which has a confusion matrix if each example has one label."""

    @property
    def single_label(self) -> bool:
        """Whether each example has exactly one label, and not several or a number."""

    def confusion_matrix(self, accumulator: Any) -> "np.ndarray":
        """Return the confusion matrix, counts int64 [labels, labels]; its rows are the true
        labels."""


@runtime_checkable
class HasPicture(Protocol):
    """A task that can draw its examples as pictures."""

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """Draw a row of the features on matplotlib axes."""


@runtime_checkable
class HasPictures(Protocol[P_contra]):
    """A task whose predictions are pictures, or are shown by some."""

    def pictures(self, prediction: P_contra) -> "Sequence[np.ndarray]":
        """Return the pictures that show a prediction, uint8 [height, width, 1 or 3] of one size."""


@runtime_checkable
class LearnsUnlabelled(Protocol):
    """A task that can learn from its own confident predictions (pseudo labels)."""

    @property
    def single_label(self) -> bool:
        """Whether each example has exactly one label, which pseudo labels require."""

    def pseudo_labels(self, outputs: Outputs) -> "tuple[Tensor, Tensor]":
        """Return the probability of the likeliest label, float32 [b], and that label, int64 [b]."""

    def pseudo_losses(self, outputs: Outputs, labels: "Tensor") -> "Tensor":
        """Return the loss of each sample, float32 [b], with these labels, int64 [b], as the
        truth."""


@runtime_checkable
class Distills(Protocol):
    """A task in which a student can learn from a teacher's outputs."""

    @property
    def softens(self) -> bool:
        """Whether the outputs are probabilities, which a temperature can soften."""

    def teacher_fault(self, teacher: Any) -> str | None:
        """Return why a teacher of this task class is unsuitable, as a phrase about what the teacher
        is or has; None if it is suitable."""

    def distillation_loss(self, student: Outputs, teacher: Outputs, temperature: float) -> "Tensor":
        """Return the loss between a student's and a teacher's outputs, both softened by a
        temperature T, summed over samples: T^2 KL(teacher || student) for distributions (Hinton et
        al. 2015)."""

    def target_counts(self, batch: Batch) -> "Tensor":
        """Return the number of targets in the loss of each sample, float32 [b]."""


@runtime_checkable
class PredictsArrays(Protocol):
    """A task whose `forward` and `predict` also accept a batch of numpy arrays and a model that
    takes and returns arrays, so that it can predict without torch."""

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return the batch that `Task.collate` makes, with numpy arrays instead of tensors."""


@runtime_checkable
class OfText(Protocol):
    """A task whose inputs are texts."""

    def input_of(self, text: str, processor: Any) -> Any:
        """Return an input made from a text, in the form that `Task.inputs` takes."""

    def describe_lengths(self) -> str:
        """Return, for a card, how many tokens are read and what happens to longer texts."""


@runtime_checkable
class Generates(Protocol):
    """A task whose models generate tokens one after another."""

    longest_text: int  # tokens that a text has at most

    def given_tokens(self, rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return rows for `Task.collate` with exactly `count` target tokens each."""


@runtime_checkable
class TagsPieces(Protocol):
    """A task that tags words, and can tag the pieces of which a tokenizer makes them."""

    def of_pieces(self) -> Task:
        """Return the task that tags each piece by itself, of the same model and outputs; training
        taught the first piece of a word alone. Its `to_json` gives `pieces`: label, score, start,
        end and text of each, O's too."""


@runtime_checkable
class HasClasses(Protocol):
    """A task whose metric counts, for each class, correct predictions, all predictions and true
    examples."""

    of_rows: bool  # whether the classes are of whole rows, and not of parts of them, as spans are

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the metric's `by_class`."""


class TaskFactory(Protocol):
    """The module of a task: `Args` (its flags), `Inputs` (the flags of predict), and these
    functions. `unlabelled` exists only if the task can learn from examples without labels."""

    Args: type
    Inputs: type

    def from_data(self, args: Any, data: "DataArgs") -> tuple[Task, Examples]: ...
    def from_config(self, config: Mapping[str, Any]) -> Task: ...
    def for_evaluation(
        self, task: Task, data: "DataArgs", split: str | None, trained_on: str | None
    ) -> Examples: ...
    def unlabelled(self, args: Any, data: "DataArgs", asked: str) -> Examples: ...
    def for_prediction(self, task: Task, asked: Any) -> Task: ...
    def read_inputs(self, asked: Any, task: Task, stack: "ExitStack") -> Iterator[Any]: ...
    def show_input(self, item: Mapping[str, Any]) -> dict[str, str]: ...
