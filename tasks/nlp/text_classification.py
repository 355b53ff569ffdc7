"""Text classification: a sentence or a pair to one label, several labels, or a number."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tasks.base import Batch, Examples, Loss, model_inputs
from tasks.data import DataArgs, Source, cut_missing_splits, find_column, limit
from tasks.data import load as load_source
from tasks.errors import UserError
from tasks.metrics import Tally, main_metric
from tasks.nlp.labels import ProblemType, are_numbers, encode_labels, label_names
from tasks.nlp.tokenization import TokenFeatures, encode, pad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.preflight import Finding

TEXT_COLUMNS = (
    "text",
    "sentence",
    "sentence1",
    "premise",
    "question",
    "review",
    "content",
    "tweet",
)
PAIR_COLUMNS = ("text_pair", "sentence2", "hypothesis", "question2", "passage")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "sentiment", "stars", "score")


@dataclass(frozen=True)
class Args:
    """How texts and labels are read."""

    text_column: str | None = None
    """column of the text; found by itself where it has a usual name"""
    text_pair_column: str | None = None
    """column of the second text of a pair; "none" for one text although the data has a second"""
    label_column: str | None = None
    """column of the label"""
    problem_type: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    """auto: lists are multi_label, decimal numbers regression, all else single_label"""
    threshold: float = 0.5
    """multi_label: a label is given when its probability reaches this"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs n / (classes * its count), as in scikit-learn"""
    max_length: int | None = None
    """longest text in tokens, special ones included; the model's own limit by default"""
    long_texts: Literal["truncate", "window"] = "truncate"
    """window: cut a long text in overlapping windows and average their logits"""
    window_overlap: int = 64
    """tokens that neighbouring windows share"""


def from_data(args: Args, data: DataArgs) -> tuple["TextClassification", Examples]:
    """The task and its examples: columns found, labels encoded, missing splits cut.

    The splits have the columns text, perhaps text_pair, and label (int64, float32, or a list of
    int64).

    Raises `UserError` where a column is missing or a label can't be read.
    """
    from tasks.nlp import docstrings

    source, splits = _canonical(args, data, docstrings.load)
    problem_type = _problem_type(args.problem_type, next(iter(splits.values())))
    labels = label_names(splits, problem_type)
    stratify = "label" if problem_type == "single_label_classification" else None
    splits = limit(cut_missing_splits(splits, stratify, data), data)
    splits, counts = encode_labels(splits, labels, problem_type)
    weights: tuple[float, ...] = ()
    if args.class_weights == "balanced" and problem_type == "single_label_classification":
        total = sum(counts)
        weights = tuple(total / (len(labels) * max(count, 1)) for count in counts)
    task = TextClassification(args, tuple(labels), problem_type, weights)
    return task, Examples(splits, source.name, source.fingerprint)


def for_evaluation(
    task: "TextClassification", data: DataArgs, split: str | None, trained_on: str
) -> Examples:
    """One split as a trained task reads it: its columns, its labels, its order of labels.

    Args:
        task: of the checkpoint.
        data: where the examples are.
        split: which; by default test, else validation, else train.
        trained_on: fingerprint of the training data. Of that, missing splits are cut as they were
            then, so that nothing trained on is tested on; other data is taken as it comes.

    Raises `UserError` where the split or a column is missing, or a label was never seen in
    training.
    """
    from tasks.nlp import docstrings

    source, splits = _canonical(task.args, data, docstrings.load)
    stratify = "label" if task.problem_type == "single_label_classification" else None
    if source.fingerprint == trained_on:
        splits = cut_missing_splits(splits, stratify, data)
    splits = limit(splits, data)
    usual = [name for name in ("test", "validation", "train") if name in splits]
    if split is not None and split not in splits:
        raise UserError(f"{source.name} has no split {split!r}; it has {', '.join(splits)}")
    chosen = split or usual[0]
    encoded, _ = encode_labels(splits, task.labels, task.problem_type, only=chosen)
    return Examples(encoded, source.name, source.fingerprint)


def read_inputs(
    texts: Sequence[str],
    file: "Path | None",
    columns: tuple[str | None, str | None],
    stack: "ExitStack",
) -> "Iterator[Any]":
    """What `predict` is given, as texts or (text, text_pair): see `tasks.nlp.text_inputs`."""
    from tasks.nlp import text_inputs

    return text_inputs.read(texts, file, columns, stack)


def show_input(item: Any) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"text": item} if isinstance(item, str) else {"text": item[0], "text_pair": item[1]}


def from_config(config: Mapping[str, Any]) -> "TextClassification":
    """The task a checkpoint was trained on, from what `TextClassification.config` recorded."""
    return TextClassification(
        Args(**config["args"]),
        tuple(config["labels"]),
        config["problem_type"],
        tuple(config["class_weights"]),
        config["pad_token_id"],
    )


def _canonical(
    args: Args, data: DataArgs, embedded: "Callable[[], datasets.DatasetDict]"
) -> "tuple[Source, datasets.DatasetDict]":
    """The data with its columns under the names text, text_pair and label."""
    source = load_source(data, embedded)
    names = next(iter(source.splits.values())).column_names
    text = find_column(names, args.text_column, TEXT_COLUMNS, "text", source.name)
    label = find_column(names, args.label_column, LABEL_COLUMNS, "label", source.name)
    pair = _pair_column(names, args.text_pair_column, source.name)
    columns = {text: "text", label: "label"} | ({pair: "text_pair"} if pair else {})
    splits = source.splits.select_columns(list(columns))
    return source, splits.rename_columns({old: new for old, new in columns.items() if old != new})


def _pair_column(names: Sequence[str], asked: str | None, where: str) -> str | None:
    if asked == "none":
        return None
    if asked is None and not {name.lower() for name in names} & set(PAIR_COLUMNS):
        return None
    return find_column(names, asked, PAIR_COLUMNS, "text pair", where)


def _problem_type(asked: str, split: "datasets.Dataset") -> ProblemType:
    import datasets

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


@dataclass(frozen=True)
class TextClassification:
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...] = ()
    pad_token_id: int = 0

    name = "text-classification"
    pipeline = "text-classification"
    unit = "tokens"
    example_call = '--text "fine, I loved it"'

    @property
    def main_metric(self) -> str:
        """The metric that early stopping and "best" go by."""
        return main_metric(self.problem_type)

    def config(self) -> dict[str, Any]:
        """What `from_config` needs; plain JSON."""
        return asdict(self)

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

    def settle(self, processor: Any, limit: int) -> "TextClassification":
        """The same task with `max_length` settled: the asked one, or the model's limit.

        Raises `UserError` where more is asked than the model takes.
        """
        asked = self.args.max_length
        if asked is not None and asked > limit:
            raise UserError(f"--max_length {asked} is more than the {limit} this model takes")
        if asked is not None and asked < 4:
            raise UserError(f"--max_length {asked} leaves no room for text; at least 4")
        length = asked or limit
        if self.args.long_texts == "window" and self.args.window_overlap >= length - 4:
            raise UserError(
                f"--window_overlap {self.args.window_overlap} must be well below"
                f" --max_length {length}"
            )
        args = replace(self.args, max_length=length)
        return replace(self, args=args, pad_token_id=processor.pad_token_id or 0)

    def features(self, examples: "datasets.Dataset", processor: Any, cache_key: str) -> "Features":
        """Token ids of one split, cached on disk under `cache_key` and this task's own settings."""
        return TokenFeatures.make(examples, processor, cache_key, self._encoding())

    def _encoding(self) -> dict[str, Any]:
        assert self.args.max_length is not None, "settle() decides it"
        return {
            "max_length": self.args.max_length,
            "window_overlap": self.args.window_overlap
            if self.args.long_texts == "window"
            else None,
        }

    def preflight(self, examples: Examples, features: Mapping[str, "Features"]) -> "list[Finding]":
        """What is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import text_preflight

        columns = [c for c in ("text", "text_pair") if c in examples.splits["train"].column_names]
        lengths = {split: f.untruncated for split, f in features.items()}  # type: ignore[attr-defined]
        assert self.args.max_length is not None
        found: list[Finding] = text_preflight.check(
            examples.splits,
            columns,
            "label",
            lengths,
            self.args.max_length,
            self.problem_type,
            self.labels,
        )
        return found

    def inputs(self, texts: Sequence[Any], processor: Any) -> list[dict[str, Any]]:
        """Rows for `collate` from plain texts, or (text, text_pair) tuples."""
        pairs = [t[1] for t in texts] if texts and isinstance(texts[0], tuple) else None
        firsts = [t[0] for t in texts] if pairs is not None else list(texts)
        encoded = encode(firsts, pairs, processor, **self._encoding())
        return [
            {"sample_id": i} | {name: column[i] for name, column in encoded.items()}
            for i in range(len(texts))
        ]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Pads the windows of all rows to the longest.

        Gives input_ids, attention_mask (and token_type_ids) int64 [windows, seq], sample_ids int64
        [b], labels [b] (or float32 [b, labels]) where the rows have them, and, where any text has
        several windows, document int64 [windows]: the row a window belongs to.
        """
        import torch

        batch = pad(rows, self.pad_token_id)
        batch["sample_ids"] = torch.tensor([row["sample_id"] for row in rows])
        if rows and rows[0].get("label") is not None:
            values = [row["label"] for row in rows]
            if self.problem_type == "multi_label_classification":
                hot = torch.zeros(len(rows), len(self.labels))
                for i, given in enumerate(values):
                    hot[i, given] = 1.0
                batch["labels"] = hot
            elif self.problem_type == "regression":
                batch["labels"] = torch.tensor(values, dtype=torch.float32)
            else:
                batch["labels"] = torch.tensor(values, dtype=torch.int64)
        return batch

    def logits(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Logits float32 [b, labels] of a batch; those of a text's windows are averaged."""
        logits: Tensor = model(**model_inputs(batch)).logits.float()
        if "document" not in batch:
            return logits
        document = batch["document"]
        sums = logits.new_zeros(len(batch["sample_ids"]), logits.shape[-1])
        sums = sums.index_add(0, document, logits)
        return sums / document.bincount(minlength=len(sums)).unsqueeze(1)

    def loss(self, logits: "Tensor", batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy, binary cross entropy averaged over labels, or squared error; summed over
        rows.

        Label smoothing after Szegedy et al. 2016, section 7.
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
        loss = F.cross_entropy(
            logits, labels, weight, label_smoothing=label_smoothing, reduction="sum"
        )
        return Loss(loss, count, {})

    def tally(self) -> Tally:
        """The accumulator of this task's metrics."""
        return Tally(self.problem_type, max(len(self.labels), 1))

    def count(self, tally: Tally, batch: Batch, logits: "Tensor") -> None:
        """Adds the predictions of a batch to a tally."""
        predictions = self._predict(logits).cpu().numpy()
        labels = batch["labels"].cpu().numpy()
        tally.update(batch["sample_ids"].cpu().numpy(), predictions, labels)

    def _predict(self, logits: "Tensor") -> "Tensor":
        if self.problem_type == "regression":
            return logits.squeeze(-1)
        if self.problem_type == "multi_label_classification":
            return (logits.sigmoid() >= self.args.threshold).long()
        return logits.argmax(-1)

    def confusions(self, tally: Tally) -> "np.ndarray | None":
        """Counts int64 [labels, labels], rows the truth; None where there is not one label each."""
        if self.problem_type != "single_label_classification":
            return None
        return tally.confusion_matrix()

    def show(self, example: Mapping[str, Any]) -> str:
        """An example in one line of a table."""
        return " | ".join(str(example[c]) for c in ("text", "text_pair") if c in example)

    def mistakes(self, batch: Batch, logits: "Tensor") -> list[tuple[float, int, str, str]]:
        """Wrong predictions as (loss of the sample, row, truth, prediction)."""
        found = []
        predictions, labels = self._predict(logits), batch["labels"]
        for i, row in enumerate(batch["sample_ids"].tolist()):
            if bool((predictions[i] == labels[i]).all()):
                continue
            alone = self.loss(logits[i : i + 1], {"labels": labels[i : i + 1]})
            names = self._name(labels[i]), self._name(predictions[i])
            found.append((float(alone.sum), row, *names))
        return found

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
