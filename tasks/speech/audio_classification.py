"""Audio classification: a sound (a keyword, say) to one label, several labels, or numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tasks.base import Batch, Examples, Outputs
from tasks.data.labels import ProblemType
from tasks.data.source import DataArgs, Source
from tasks.kinds.classification import Classification, LabelArgs, cut, media_and_label
from tasks.kinds.classification import encode as encode_all
from tasks.media import items
from tasks.speech import audio_features, audio_items, segmenting
from tasks.speech.audio_features import AudioArgs, AudioConfig, AudioFeatures
from tasks.speech.audio_inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    from torch import nn

    from tasks.base import Features
    from tasks.preflight import Finding

EXAMPLE_INPUT = "--audio word.wav"


@dataclass(frozen=True)
class Args(LabelArgs, AudioArgs):
    """How sounds and labels are read."""


def from_data(args: Args, data: DataArgs) -> tuple["AudioClassification", Examples]:
    """The task and its examples: labels found and encoded, missing splits cut.

    The splits have the columns media (see `tasks.media.source`) and label.

    Raises `UserError` where a column is missing or a label can't be read.
    """
    source, splits = _canonical(args, data)
    found = encode_all(args, data, splits)
    task = AudioClassification(args, found.labels, found.problem_type, found.class_weights)
    return task, found.examples(source)


def for_evaluation(
    task: "AudioClassification", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `Classification.evaluation_split`."""
    source, splits = _canonical(task.args, data)
    return task.evaluation_split(source, splits, data, split, trained_on)


def unlabelled(args: Args, data: DataArgs, asked: str) -> Examples:
    """Sounds without label, in the split train; see `tasks.data.unlabelled.find`."""
    from tasks.data.unlabelled import find

    source, splits = _canonical(args, data)
    return find(
        source,
        cut(args, data, splits),
        data,
        asked,
        lambda other: _load(args, other, unlabeled=True),
    )


def _canonical(args: Args, data: DataArgs) -> "tuple[Source, datasets.DatasetDict]":
    source = _load(args, data)
    return source, media_and_label(source, args.label_column)


def _load(args: Args, data: DataArgs, *, unlabeled: bool = False) -> Source:
    from tasks.media.source import load_media
    from tasks.speech.embedded import spoken
    from tasks.speech.sound.audio import AUDIO

    return load_media(data, AUDIO, spoken.words, args.audio_column, unlabeled=unlabeled)


def for_prediction(task: "AudioClassification", inputs: Inputs) -> "AudioClassification":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "AudioClassification", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `name` and `wave` float32 [samples]; see
    `tasks.speech.segmenting`."""
    return segmenting.read(inputs, task.settled.rate, task.args.window_seconds, stack)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"audio": item["name"]}


def of_labels(labels: Sequence[str], problem_type: ProblemType) -> "AudioClassification":
    """Return the task with these labels, for weights that were trained elsewhere."""
    return AudioClassification(Args(), tuple(labels), problem_type)


def from_config(config: Mapping[str, Any]) -> "AudioClassification":
    """The task a checkpoint was trained on, from what `AudioClassification.config` recorded."""
    return AudioClassification(
        Args(**config["args"]),
        tuple(config["labels"]),
        config["problem_type"],
        tuple(config["class_weights"]),
        AudioConfig(**config["settled"]),
    )


@dataclass(frozen=True)
class AudioClassification(Classification):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...] = ()
    settled: AudioConfig = AudioConfig()  # noqa: RUF009
    processor: Any = field(default=None, compare=False, repr=False)

    name = "audio-classification"
    pipeline = "audio-classification"
    unit = "seconds"
    example_call = EXAMPLE_INPUT

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        return super().config() | {"settled": self.settled.record()}

    def bind_for_training(self, processor: Any, limit: int) -> "AudioClassification":
        """Return the task bound to a feature extractor, with its rate and the inputs that it
        makes."""
        return replace(self, settled=audio_features.audio_config_of(processor), processor=processor)

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the sounds of one split as features."""
        decoded = audio_features.decode_split(examples, self.args, self.settled.rate, cache_key)
        targets = {"label": examples["label"][:]} if "label" in examples.column_names else {}
        return AudioFeatures(decoded, targets, self.processor, self.settled, self.args)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.speech import audio_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        found: list[Finding] = [
            *audio_preflight.check(examples.splits, decoded, self.settled.rate, self.labels),
            *audio_features.cut_off(features, self.settled),
        ]
        return found

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single sound, and not a list of them."""
        return items.is_one(raw, audio_items.DIMS)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.speech.audio_items.samples` takes for a sound."""
        return segmenting.rows(raw, self.processor, self.settled, self.args.window_seconds)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """The padded windows of all rows (`audio_features.pad`), and their labels."""
        return self.collate_arrays(rows).tensors()

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`."""
        return replace(audio_features.pad(rows, self.settled), targets=self.label_arrays(rows))

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Logits float32 [b, labels] of a batch; those of a sound's windows are averaged."""
        return {"logits": self.averaged(super().forward(model, batch)["logits"], batch)}

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        from tasks.media.source import name_of

        return name_of(example["media"], row)

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """The features of a row as a picture."""
        segmenting.draw(axes, row)
