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

P = TypeVar("P")  # what a task predicts of a sample: a frozen dataclass


@dataclass(frozen=True, eq=False)
class Batch:
    """What collation makes of some samples: b of them, in n rows of inputs.

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
    put together again"""
    parts: Mapping[str, "Batch"] = field(default_factory=dict)
    """other batches that an objective asked for, by name: views of unlabelled samples"""

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.ids)

    def to(self, device: Any) -> "Batch":
        """The batch on a device, copied without waiting where that can be."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies; torch's DataLoader calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def tensors(self) -> "Batch":
        """The batch with tensors in the place of numpy's arrays; they share the memory."""
        import numpy as np
        import torch

        return self._each(torch.from_numpy, np.ndarray)

    def _each(self, change: "Callable[[Any], Tensor]", kind: type | None = None) -> "Batch":
        """The batch with everything of a kind changed: by default every tensor."""
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
    """A batch that a model was evaluated on: what metrics and the hardest errors come from."""

    batch: Batch
    outputs: Outputs
    loss: Loss
    predictions: Sequence[P]  # one a sample, as the references
    references: Sequence[Any]


class Objective(Protocol):
    """The loss of a model on a micro-batch; the loop knows nothing else of what it trains.

    It draws nothing: what is random in a sample (masks, augmentation, views) comes with the batch,
    drawn by `tasks.randomness` from (seed, epoch, sample) in `Features` or in collation, so that it
    is the same however a step is cut into micro-batches and ranks.
    """

    def __call__(self, model: "nn.Module", batch: Batch) -> Loss: ...


@dataclass(frozen=True)
class Examples:
    """The data as the task reads it: canonical columns, every split it needs."""

    splits: "datasets.DatasetDict"
    name: str
    fingerprint: str
    source_rows: Mapping[str, int] = field(default_factory=dict)
    """rows of each split that the data itself has; a split that is not here was cut from train"""
    unlabelled: Mapping[str, int] = field(default_factory=dict)
    """Rows of the splits that were left out, because none of their rows has a label."""


def supervised(task: "Task", label_smoothing: float = 0.0) -> Objective:
    """A task's own objective: its loss on the outputs of the model."""

    def objective(model: "nn.Module", batch: Batch) -> Loss:
        return task.loss(task.forward(model, batch), batch, label_smoothing)

    return objective


class Features(Protocol):
    """Preprocessed examples of one split, at hand by position.

    `lengths` [n] is the size of a sample in the unit a batch is budgeted in: int64 tokens or
    pixels, float64 seconds. `rows` int64 [n] is how many rows of a batch it fills: several for a
    text cut in windows.
    """

    lengths: "np.ndarray"
    rows: "np.ndarray"
    origins: "np.ndarray"  # int64 [n]: the row of the split, where some were left out

    def view(self, view: "EpochView") -> "Features":
        """The same samples as training sees them in one epoch; the split itself stays as it is."""
        ...

    def __len__(self) -> int: ...
    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]: ...


class Viewed:
    """The view of `Features`, which their `__getitems__` reads."""

    _view: "EpochView | None" = None
    """None: the samples as they are."""

    def view(self, view: "EpochView") -> Self:
        """The same samples as training sees them in one epoch; the split itself stays as it is."""
        import copy

        seen = copy.copy(self)
        seen._view = view
        return seen


class TaskOf(Protocol[P]):
    """A learning problem, made from the data (`from_data`) or a checkpoint (`from_config`).

    It never changes: `bind_for_training` and `bind` return another one. What only some tasks can do
    is a protocol of its own, below, asked by `isinstance`.
    """

    @property
    def name(self) -> str: ...
    @property
    def pipeline(self) -> str:
        """The transformers pipeline that runs its checkpoints."""
        ...

    @property
    def unit(self) -> str:
        """What a length counts: "tokens", "pixels", "seconds"."""
        ...

    @property
    def verb(self) -> str:
        """What a function that does it would be called: "classify"."""
        ...

    @property
    def has_language(self) -> bool:
        """Whether it reads or writes texts in some language."""
        ...

    @property
    def example_call(self) -> str:
        """Flags of a first `predict`."""
        ...

    @property
    def primary(self) -> "MetricSpec":
        """What early stopping, contracts and cards go by."""
        ...

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def output_kinds(self) -> Mapping[str, OutputKind]:
        """What each output of its models is, by name."""
        ...

    def bind_for_training(self, processor: Any, limit: int) -> "TaskOf[P]":
        """The task for a model that is to be trained: bound, with what was left open decided.

        Args:
            limit: tokens that the model takes at most.
        """
        ...

    def bind(self, processor: Any) -> "TaskOf[P]":
        """The task of a checkpoint with the checkpoint's own processor, which `features`, `inputs`
        and `predict` need."""
        ...

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
        """The outputs that `loss` is of; where text is written, given the true one before each
        token."""
        ...

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss: ...

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> Sequence[P]:
        """One prediction a sample. Where a model writes, it does so here and nowhere else.

        Args:
            outputs: of `forward` on this batch, where they are at hand.
        """
        ...

    def references(self, batch: Batch) -> Sequence[Any]:
        """What is true of each sample, to be compared with its prediction."""
        ...

    def accumulator(self) -> Any:
        """An empty accumulator of its metrics, of `tasks.metrics`."""
        ...

    def update(self, accumulator: Any, seen: Evaluated[P]) -> None: ...

    def errors(self, seen: Evaluated[P]) -> list[tuple[float, int, str, str]]:
        """Wrong predictions as (loss of the sample, its id, truth, prediction)."""
        ...

    def show(self, example: Mapping[str, Any], row: int) -> str: ...
    def to_json(self, prediction: P, top_k: int | None = None) -> dict[str, Any]: ...

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what it gives for an input, for a card; `literal` sets a label or sign apart."""
        ...

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source, where the pipeline is called
        as `verb` says; empty where no input in the language of the data is known."""
        ...


Task = TaskOf[Any]
"""A task, whatever it predicts."""


class Bindable:
    """What a task inherits that is a frozen dataclass with a field `processor`."""

    processor: Any
    """The tokenizer, image processor or feature extractor that its inputs go through; None until it
    is bound. No part of what a task is: `field(default=None, compare=False, repr=False)`."""

    def bind(self, processor: Any) -> Self:
        """The task of a checkpoint with the checkpoint's own processor."""
        bound: Self = replace(self, processor=processor)  # type: ignore[type-var]
        return bound

    def config(self) -> dict[str, Any]:
        """What `from_config` needs; plain JSON."""
        found = asdict(self.bind(None))  # type: ignore[call-overload]
        return {name: value for name, value in found.items() if name != "processor"}

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """The logits of a network that takes the inputs of a batch as they are, in float32."""
        from tasks.arrays import to_float32

        return {"logits": to_float32(model(**batch.inputs).logits)}


@runtime_checkable
class HasConfusions(Protocol):
    """A task whose errors are one thing taken for another, of too many for a matrix: words."""

    def top_confusions(self, accumulator: Any) -> list[tuple[str, str, int]]:
        """The truth, what it was taken for, and how often, the most frequent first."""
        ...


@runtime_checkable
class HasConfusionMatrix(Protocol):
    """A task whose examples have one label each of a few."""

    @property
    def single_label(self) -> bool:
        """Whether they have: a classifier may also give several labels, or a number."""
        ...

    def confusion_matrix(self, accumulator: Any) -> "np.ndarray":
        """Counts int64 [labels, labels], rows the truth."""
        ...


@runtime_checkable
class HasPicture(Protocol):
    """A task whose examples a picture shows better than a line of text."""

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """A row of the features on matplotlib's axes."""
        ...


@runtime_checkable
class LearnsUnlabelled(Protocol):
    """A task that can learn from its own sure predictions."""

    @property
    def single_label(self) -> bool:
        """Whether each example has one label, as it must have."""
        ...

    def pseudo_labels(self, outputs: Outputs) -> "tuple[Tensor, Tensor]":
        """How sure the likeliest label is, float32 [b] from 0 to 1, and which it is, int64 [b]."""
        ...

    def pseudo_losses(self, outputs: Outputs, labels: "Tensor") -> "Tensor":
        """The loss of each sample, float32 [b], where the labels were true, int64 [b]."""
        ...


@runtime_checkable
class Distills(Protocol):
    """A task in which a student can learn a teacher's outputs."""

    @property
    def softens(self) -> bool:
        """Whether its outputs are probabilities, which a temperature softens."""
        ...

    def teacher_fault(self, teacher: Any) -> str | None:
        """Why nothing can be learned from the outputs of a teacher's task, which is of the same
        class, as what the teacher is or has; None where it can."""
        ...

    def distillation_loss(self, student: Outputs, teacher: Outputs, temperature: float) -> "Tensor":
        """How far apart their outputs are, both softened by a temperature T, summed over samples:
        T^2 KL(teacher || student) where they are distributions (Hinton et al. 2015)."""
        ...

    def target_counts(self, batch: Batch) -> "Tensor":
        """How many targets of the loss each sample has, float32 [b]."""
        ...


@runtime_checkable
class PredictsArrays(Protocol):
    """A task whose `forward` and `predict` also take a batch of numpy's arrays, and a model that
    takes and gives arrays: it predicts without torch where a runtime needs none."""

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return the batch of `Task.collate` with arrays in the place of tensors."""
        ...


@runtime_checkable
class OfText(Protocol):
    """A task that reads texts."""

    def input_of(self, text: str, processor: Any) -> Any:
        """Return an input made of a text, as `Task.inputs` takes it."""
        ...

    def describe_lengths(self) -> str:
        """Return how many tokens are read, and what becomes of longer texts, for a card."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A task whose models write tokens, each behind those before it."""

    longest_text: int  # tokens that a text has at most

    def given_tokens(self, rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return rows for `Task.collate` that have `count` tokens of target each."""
        ...


@runtime_checkable
class HasClasses(Protocol):
    """A task whose metric counts, class by class, what is right, predicted and true."""

    of_rows: bool  # whether the classes are of whole rows, and not of parts of them, as spans are

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called, in the order of the metric's `by_class`."""
        ...


class TaskFactory(Protocol):
    """The module of a task: `Args` (its flags), `Inputs` (those of predict), and these
    functions. `unlabelled` is there where a task can learn from examples without label."""

    Args: type
    Inputs: type

    def from_data(self, args: Any, data: "DataArgs") -> tuple[Task, Examples]: ...
    def from_config(self, config: Mapping[str, Any]) -> Task: ...
    def for_evaluation(
        self, task: Task, data: "DataArgs", split: str | None, trained_on: str
    ) -> Examples: ...
    def unlabelled(self, args: Any, data: "DataArgs", asked: str) -> Examples: ...
    def for_prediction(self, task: Task, asked: Any) -> Task: ...
    def read_inputs(self, asked: Any, task: Task, stack: "ExitStack") -> Iterator[Any]: ...
    def show_input(self, item: Mapping[str, Any]) -> dict[str, str]: ...
