"""What all classifiers share, whatever they look at: labels, loss, metrics, how a prediction reads.

A task of classification is a frozen dataclass that inherits `Classification` and adds its inputs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tasks.base import Batch, Examples, Loss, OutputKind
from tasks.bounds import Bounded, Share
from tasks.data import columns
from tasks.data.columns import find_column
from tasks.data.labels import (
    ProblemType,
    are_numbers,
    check_labels,
    encode_labels,
    label_names,
    leave_out,
    reference,
    unlabelled,
)
from tasks.data.source import DataArgs, Source, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.metrics import MetricSpec, primary_metric

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from torch import Tensor

    from tasks.metrics.classification import Tally

LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "sentiment", "stars", "score")
TOP_K = 5


@dataclass(frozen=True)
class LabelArgs(Bounded):
    """How labels are read."""

    label_column: str | None = None
    """column of the label"""
    problem_type: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    """auto: lists are multi_label, decimal numbers regression, all else single_label"""
    threshold: Share = 0.5
    """multi_label: a label is given when its probability reaches this"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs n / (classes * its count), as in scikit-learn"""


class Labelled(NamedTuple):
    """Examples with encoded labels, and what the labels are."""

    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...]
    splits: "datasets.DatasetDict"
    unlabelled: Mapping[str, int]
    """Rows of the splits without any labels, which were left out."""

    def examples(self, source: Source) -> Examples:
        """What a task makes of them."""
        return Examples(self.splits, source.name, source.fingerprint, source.rows, self.unlabelled)


def media_and_label(source: Source, asked: str | None) -> "datasets.DatasetDict":
    """The splits of media with their column of labels under the name `label`, and no other.

    Raises `UserError` where there is no such column.
    """
    names = columns.names_of(source.splits)
    label = find_column(names, asked, LABEL_COLUMNS, "label", source.name)
    return columns.select(source.splits, {"media": "media", label: "label"}, source.name)


def encode(args: LabelArgs, data: DataArgs, splits: "datasets.DatasetDict") -> Labelled:
    """Finds the labels in the column `label`, cuts missing splits and limits, encodes.

    `label` becomes int64, float32, or a list of int64. Splits without any labels are left out, and
    told. Raises `UserError` where a label can't be read.
    """
    must_have_train(splits, data.data)
    problem_type = _problem_type(args.problem_type, splits)
    without = unlabelled(splits)
    cut_as_named = cut_missing_splits(splits, _stratify(problem_type), data)
    labelled = _but(splits, without)
    labels = label_names(labelled, problem_type)
    check_labels(labelled, labels, problem_type)
    splits = limit(leave_out(cut_as_named, without), data)
    splits, counts = encode_labels(splits, labels, problem_type)
    weights: tuple[float, ...] = ()
    if args.class_weights == "balanced" and problem_type == "single_label_classification":
        total = sum(counts)
        weights = tuple(total / (len(labels) * max(count, 1)) for count in counts)
    left_out = {name: cut_as_named[name].num_rows for name in without}
    return Labelled(tuple(labels), problem_type, weights, splits, left_out)


def cut(args: LabelArgs, data: DataArgs, splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """The splits with those that are missing cut from train just as `encode` does."""
    problem_type = _problem_type(args.problem_type, splits)
    return cut_missing_splits(splits, _stratify(problem_type), data)


def stratified(splits: "datasets.DatasetDict") -> str | None:
    """The column `label`, where a classifier would cut missing splits evenly by it."""
    return _stratify(_problem_type("auto", splits))


def _but(splits: "datasets.DatasetDict", names: Collection[str]) -> "datasets.DatasetDict":
    import datasets

    return datasets.DatasetDict({n: split for n, split in splits.items() if n not in names})


def _stratify(problem_type: ProblemType) -> str | None:
    return "label" if problem_type == "single_label_classification" else None


def _problem_type(asked: str, splits: "datasets.DatasetDict") -> ProblemType:
    import datasets

    split = reference(splits)
    feature = split.features["label"]
    if asked == "regression":
        return "regression"
    if asked != "auto":
        return (
            "single_label_classification"
            if asked == "single_label"
            else "multi_label_classification"
        )
    if isinstance(feature, datasets.Value):
        floating = feature.dtype.startswith("float") or are_numbers(split.unique("label"))
        return "regression" if floating else "single_label_classification"
    if isinstance(feature, datasets.ClassLabel):
        return "single_label_classification"
    return "multi_label_classification"


def choose_split(
    source: Source,
    splits: "datasets.DatasetDict",
    stratify: str | None,
    data: DataArgs,
    split: str | None,
    trained_on: str,
    without_labels: Collection[str] = (),
) -> "tuple[str, datasets.DatasetDict]":
    """The split to evaluate on, and all of them.

    By default test, else validation, else train, the first that has labels. Of the data trained on
    (its fingerprint is `trained_on`), missing splits are cut as they were then, so that nothing
    trained on is tested on; other data is taken as it comes.

    Raises `UserError` where there is no such split, or none with labels.
    """
    if source.fingerprint == trained_on:
        splits = cut_missing_splits(splits, stratify, data)
    splits = limit(splits, data)
    if split is not None and split not in splits:
        raise UserError(f"{source.name} has no split {split!r}; it has {', '.join(splits)}")
    usual = [name for name in ("test", "validation", "train", *splits) if name in splits]
    measurable = [name for name in usual if name not in without_labels]
    if split in without_labels or not measurable:
        raise UserError(
            f"{split or usual[0]} of {source.name} has no labels in any of its rows, so nothing can"
            " be measured on it: predict reads it"
        )
    if split is None:
        skipped = [
            name for name in without_labels if usual.index(name) < usual.index(measurable[0])
        ]
        splits = leave_out(splits, skipped)
    return split or measurable[0], splits


class Classification:
    """One label, several labels, or a number for each input. See `tasks.base.Task`."""

    args: Any  # has the fields of LabelArgs
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...]

    @property
    def primary(self) -> MetricSpec:
        """The metric that early stopping and "best" go by, where no other is asked for."""
        return primary_metric(self.problem_type)

    @property
    def output_kinds(self) -> Mapping[str, OutputKind]:
        """What the outputs of its models are, by name: a regression's are no logits."""
        return {"logits": "regression" if self.problem_type == "regression" else "logits"}

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        outputs = max(len(self.labels), 1)
        names = self.labels or ("LABEL_0",)
        return {
            "num_labels": outputs,
            "problem_type": self.problem_type,
            "id2label": dict(enumerate(names)),
            "label2id": {name: i for i, name in enumerate(names)},
        }

    def evaluation_split(
        self,
        source: Source,
        splits: "datasets.DatasetDict",
        data: DataArgs,
        split: str | None,
        trained_on: str,
    ) -> Examples:
        """One split with this task's own order of labels; see `choose_split`.

        Raises `UserError` where a label was never seen in training.
        """
        stratify = _stratify(self.problem_type)
        is_regression = self.problem_type == "regression"
        known = None if is_regression and "train" in splits else set(self.labels)
        without = unlabelled(splits, known=known)
        chosen, splits = choose_split(source, splits, stratify, data, split, trained_on, without)
        encoded, _ = encode_labels(splits, self.labels, self.problem_type, only=chosen)
        return Examples(encoded, source.name, source.fingerprint)

    def label_tensor(self, rows: "list[Mapping[str, Any]]") -> Batch:
        """The `labels` of rows that have one: int64 [b], or float32 [b] or [b, labels]."""
        import torch

        if not rows or rows[0].get("label") is None:
            return {}
        values = [row["label"] for row in rows]
        if self.problem_type == "multi_label_classification":
            hot = torch.zeros(len(rows), len(self.labels))
            for i, given in enumerate(values):
                hot[i, given] = 1.0
            return {"labels": hot}
        dtype = torch.float32 if self.problem_type == "regression" else torch.int64
        return {"labels": torch.tensor(values, dtype=dtype)}

    def loss(self, logits: "Tensor", batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy, binary cross entropy averaged over labels, or squared error; summed over
        rows.

        Label smoothing after Szegedy et al. 2016, section 7. Where `partners` (int64 [b]) and
        `share` (float32 [b]) are in the batch, a row's target is `share` its label and the rest its
        partner's (Zhang et al. 2018).
        """
        import torch
        import torch.nn.functional as F

        labels = batch["labels"]
        count = torch.tensor(float(len(labels)), device=logits.device)
        if self.problem_type == "regression":
            return Loss(F.mse_loss(logits.squeeze(-1), labels, reduction="sum"), count, {})
        if self.problem_type == "multi_label_classification":
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
            loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
            return Loss(loss / logits.shape[-1], count, {})
        weight = None
        if self.class_weights:
            weight = torch.tensor(self.class_weights, device=logits.device)
            count = weight[labels].sum()

        def entropy(targets: "Tensor") -> "Tensor":
            losses: Tensor = F.cross_entropy(
                logits, targets, weight, label_smoothing=label_smoothing, reduction="none"
            )
            return losses

        losses = entropy(labels)
        if "partners" in batch:
            share = batch["share"]
            losses = share * losses + (1 - share) * entropy(batch["partners"])
        return Loss(losses.sum(), count, {})

    def averaged(self, logits: "Tensor", batch: Batch) -> "Tensor":
        """Logits [windows, labels] to those of rows [b, labels]: the mean over their windows."""
        if "document" not in batch:
            return logits
        document = batch["document"]
        sums = logits.new_zeros(len(batch["sample_ids"]), logits.shape[-1])
        sums = sums.index_add(0, document, logits)
        return sums / document.bincount(minlength=len(sums)).unsqueeze(1)

    def tally(self) -> "Tally":
        """The accumulator of this task's metrics."""
        from tasks.metrics.classification import Tally
        from tasks.metrics.ranked import RankedTally

        if self.problem_type == "single_label_classification" and len(self.labels) > TOP_K:
            return RankedTally(len(self.labels), TOP_K)
        return Tally(self.problem_type, max(len(self.labels), 1))

    def count(self, tally: Any, batch: Batch, logits: "Tensor") -> None:
        """Adds the predictions of a batch to a tally."""
        from tasks.metrics.ranked import RankedTally

        predictions = self._predict(logits).cpu().numpy()
        labels = batch["labels"]
        ids = batch["sample_ids"].cpu().numpy()
        if isinstance(tally, RankedTally):
            own = logits.gather(1, labels.unsqueeze(1))
            ranks = (logits > own).sum(1).cpu().numpy()
            tally.update_ranked(ids, predictions, labels.cpu().numpy(), ranks)
        else:
            tally.update(ids, predictions, labels.cpu().numpy())

    def _predict(self, logits: "Tensor") -> "Tensor":
        if self.problem_type == "regression":
            return logits.squeeze(-1)
        if self.problem_type == "multi_label_classification":
            given: Tensor = logits.sigmoid() >= self.args.threshold
            return given.long()
        best: Tensor = logits.argmax(-1)
        return best

    def confusions(self, tally: "Tally") -> "np.ndarray | None":
        """Counts int64 [labels, labels], rows the truth; None where there is not one label each."""
        if self.problem_type != "single_label_classification":
            return None
        return tally.confusion_matrix()

    def commonest(self, tally: "Tally") -> list[tuple[str, str, int]]:
        """Labels and what they were taken for, the commonest first."""
        matrix = self.confusions(tally)
        if matrix is None:
            return []
        pairs = [
            (self.labels[i], self.labels[j], int(count))
            for i, row in enumerate(matrix)
            for j, count in enumerate(row)
            if i != j and count
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def mistakes(self, batch: Batch, logits: "Tensor") -> list[tuple[float, int, str, str]]:
        """Wrong predictions as (loss of the sample, row, truth, prediction)."""
        predictions, labels = self._predict(logits), batch["labels"]
        wrong = (predictions != labels).reshape(len(labels), -1).any(1)
        losses = self._losses(logits[wrong], labels[wrong])
        columns = losses, batch["sample_ids"][wrong], labels[wrong], predictions[wrong]
        return [
            (float(loss), int(row), self._name(truth), self._name(said))
            for loss, row, truth, said in zip(*(each.cpu() for each in columns), strict=True)
        ]

    def _losses(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """Of each row alone what `loss` sums, float32 [b]."""
        import torch
        import torch.nn.functional as F

        if self.problem_type == "regression":
            return F.mse_loss(logits.squeeze(-1), labels, reduction="none")
        if self.problem_type == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)
        weight = (
            torch.tensor(self.class_weights, device=logits.device) if self.class_weights else None
        )
        return F.cross_entropy(logits, labels, weight, reduction="none")

    def _name(self, value: "Tensor") -> str:
        if self.problem_type == "regression":
            return f"{float(value):.4g}"
        if self.problem_type == "multi_label_classification":
            return "|".join(self.labels[i] for i in value.nonzero().flatten().tolist()) or "-"
        return self.labels[int(value)]

    def read(self, logits: "Tensor", top_k: int | None = None) -> list[dict[str, Any]]:
        """Predictions for people: label and score, and with `top_k` the scores of the best k.

        Single label: softmax probability. Multi label: `label` is the list of those given, `score`
        the list of their sigmoids. Regression: label "LABEL_0" and the number itself, as
        transformers' pipeline.
        """
        if self.problem_type == "regression":
            return [{"label": "LABEL_0", "score": float(x)} for x in logits.squeeze(-1)]
        single = self.problem_type == "single_label_classification"
        scores = logits.softmax(-1) if single else logits.sigmoid()
        readings = []
        for row in scores.tolist():
            ranked = sorted(range(len(row)), key=lambda i: -row[i])
            reading: dict[str, Any]
            if single:
                reading = {"label": self.labels[ranked[0]], "score": row[ranked[0]]}
            else:
                given = [i for i in ranked if row[i] >= self.args.threshold]
                reading = {
                    "label": [self.labels[i] for i in given],
                    "score": [row[i] for i in given],
                }
            if top_k is not None:
                reading["scores"] = {self.labels[i]: row[i] for i in ranked[:top_k]}
            readings.append(reading)
        return readings
