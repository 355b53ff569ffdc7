"""Text classification: a sentence or a pair to one label, several labels, a number or several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.base import Batch, Examples, Loss, Outputs
from tasks.bounds import Count, CountOrZero
from tasks.data import targets
from tasks.data.columns import find_column, names_of
from tasks.data.labels import ProblemType
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_source
from tasks.errors import UserError
from tasks.kinds.classification import LABEL_COLUMNS, Classification, LabelArgs, cut
from tasks.kinds.classification import encode as encode_all
from tasks.nlp import text_files, text_inputs
from tasks.nlp.cleaning import CleanArgs, cleaned_item, cleaned_splits, described
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import PAIR_COLUMNS, Columns
from tasks.nlp.text_lengths import LongTexts, resolve_max_length
from tasks.printing import python_literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    from torch import nn

    from tasks.base import Features
    from tasks.nlp.attention import Span
    from tasks.packed import PackedShape
    from tasks.preflight import Finding
EXAMPLE_INPUT = '--text "fine, I loved it"'


@dataclass(frozen=True)
class Args(LabelArgs, CleanArgs):
    """How texts and labels are read."""

    text_column: str | None = None
    """column of the text; found by itself where it has a usual name"""
    text_pair_column: str | None = None
    """column of the second text of a pair; "none" for one text although the data has a second"""
    max_length: Count | None = None
    """longest text in tokens, special ones included; the model's own limit by default"""
    long_texts: Literal["truncate", "window"] = "truncate"
    """window: cut a long text in overlapping windows and average their logits"""
    window_overlap: CountOrZero = 64
    """tokens that neighbouring windows share"""


@dataclass(frozen=True)
class Inputs(text_inputs.Inputs):
    """What is to be labelled."""

    attention: Path | None = None
    """show what a model that pools by attention looks at in each text: a file (html or txt), or -
    for the terminal"""


def from_data(args: Args, data: DataArgs) -> tuple["TextClassification", Examples]:
    """The task and its examples: columns found, labels encoded, missing splits cut.

    The splits have the columns text, perhaps text_pair, and label (int64, float32, or a list of
    int64).

    Raises `UserError` where a column is missing or a label can't be read.
    """
    from tasks.nlp.embedded import docstrings

    source, splits, columns = _canonical(args, data, docstrings.load)
    found = encode_all(args, data, splits)
    task = TextClassification(
        args, found.labels, found.problem_type, found.class_weights, columns=columns
    )
    return task, found.examples(source)


def for_evaluation(
    task: "TextClassification", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it: its columns, its labels, its order of labels.

    Args:
        task: of the checkpoint.
        data: where the examples are.
        split: which; by default test, else validation, else train.
        trained_on: fingerprint of the training data. Of that, missing splits are cut as they were
            then, so that nothing trained on is tested on; other data is taken as it comes.

    Raises `UserError` where the split or a column is missing, or a label was never seen in
    training.
    """
    from tasks.nlp.embedded import docstrings

    source, splits, _ = _canonical(task.args, data, docstrings.load, task.columns)
    return task.evaluation_split(source, splits, data, split, trained_on)


def unlabelled(args: Args, data: DataArgs, asked: str) -> Examples:
    """Texts without label, in the split train; see `tasks.data.unlabelled.find`.

    Raises `UserError` where other data has no text, or no pairs where the labelled data has.
    """
    from tasks.data.unlabelled import find
    from tasks.nlp.embedded import docstrings

    source, splits, columns = _canonical(args, data, docstrings.load)

    def load(other: DataArgs) -> Source:
        found = load_source(other, docstrings.load, text_files.load)
        names = names_of(found.splits)
        asked_pair = args.text_pair_column if columns["text_pair"] else "none"
        text, pair = text_inputs.training_columns(names, found.name, args.text_column, asked_pair)
        if columns["text_pair"] and pair is None:
            pair = find_column(names, None, PAIR_COLUMNS, "text pair", found.name)
        texts, _ = cleaned_splits(canonical(found, text, pair), args.clean, found.name)
        return replace(found, splits=texts)

    return find(source, cut(args, data, splits), data, asked, load)


def for_prediction(task: "TextClassification", inputs: Inputs) -> "TextClassification":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "TextClassification", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `text`, perhaps `text_pair`, and a table's other columns; see
    `tasks.nlp.text_inputs.read`."""
    return text_inputs.read(inputs, task.columns, stack, task.classes)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {name: item[name] for name in ("text", "text_pair") if name in item}


def of_labels(labels: Sequence[str], problem_type: ProblemType) -> "TextClassification":
    """Return the task with these labels, for weights that were trained elsewhere."""
    return TextClassification(Args(), tuple(labels), problem_type)


def from_config(config: Mapping[str, Any]) -> "TextClassification":
    """The task a checkpoint was trained on, from what `TextClassification.config` recorded."""
    return TextClassification(
        Args(**config["args"]),
        tuple(config["labels"]),
        config["problem_type"],
        tuple(config["class_weights"]),
        config["pad_token_id"],
        config.get("padding_side", "right"),
        columns=config.get("columns", {}),  # a checkpoint of before they were remembered has none
    )


def _canonical(
    args: Args,
    data: DataArgs,
    embedded: "Callable[[], datasets.DatasetDict]",
    known: Columns | None = None,
) -> "tuple[Source, datasets.DatasetDict, Columns]":
    """The data with its columns under the names text, text_pair and label, and their own names.

    `known` are the columns of the training, where the data may be other than that.
    """
    source = load_source(data, embedded, text_files.load)
    names = names_of(source.splits)
    if known:
        text, pair = text_inputs.text_columns(names, source.name, known)
    else:
        asked_columns = args.text_column, args.text_pair_column
        text, pair = text_inputs.training_columns(names, source.name, *asked_columns)
    asked = args.label_column
    if known and asked is None and known["label"] in names:
        asked = known["label"]
    if asked is None:
        text_files.must_have_labels(names, source.name)
    source, label = targets.find(source, asked, LABEL_COLUMNS)
    columns: Columns = {"text": text, "text_pair": pair, "label": label}
    splits = canonical(source, text, pair, label)
    splits, counts = cleaned_splits(splits, args.clean, source.name)
    return replace(source, cleaned=counts), splits, columns


@dataclass(frozen=True)
class TextClassification(LongTexts, Classification):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    problem_type: ProblemType
    class_weights: tuple[float, ...] = ()
    pad_token_id: int = 0
    padding_side: str = "right"
    columns: Columns = field(default_factory=dict, hash=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "text-classification"
    window_use = "whose outputs are averaged"
    packs_windows = False  # their mean is of as many rows as a text has windows
    pads_to_buckets = True
    pipeline = "text-classification"
    unit = "tokens"
    has_language = True
    example_call = EXAMPLE_INPUT

    def input_of(self, text: str, processor: Any) -> Any:
        """Return a text as `inputs` takes it; a pair where the model was trained on pairs, since
        they have inputs that single texts have not."""
        return (text, text) if self.columns.get("text_pair") else text

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source. The texts that come with us
        are English; a label of the data is published with the weights anyway."""
        if is_english:
            return super().example_code(is_english)
        words = (label for label in self.classes if any(map(str.isalpha, label)))
        return next(map(python_literal, words), "")

    def describe_lengths(self) -> str:
        """Return, for a card, how many tokens are read, and what is cleaned before."""
        return f"{super().describe_lengths()} {described(self.args.clean)}".rstrip()

    def bind_for_training(self, processor: Any, limit: int) -> "TextClassification":
        """The task with its tokenizer and `max_length` settled: the asked one, or the model's
        limit.

        Raises `UserError` where more is asked than the model takes.
        """
        length = resolve_max_length(self.args.max_length, limit, self.overlap)
        args = replace(self.args, max_length=length)
        return replace(
            self,
            args=args,
            pad_token_id=processor.pad_token_id or 0,
            padding_side=processor.padding_side,
            processor=processor,
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Token ids of one split, cached on disk by the content of its texts."""
        from tasks.nlp.tokenization import TokenFeatures

        return TokenFeatures.make(examples, self.processor, self.encoding())

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import text_preflight

        columns = [c for c in ("text", "text_pair") if c in examples.splits["train"].column_names]
        return text_preflight.check_tokenized(
            examples.splits,
            columns,
            features,
            self.args.max_length,
            "label",
            self.problem_type,
            self.labels,
        )

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single text or pair, and not a list of them."""
        return text_inputs.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, texts, or (text, text_pair) tuples.

        Raises `UserError` for what is no text, and for pairs among single texts.
        """
        clean = self.args.clean
        items = [cleaned_item(text_inputs.item(each, self.columns), clean) for each in raw]
        pairs = [each["text_pair"] for each in items if "text_pair" in each]
        if pairs and len(pairs) < len(items):
            raise UserError("there are pairs of texts among single ones: give one or the other")
        texts = [each["text"] for each in items]
        from tasks.nlp.tokenization import encode

        encoded = encode(texts, pairs or None, self.processor, **self.encoding())
        return [
            {"sample_id": i} | {name: column[i] for name, column in encoded.items()}
            for i in range(len(items))
        ]

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Pads the windows of all rows to the longest, or to one of `tasks.buckets`.

        The inputs are input_ids, attention_mask (and token_type_ids) int64 [windows, seq]; the
        targets are labels [b] (or float32 [b, labels]) where the rows have them.
        """
        return self.collate_arrays(rows, buckets).tensors()

    def collate_arrays(
        self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()
    ) -> Batch:
        """See `tasks.base.PredictsArrays`."""
        from tasks.nlp.tokenization import pad

        batch = pad(rows, self.pad_token_id, self.padding_side, buckets)
        return replace(batch, targets=self.label_arrays(rows))

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: "PackedShape") -> Batch:
        """See `tasks.packed.Packs`; the targets are labels [samples] (or float32 [samples, labels])
        and sample_weight float32 [samples], 0 where there is no sample, and class_weights float32
        [labels] where the task has them."""
        import torch

        from tasks.nlp import packing

        batch = packing.pack(rows, shape, self.pad_token_id)
        targets = {
            "labels": packing.padded(self.label_targets(rows)["labels"], shape.samples),
            "sample_weight": (batch.ids >= 0).to(torch.float32),
        }
        if self.class_weights:  # from the host with all the rest: a copy in a pass waits
            targets["class_weights"] = torch.tensor(self.class_weights)
        return replace(batch, targets=targets)

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """See `Classification.loss`; of a packed batch only samples count."""
        from tasks.nlp import packing

        counts = batch.targets.get("sample_weight")
        if counts is None:
            return super().loss(outputs, batch, label_smoothing)
        labels, weight = batch.targets["labels"], batch.targets.get("class_weights")
        losses = packing.losses_of_rows(
            outputs["logits"], labels, self.problem_type, weight, label_smoothing
        )
        losses = losses * counts
        if weight is not None:  # cross entropy has weighed the losses already
            counts = counts * weight[labels]
        return Loss(losses.sum(), counts.sum(), {}, losses.detach())

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Logits float32 [b, labels] of a batch; those of a text's windows are averaged."""
        return {"logits": self.averaged(super().forward(model, batch)["logits"], batch)}

    def attention(self, model: "nn.Module", item: Mapping[str, Any]) -> "list[Span] | None":
        """Return what a network looks at in an input, piece by piece
        (`tasks.nlp.attention.spans_of`); None where it does not tell."""
        from tasks.nlp.attention import spans_of

        return spans_of(self, model, item)

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return " | ".join(str(example[c]) for c in ("text", "text_pair") if c in example)
