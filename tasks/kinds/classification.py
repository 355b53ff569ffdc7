"""What all classifiers share, whatever they look at: labels, loss, metrics, how a prediction reads.

A task of classification is a frozen dataclass that inherits `Classification` and adds its inputs.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Bounded, Share
from tasks.data import columns, targets
from tasks.data.labels import (
    ProblemType,
    check_labels,
    encode_labels,
    label_names,
    leave_out,
    problem_type_of,
    unlabelled,
)
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.kinds import label_values
from tasks.kinds.label_values import (
    LabelPrediction,
    NumberPrediction,
    NumbersPrediction,
    Prediction,
    Value,
    places_of,
    value_of,
)
from tasks.kinds.losses import balanced, constant, divergence, other_names, windows_of
from tasks.metrics import MetricSpec, primary_metric
from tasks.printing import python_literal
from tasks.rows import column

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import WrongPrediction
    from tasks.metrics.classification import ClassificationMetric

LABEL_COLUMNS: tuple[str, ...] = ("label", "labels", "class", "category", "target", "sentiment")
LABEL_COLUMNS += ("stars", "score", "gold_label", "is_duplicate", "quality")
"""Usual names, best first; the last three are those of GLUE's MNLI, QQP and MRPC."""
TOP_K = 5
MOST_LABELS = 30  # that a description names


@dataclass(frozen=True)
class LabelArgs(Bounded):
    """How labels are read."""

    label_column: str | None = None
    """column of the label; several with commas for as many numbers to predict"""
    problem_type: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    """auto: decimal numbers and lists of them are regression, so are several columns; other lists
    are multi_label, all else single_label"""
    threshold: Share = 0.5
    """multi_label: a label is given when its probability reaches this"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs n / (classes * its count), as in scikit-learn"""


class Labelled(NamedTuple):
    """Examples with encoded labels, and the names of the labels."""

    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...]
    splits: "datasets.DatasetDict"
    unlabelled: Mapping[str, int]
    """Rows of the splits without any labels, which were left out."""

    def examples(self, source: Source) -> Examples:
        """Return these labelled splits as the `Examples` of a task."""
        where = source.name, source.fingerprint, source.rows
        return Examples(self.splits, *where, self.unlabelled, source.cleaned)


def media_and_label(source: Source, asked: str | None) -> "datasets.DatasetDict":
    """Return the splits of media files with the label column renamed to `label`, and no other label
    column.

    Raises `UserError` where there is no such column.
    """
    source, label = targets.find(source, asked, LABEL_COLUMNS)
    return columns.select(source.splits, {"media": "media", label: "label"}, source.name)


def encode(args: LabelArgs, data: DataArgs, splits: "datasets.DatasetDict") -> Labelled:
    """Find the labels in the column `label`, cut missing splits and apply limits, and encode the
    labels.

    `label` becomes int64, float32, or a list of int64. Splits without any labels are left out, and
    told. Raises `UserError` where a label can't be read.
    """
    must_have_train(splits, data.data)
    problem_type = problem_type_of(args.problem_type, splits)
    without = unlabelled(splits)
    cut_as_named = cut_missing_splits(splits, _stratify(problem_type), data)
    labelled = _but(splits, without)
    labels = label_names(labelled, problem_type)
    check_labels(labelled, labels, problem_type)
    splits = limit(leave_out(cut_as_named, without), data)
    splits, counts = encode_labels(splits, labels, problem_type)
    weights: tuple[float, ...] = ()
    if args.class_weights == "balanced" and problem_type == "single_label_classification":
        weights = balanced(counts)
    left_out = {name: cut_as_named[name].num_rows for name in without}
    return Labelled(tuple(labels), problem_type, weights, splits, left_out)


def cut(args: LabelArgs, data: DataArgs, splits: "datasets.DatasetDict") -> "datasets.DatasetDict":
    """Return the splits, with missing ones cut from train exactly as `encode` does."""
    problem_type = problem_type_of(args.problem_type, splits)
    return cut_missing_splits(splits, _stratify(problem_type), data)


def stratified(splits: "datasets.DatasetDict") -> str | None:
    """Return the column name `label` if a classifier would stratify missing splits by it, else
    None."""
    return _stratify(problem_type_of("auto", splits))


def _but(splits: "datasets.DatasetDict", names: Collection[str]) -> "datasets.DatasetDict":
    import datasets

    return datasets.DatasetDict({n: split for n, split in splits.items() if n not in names})


def _stratify(problem_type: ProblemType) -> str | None:
    return "label" if problem_type == "single_label_classification" else None


class Classification(Bindable):
    """One label, several labels, a number or several for each input. See `tasks.base.Task`."""

    args: Any  # has the fields of LabelArgs
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...]

    verb = "classify"
    has_language = False
    of_rows = True
    example_call: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels; empty for regression, whose `labels` name its numbers where it
        has several."""
        return () if self.problem_type == "regression" else self.labels

    @property
    def single_label(self) -> bool:
        """Whether each example has exactly one label."""
        return self.problem_type == "single_label_classification"

    @property
    def primary(self) -> MetricSpec:
        """The metric that early stopping and "best" use unless another is requested."""
        return primary_metric(self.problem_type)

    @property
    def output_kinds(self) -> Mapping[str, OutputKind]:
        """The kind of each output of the task's models, by name; a regression's outputs are not
        logits."""
        return {"logits": "regression" if self.problem_type == "regression" else "logits"}

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return, for a card, what the model returns for an input (`Task.describe_outputs`)."""
        count, named = len(self.labels), self._named(literal)
        if self.problem_type == "regression":
            what = (
                f"{count} numbers for an input ({named}), each"
                if count
                else "a number for an input,"
            )
            return f"Gives {what} in the unit of the training data's column of labels."
        if self.problem_type == "multi_label_classification":
            return (
                f"Gives an input any of {count} labels: {named}; a label counts as given where its "
                f"probability reaches {self.args.threshold:g}."
            )
        return (
            f"Gives an input one of {count} labels: {named}. Whatever else it is shown gets one of "
            "them too: there is no label for none of these."
        )

    def _named(self, literal: Callable[[str], str]) -> str:
        more = len(self.labels) - MOST_LABELS
        names = ", ".join(literal(label) for label in self.labels[:MOST_LABELS])
        return f"{names} and {more} more" if more > 0 else names

    def example_code(self, is_english: bool) -> str:
        """Return an example input of transformers' pipeline as Python source
        (`Task.example_code`)."""
        return python_literal(shlex.split(self.example_call)[1])

    def model_config(self) -> dict[str, Any]:
        """Return the fields of a transformers config that this task sets."""
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
        trained_on: str | None,
    ) -> Examples:
        """Return one split encoded with this task's own order of labels; see `choose_split`.

        Raises `UserError` where a label was never seen in training.
        """
        stratify = _stratify(self.problem_type)
        is_regression = self.problem_type == "regression"
        known = None if is_regression and "train" in splits else set(self.labels)
        without = unlabelled(splits, known=known)
        chosen, splits = choose_split(source, splits, stratify, data, split, trained_on, without)
        encoded, _ = encode_labels(splits, self.labels, self.problem_type, only=chosen)
        return Examples(encoded, source.name, source.fingerprint)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return random `labels`, drawn from `seed`, for any inputs [b, ...], to measure training
        with; see `tasks.kinds.label_values`."""
        rows = len(next(iter(inputs.values())))
        return {"labels": label_values.drawn(rows, len(self.labels), self.problem_type, seed)}

    def label_targets(self, rows: "Sequence[Mapping[str, Any]]") -> "dict[str, Tensor]":
        """Return the tensor `labels` of rows that have labels; see `tasks.kinds.label_values`."""
        import torch

        return {name: torch.from_numpy(each) for name, each in self.label_arrays(rows).items()}

    def label_arrays(self, rows: "Sequence[Mapping[str, Any]]") -> "dict[str, np.ndarray]":
        """Return the `labels` of rows that have labels, as a numpy array."""
        values = column(rows, "label")
        if values is None:
            return {}
        return {"labels": label_values.given(values, len(self.labels), self.problem_type)}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the cross entropy, the binary cross entropy averaged over labels, or the squared
        error, of several numbers their mean; summed over rows.

        Label smoothing after Szegedy et al. 2016, section 7. Where `partners` (int64 [b]) and
        `share` (float32 [b]) are among the targets, a row's target is `share` its label and the
        rest its partner's (Zhang et al. 2018).
        """
        import torch
        import torch.nn.functional as F

        logits, labels = outputs["logits"], batch.targets["labels"]
        count = torch.full((), float(len(labels)), device=logits.device)  # no copy, no waiting
        if self.problem_type == "regression":
            numbers = logits if self.labels else logits.squeeze(-1)
            terms = F.mse_loss(numbers.detach(), labels, reduction="none")
            loss = F.mse_loss(numbers, labels, reduction="sum")
            if self.labels:
                terms, loss = terms.mean(-1), loss / len(self.labels)
            return Loss(loss, count, {}, terms)
        if self.problem_type == "multi_label_classification":
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
            entropy = F.binary_cross_entropy_with_logits
            terms = entropy(logits.detach(), labels, reduction="none").mean(-1)
            loss = entropy(logits, labels, reduction="sum") / logits.shape[-1]
            return Loss(loss, count, {}, terms)
        weight = None
        if self.class_weights:
            weight = constant(tuple(self.class_weights), logits.device)
            count = weight[labels].sum()

        def losses_of(targets: "Tensor") -> "Tensor":
            losses: Tensor = F.cross_entropy(
                logits, targets, weight, label_smoothing=label_smoothing, reduction="none"
            )
            return losses

        losses = losses_of(labels)
        if "partners" in batch.targets:
            share = batch.targets["share"]
            losses = share * losses + (1 - share) * losses_of(batch.targets["partners"])
        return Loss(losses.sum(), count, {}, losses.detach())

    def averaged(self, logits: Any, batch: Batch) -> Any:
        """Return logits [b, labels]: the mean of logits [windows, labels] over the windows of each
        row."""
        import numpy as np

        from tasks import arrays

        if isinstance(logits, np.ndarray) and batch.windows is not None:
            return arrays.means(logits, arrays.to_numpy(batch.windows), len(batch))
        if batch.windows is None:
            return logits
        sums = logits.new_zeros(len(batch), logits.shape[-1])
        sums = sums.index_add(0, batch.windows, logits)
        return sums / windows_of(batch.windows, len(sums)).unsqueeze(1)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[Prediction]:
        """Return one prediction per row, from `outputs` or a forward pass (`Task.predict`)."""
        return self.postprocess(self.forward(model, batch) if outputs is None else outputs)

    def postprocess(self, outputs: Outputs) -> list[Prediction]:
        """Return one prediction per row from logits [b, labels], a tensor or an array.

        Single label: the likeliest, softmax probabilities. Multi label: those whose sigmoid reaches
        the threshold.
        """
        threshold: float = self.args.threshold
        return label_values.predicted(outputs["logits"], self.problem_type, threshold)

    def references(self, batch: Batch) -> list[Value]:
        """Return the true label, labels or number of each row."""
        rows = batch.targets["labels"].tolist()
        if self.problem_type == "multi_label_classification":
            return [places_of(row) for row in rows]
        found: list[Value] = [tuple(row) if isinstance(row, list) else row for row in rows]
        return found

    def accumulator(self) -> "ClassificationMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.classification import ClassificationMetric
        from tasks.metrics.ranked import TopKMetric
        from tasks.metrics.several_numbers import SeveralNumbersMetric

        if self.problem_type == "regression" and self.labels:
            return SeveralNumbersMetric(len(self.labels))
        if self.single_label and len(self.labels) > TOP_K:
            return TopKMetric(len(self.labels), TOP_K)
        return ClassificationMetric(self.problem_type, max(len(self.labels), 1))

    def update(self, accumulator: Any, seen: Evaluated[Prediction]) -> None:
        """Add the predictions of a batch to a metric accumulator."""
        from tasks.metrics.ranked import TopKMetric

        ids = seen.batch.ids.cpu().numpy()
        predictions = self._array([value_of(one) for one in seen.predictions])
        references = self._array(seen.references)
        if isinstance(accumulator, TopKMetric):
            logits, labels = seen.outputs["logits"], seen.batch.targets["labels"]
            own = logits.gather(1, labels.unsqueeze(1))
            ranks = (logits > own).sum(1).cpu().numpy()
            accumulator.update_ranked(ids, predictions, references, ranks)
        else:
            accumulator.update(ids, predictions, references)

    def _array(self, values: Sequence[Value]) -> "np.ndarray":
        """Return values in the form `ClassificationMetric` takes: labels int64 [b], 0 or 1 [b,
        labels], or numbers float64 [b] or [b, labels]."""
        import numpy as np

        if self.problem_type == "regression" and self.labels:
            return np.array(values, np.float64).reshape(-1, len(self.labels))
        if self.problem_type != "multi_label_classification":
            return np.array(values, np.int64 if self.single_label else np.float64)
        hot = np.zeros((len(values), len(self.labels)), np.int64)
        for row, given in zip(hot, values, strict=True):
            row[list(given)] = 1  # type: ignore[arg-type, index]
        return hot

    def confusion_matrix(self, accumulator: "ClassificationMetric") -> "np.ndarray":
        """Return the confusion matrix, counts int64 [labels, labels]; its rows are the true labels.
        ValueError if examples do not have one label each."""
        return accumulator.confusion_matrix()

    def errors(self, seen: Evaluated[Prediction]) -> "Sequence[WrongPrediction]":
        """Return the wrong predictions as (loss of the sample, its id, truth, prediction,
        probability of the prediction: None but for a single label)."""
        assert seen.loss.terms is not None
        columns = seen.loss.terms.tolist(), seen.batch.ids.tolist(), seen.references
        return [
            (
                loss,
                row,
                self._name(truth),
                self._name(value_of(one)),
                one.scores[one.label] if isinstance(one, LabelPrediction) else None,
            )
            for loss, row, truth, one in zip(*columns, seen.predictions, strict=True)
            if value_of(one) != truth
        ]

    def _name(self, value: Value) -> str:
        if self.problem_type == "regression":
            numbers = value if isinstance(value, tuple) else (value,)
            names = self.labels or ("",)
            return ", ".join(f"{n} {x:.4g}".strip() for n, x in zip(names, numbers, strict=True))
        if isinstance(value, tuple):
            return "|".join(self.labels[int(i)] for i in value) or "-"
        return self.labels[int(value)]

    def to_json(self, prediction: Prediction, top_k: int | None = None) -> dict[str, Any]:
        """Return a readable prediction: label and score, and with `top_k` the scores of the best k
        labels.

        Single label: softmax probability. Multi label: `label` is the list of those given, `score`
        the list of their sigmoids. Regression: label "LABEL_0" and the number itself, as
        transformers' pipeline; of several numbers the list of their names, and the list of them.
        """
        if isinstance(prediction, NumberPrediction):
            return {"label": "LABEL_0", "score": prediction.value}
        if isinstance(prediction, NumbersPrediction):
            values = dict(zip(self.labels, prediction.values, strict=True))
            several = {"label": list(values), "score": list(values.values())}
            return several if top_k is None else several | {"scores": values}
        scores = prediction.scores
        ranked = sorted(range(len(scores)), key=lambda i: -scores[i])
        found: dict[str, Any]
        if isinstance(prediction, LabelPrediction):
            found = {"label": self.labels[prediction.label], "score": scores[prediction.label]}
        else:
            given = [i for i in ranked if i in prediction.labels]
            found = {"label": [self.labels[i] for i in given], "score": [scores[i] for i in given]}
        if top_k is not None:
            found["scores"] = {self.labels[i]: scores[i] for i in ranked[:top_k]}
        return found

    def pseudo_labels(self, outputs: Outputs) -> "tuple[Tensor, Tensor]":
        """Return the probability of the likeliest label, float32 [b], and that label, int64 [b]."""
        sureness, labels = outputs["logits"].detach().softmax(-1).max(-1)
        return sureness, labels

    def pseudo_losses(self, outputs: Outputs, labels: "Tensor") -> "Tensor":
        """Return the cross entropy of each row, float32 [b], for labels int64 [b]."""
        import torch.nn.functional as F

        return F.cross_entropy(outputs["logits"], labels, reduction="none")

    @property
    def softens(self) -> bool:
        """Whether the outputs are probabilities, which a temperature can soften."""
        return self.problem_type != "regression"

    def teacher_fault(self, teacher: "Classification") -> str | None:
        """Return why a teacher's labels or problem type are unsuitable; None if they are suitable
        (`Distills.teacher_fault`)."""
        if self.problem_type != teacher.problem_type:
            return f"has learned {teacher.problem_type}, and this is {self.problem_type}"
        return other_names(self.labels, teacher.labels, "labels")

    def distillation_loss(self, student: Outputs, teacher: Outputs, temperature: float) -> "Tensor":
        """Return T^2 KL(teacher || student) over the labels, summed over rows. With several labels
        it is that of each label's yes and no, averaged over labels; in regression the squared
        error."""
        import torch.nn.functional as F

        logits, taught = student["logits"], teacher["logits"]
        if self.problem_type == "regression":
            return F.mse_loss(logits, taught, reduction="sum") / logits.shape[-1]
        if self.single_label:
            return divergence(logits, taught, temperature)
        ours, theirs = logits / temperature, taught / temperature
        yes, no = theirs.sigmoid(), (-theirs).sigmoid()
        gaps = yes * (F.logsigmoid(theirs) - F.logsigmoid(ours))
        gaps = gaps + no * (F.logsigmoid(-theirs) - F.logsigmoid(-ours))
        return temperature**2 * gaps.sum() / logits.shape[-1]

    def target_counts(self, batch: Batch) -> "Tensor":
        """Return the number of targets of each row, always one, float32 [b]."""
        import torch

        return torch.ones(len(batch), device=batch.ids.device)
