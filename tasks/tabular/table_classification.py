"""Classification and regression of the rows of a table: columns of numbers and categories to one
label, several labels, a number or several."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.base import Batch, Examples, Loss, Outputs, Viewed
from tasks.data import columns as data_columns
from tasks.data import targets
from tasks.data.labels import ProblemType
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_source
from tasks.data.splits import must_have_train
from tasks.kinds.classification import LABEL_COLUMNS, Classification, LabelArgs
from tasks.kinds.classification import encode as encode_all
from tasks.printing import python_literal
from tasks.tabular import table_inputs
from tasks.tabular.column import PREFIX, Column, ColumnArgs, Kind
from tasks.tabular.table_inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    from torch import nn

    from tasks.base import Features
    from tasks.preflight import Finding

__all__ = ["Args", "Inputs", "TableClassification", "from_config", "from_data", "read_inputs"]

EXAMPLE_INPUT = """--row '{"age": 34, "city": "Rome"}'"""
LABEL = "label"
"""The column of the label among the examples; all others have a prefix."""


@dataclass(frozen=True)
class Args(LabelArgs, ColumnArgs):
    """How rows and labels are read."""


def from_data(args: Args, data: DataArgs) -> tuple["TableClassification", Examples]:
    """The task and its examples: columns chosen, labels encoded, missing splits cut.

    The splits have the columns that are read, under their names behind `PREFIX` (float64, or text),
    and label (int64, float32, or a list of them).

    Raises `UserError` where a column is missing, or a number or label can't be read.
    """
    from tasks.tabular import columns as table_columns

    source = load_source(data, _embedded)
    labelled, label, parts = _labelled(source, args.label_column)
    must_have_train(source.splits, data.data)
    kinds = table_columns.choose(source.splits["train"], parts, args, source.name)
    found = encode_all(args, data, _canonical(labelled, label, kinds))
    task = TableClassification(
        args, found.labels, found.problem_type, found.class_weights, label=label, kinds=kinds
    )
    return task, found.examples(source)


def for_evaluation(
    task: "TableClassification", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `Classification.evaluation_split`."""
    source = load_source(data, _embedded)
    asked = task.args.label_column
    if asked is None and task.label in data_columns.names_of(source.splits):
        asked = task.label
    labelled, label, _ = _labelled(source, asked)
    splits = _canonical(labelled, label, task.kinds)
    return task.evaluation_split(source, splits, data, split, trained_on)


def _embedded() -> "datasets.DatasetDict":
    from tasks.tabular.embedded import cell_nuclei

    return cell_nuclei.load()


def _labelled(source: Source, asked: str | None) -> tuple[Source, str, tuple[str, ...]]:
    """Return the data with its column of labels, that column's name, and the columns of the data
    that are labels: several where several numbers are to be predicted."""
    names = data_columns.names_of(source.splits)
    labelled, label = targets.find(source, asked, LABEL_COLUMNS)
    if label in names:
        return labelled, label, (label,)
    parts = [part.strip() for part in label.split(",")]
    own = tuple(data_columns.find_column(names, part, (), LABEL, source.name) for part in parts)
    return labelled, label, own


def _canonical(source: Source, label: str, kinds: Mapping[str, Kind]) -> "datasets.DatasetDict":
    """Return the columns that are read, numbers as float64 and categories as text, and the
    label."""
    import datasets
    import pyarrow as pa

    from tasks.tabular import columns as table_columns

    chosen = {name: PREFIX + name for name in kinds} | {label: LABEL}
    splits = data_columns.select(source.splits, chosen, source.name, (LABEL,))
    made = {}
    for name, split in splits.items():
        rows = datasets.Dataset(pa.table(table_columns.typed(split, kinds, name)))
        labels = split.select_columns([LABEL])
        made[name] = datasets.concatenate_datasets([rows, labels], axis=1)
    return datasets.DatasetDict(made)


def for_prediction(task: "TableClassification", inputs: Inputs) -> "TableClassification":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "TableClassification", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `values` by column, and all of the row under `others`; see
    `tasks.tabular.table_inputs.read`."""
    return table_inputs.read(inputs, task.schema)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction: those of its row are its `others`."""
    return {}


def from_config(config: Mapping[str, Any]) -> "TableClassification":
    """The task a checkpoint was trained on, from what `TableClassification.config` recorded."""
    args: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config["args"].items()
    }
    return TableClassification(
        Args(**args),
        tuple(config["labels"]),
        config["problem_type"],
        tuple(config["class_weights"]),
        tuple(Column.of_json(one) for one in config["schema"]),
        tuple(config["target_mean"]),
        tuple(config["target_std"]),
        config["label"],
        dict(config["kinds"]),
    )


@dataclass(frozen=True)
class TableClassification(Classification):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...] = ()
    schema: tuple[Column, ...] = ()  # the columns that are read
    target_mean: tuple[float, ...] = ()  # of each number to predict, over the training rows
    target_std: tuple[float, ...] = ()
    label: str = LABEL  # what the data calls the column of the label
    kinds: Mapping[str, Kind] = field(default_factory=dict, hash=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "tabular-classification"
    unit = "values"
    auto_class: ClassVar[str] = "AutoModel"

    @property
    def example_call(self) -> str:  # type: ignore[override]
        """Example flags of `predict`: a usual row."""
        row = {one.name: one.example() for one in self.schema}
        return shlex.join(["--row", json.dumps(row, ensure_ascii=False)])

    @property
    def pipeline(self) -> str:
        """The Hub's name of what it does; transformers has no pipeline for tables."""
        is_number = self.problem_type == "regression"
        return "tabular-regression" if is_number else "tabular-classification"

    def plain_code(self, where: str, is_english: bool) -> tuple[str, list[str]]:
        """Return Python source that runs a checkpoint (`tasks.writes.HasNoPipeline`)."""
        given = ", ".join(f"{python_literal(one.name)}: {one.example()!r}" for one in self.schema)
        return "AutoFeatureExtractor, AutoModel", [
            "import zoo.auto  # registers the network, which is the zoo's own",
            "",
            f"extractor = AutoFeatureExtractor.from_pretrained({where})",
            f"model = AutoModel.from_pretrained({where})",
            f'inputs = extractor([{{{given}}}], return_tensors="pt")',
            "print(model(**inputs).logits)",
        ]

    def bind_for_training(self, processor: Any, limit: int) -> "TableClassification":
        """Return the task bound to a processor, with what it has learned of the columns."""
        return replace(
            self,
            schema=tuple(Column.of_json(one) for one in processor.columns),
            target_mean=tuple(processor.target_mean),
            target_std=tuple(processor.target_std),
            processor=processor,
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The rows of one split as vectors, in memory."""
        return TableFeatures(self, examples)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.tabular import table_preflight

        return table_preflight.check(examples.splits, self)

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single row, and not a list of them."""
        return isinstance(raw, Mapping)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from mappings of columns to values.

        Raises `UserError` for a row without one of the columns, and for what is no number.
        """
        from tasks.tabular import columns as table_columns

        rows = [table_inputs.values_of(one, self.schema) for one in raw]
        if not rows:
            return []
        by_name = {one.name: [row[one.name] for row in rows] for one in self.schema}
        found = table_columns.vectors(self.schema, by_name)
        return [{"sample_id": i, "vector": vector} for i, vector in enumerate(found)]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Stacks vectors: the input is features float32 [b, width]; the targets are labels where
        the rows have them."""
        return self.collate_arrays(rows).tensors()

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`."""
        import numpy as np

        vectors: Any = np.stack([row["vector"] for row in rows])
        ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
        return Batch({"features": vectors}, ids, self.label_arrays(rows))

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the loss of `Classification`, of numbers in units of their standard deviations in
        training: what is in thousands weighs no more than what is in fractions."""
        if self.problem_type != "regression":
            return super().loss(outputs, batch, label_smoothing)
        logits, labels = outputs["logits"], batch.targets["labels"]
        scale = logits.new_tensor(self.target_std)
        scaled = replace(batch, targets={"labels": labels / (scale if self.labels else scale[0])})
        return super().loss({"logits": logits / scale}, scaled)

    def row_of(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of an example by their own names, None where there is no value."""
        return {one.name: example[PREFIX + one.name] for one in self.schema}

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return ", ".join(f"{name}={value}" for name, value in self.row_of(example).items())


class TableFeatures(Viewed):
    """The rows of one split as vectors; no view changes them. Satisfies `tasks.base.Features`."""

    def __init__(self, task: TableClassification, examples: "datasets.Dataset") -> None:
        import numpy as np

        from tasks.tabular import columns as table_columns

        given: dict[str, Any] = {}
        for one in task.schema:
            values = data_columns.values_of(examples, PREFIX + one.name)
            is_number = one.kind == "number"
            given[one.name] = (
                values.fill_null(float("nan")).to_numpy() if is_number else values.to_pylist()
            )
        self.vectors = table_columns.vectors(task.schema, given)
        has_labels = LABEL in examples.column_names
        self.labels: list[Any] | None = examples[LABEL][:] if has_labels else None
        self.lengths: np.ndarray = np.full(len(examples), len(task.schema), np.int64)
        self.rows: np.ndarray = np.ones(len(examples), np.int64)
        self.origins: np.ndarray = np.arange(len(examples))

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        chosen = self.vectors[list(indices)]
        rows = [{"sample_id": i, "vector": one} for i, one in zip(indices, chosen, strict=True)]
        if self.labels is not None:
            for row, i in zip(rows, indices, strict=True):
                row["label"] = self.labels[i]
        return rows


def learned(task: TableClassification, train: "datasets.Dataset") -> dict[str, Any]:
    """Return what training rows tell of the columns and of the numbers to predict, as plain
    JSON."""
    import numpy as np

    from tasks.tabular import columns as table_columns

    columns = table_columns.learn(train, task.kinds, task.args.max_categories)
    mean, std = np.zeros(0), np.zeros(0)
    if task.problem_type == "regression":
        numbers = np.array(train[LABEL][:], np.float64).reshape(len(train), -1)
        mean, std = numbers.mean(0), numbers.std(0)
        std = np.where(std > 0, std, 1.0)
    return {
        "columns": [dataclasses.asdict(one) | {"values": list(one.values)} for one in columns],
        "target_mean": mean.tolist(),
        "target_std": std.tolist(),
    }
