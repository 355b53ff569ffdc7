"""Task: what every kind of learning problem offers to the loop, the verbs and the harness.

A task owns examples, preprocessing, collation, its supervised objective, metrics and how a
prediction reads. It knows no model: whatever maps a batch to logits will do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.data.source import DataArgs
    from tasks.metrics import MetricSpec
    from tasks.metrics.classification import Tally
    from tasks.preflight import Finding
    from tasks.randomness import View

Batch = dict[str, "Tensor"]
"""What collation makes: `sample_ids` int64 [b] and `labels` for the task, the rest for the
model."""


KEPT_BACK = frozenset(
    (
        "sample_ids",
        "labels",
        "document",
        "lengths",
        "starts",
        "sizes",
        "partners",
        "share",
        "generated",
    )
)
"""What of a batch is the task's own and not for the model."""

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

Collate = Callable[[Sequence[Mapping[str, Any]]], Batch]
"""Makes a batch of the rows that `Features` give."""


@dataclass(frozen=True)
class Loss:
    """What an objective returns for one micro-batch."""

    sum: "Tensor"  # float32 scalar: the loss summed over the valid targets
    count: "Tensor"  # float32 scalar: how many valid targets (or their weight); no gradient
    logs: Mapping[str, "Tensor"]  # scalars, summed like `sum`


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
    """A task's own objective: its loss on the logits of the model."""

    def objective(model: "nn.Module", batch: Batch) -> Loss:
        return task.loss(task.logits(model, batch), batch, label_smoothing)

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

    def view(self, view: "View") -> "Features":
        """The same samples as training sees them in one epoch; the split itself stays as it is."""
        ...

    def __len__(self) -> int: ...
    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]: ...


class Task(Protocol):
    """A learning problem, made from the data (`from_data`) or a checkpoint (`from_config`)."""

    name: str
    pipeline: str  # the transformers pipeline that runs its checkpoints
    unit: str  # what a length counts: "tokens"
    example_call: str  # flags of a first `predict`
    primary: "MetricSpec"  # what early stopping, contracts and cards go by
    pictured: bool  # whether `draw` shows an example better than `show`
    labels: tuple[str, ...]
    output_kinds: Mapping[str, OutputKind]  # of the outputs of its models, by name

    def settle(self, processor: Any, limit: int) -> "Task": ...
    def config(self) -> dict[str, Any]: ...
    def model_config(self) -> dict[str, Any]: ...
    def features(
        self, examples: "datasets.Dataset", processor: Any, cache_key: str
    ) -> Features: ...
    def preflight(
        self, examples: Examples, features: Mapping[str, Features], model: "nn.Module"
    ) -> "list[Finding]": ...
    def is_one(self, raw: Any) -> bool: ...
    def inputs(self, raw: Sequence[Any], processor: Any) -> list[dict[str, Any]]: ...
    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch: ...
    def logits(self, model: "nn.Module", batch: Batch) -> "Tensor": ...
    def loss(self, logits: "Tensor", batch: Batch, label_smoothing: float = 0.0) -> Loss: ...
    def tally(self) -> "Tally": ...
    def count(self, tally: "Tally", batch: Batch, logits: "Tensor") -> None: ...
    def confusions(self, tally: "Tally") -> "np.ndarray | None": ...
    def commonest(self, tally: "Tally") -> list[tuple[str, str, int]]: ...
    def mistakes(self, batch: Batch, logits: "Tensor") -> list[tuple[float, int, str, str]]: ...
    def show(self, example: Mapping[str, Any], row: int) -> str: ...
    def draw(self, axes: Any, row: Mapping[str, Any]) -> None: ...
    def read(self, logits: "Tensor", top_k: int | None = None) -> list[dict[str, Any]]: ...


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


def model_inputs(batch: Batch) -> Batch:
    """The part of a batch that a model takes: names with a dot are an objective's own."""
    return {
        name: tensor for name, tensor in batch.items() if name not in KEPT_BACK and "." not in name
    }
