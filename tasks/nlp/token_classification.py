"""Token classification: a tag for every word of a text, and the spans that the tags stand for.

Named entities, chunks, parts of speech, marks of punctuation. Long texts are read in windows that
overlap; a word is tagged where it has most of the text around it. Only the first piece of a word
has its tag, as in Devlin et al. 2018, "BERT", section 5.3.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Bounded, Count, CountOrZero
from tasks.data import conll
from tasks.data.columns import find_column, names_of, select
from tasks.data.labels import leave_out
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.source import load as load_source
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED, cross_entropy, of_targets
from tasks.metrics.spec import metric_spec
from tasks.nlp import text_inputs
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns, Inputs
from tasks.nlp.text_lengths import LongTexts, resolve_max_length
from tasks.printing import python_literal

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.spans import SpanMetric, TagScheme
    from tasks.nlp.tagged_words import TagsPrediction, Words
    from tasks.packed import PackedShape
    from tasks.preflight import Finding

EXAMPLE_INPUT = '--text "returns a dataframe or none if there are no rows"'
TOKEN_COLUMNS = ("tokens", "words", "token", "word", "form")
TAG_COLUMNS = ("tags", "ner_tags", "labels", "label", "ner", "pos_tags", "pos", "upos")
NOT_SHOWN = -1e4
"""Logit of every tag but O of a word that the model was shown nothing of."""
MOST_CLASSES = 30  # that a description names
TEXT: Columns = {"text": None, "text_pair": None}


@dataclass(frozen=True)
class Args(Bounded):
    """How words and tags are read."""

    token_column: str | None = None
    """column of the words, by name or by number (1 is the first); in a CoNLL file the first by
    default, or FORM"""
    tag_column: str | None = None
    """column of the tags, by name or by number; in a CoNLL file the last by default, or UPOS"""
    tags_from: Literal["data", "punctuation"] = "data"
    """punctuation: of a data set with texts; words in small letters, whose tags say what follows
    (COMMA, PERIOD, ...) and how they were written (CAP, UPPER)"""
    text_column: str | None = None
    """punctuation: column of the text; found by itself where it has a usual name"""
    max_length: Count | None = None
    """tokens that are read at once, special ones included; the model's own limit by default"""
    long_texts: Literal["truncate", "window"] = "window"
    """window: read a long text in overlapping windows; each word counts where it stands most
    central"""
    window_overlap: CountOrZero = 64
    """tokens that neighbouring windows share"""


def from_data(args: Args, data: DataArgs) -> tuple["TokenClassification", Examples]:
    """The task and its examples: columns found, tags encoded, missing splits cut.

    The splits have the columns tokens (lists of strings) and label (lists of int64).

    Raises `UserError` where a column is missing, a tag can't be read, or there is none but O.
    """
    from tasks.nlp import tagged_words

    source, splits, columns = _canonical(args, data)
    must_have_train(splits, source.name)
    without = tagged_words.untagged(splits)
    tagged = {name: split for name, split in splits.items() if name not in without}
    names = tagged_words.names(tagged)
    labels = names.in_order()
    if len(names.found) < 2:
        what = f"no tag but {names.found[0]}" if names.found else "no tags"
        raise UserError(
            f"{source.name} has {what} in any of its rows, so there is nothing to learn: is "
            f"{columns.get('tags')!r} the column of the tags (`tag_column`)?"
        )
    for name, split in tagged.items():
        splits[name] = tagged_words.encode(split, labels, name)
    apart = tagged_words.has_words_of_punctuation(splits["train"])
    cut = cut_missing_splits(splits, None, data)
    splits = limit(leave_out(cut, without, "tags"), data)
    task = TokenClassification(args, labels, "tokenizer" if apart else "blanks", columns=columns)
    left_out = {name: cut[name].num_rows for name in without}
    return task, Examples(splits, source.name, source.fingerprint, source.rows, left_out)


def for_evaluation(
    task: "TokenClassification", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`.

    Raises `UserError` where the split or a column is missing, or training never saw a tag.
    """
    import datasets

    from tasks.nlp import tagged_words

    source, splits, _ = _canonical(task.args, data, task.columns)
    without = tagged_words.untagged(splits)
    chosen, splits = choose_split(source, splits, None, data, split, trained_on, without)
    encoded = tagged_words.encode(splits[chosen], task.labels, chosen)
    return Examples(datasets.DatasetDict({chosen: encoded}), source.name, source.fingerprint)


def _canonical(
    args: Args, data: DataArgs, known: Columns | None = None
) -> "tuple[Source, datasets.DatasetDict, Columns]":
    """The data with its columns under the names tokens and label, and their own names.

    `known` are the columns of the training, where the data may be other than that.
    """
    from tasks.nlp import tagged_words
    from tasks.nlp.embedded import docstrings, punctuation

    makes_tags = args.tags_from == "punctuation"
    embedded = docstrings.load if makes_tags else punctuation.load
    source = load_source(data, embedded, conll.load)
    names, known = names_of(source.splits), known or {}
    if makes_tags:
        asked = args.text_column or (known.get("text") if known.get("text") in names else None)
        text = find_column(names, asked, TEXT_COLUMNS, "text", source.name)
        splits = select(
            punctuation.of_texts(canonical(source, text)), {"tokens": "tokens", "tags": "label"}, ""
        )
        return source, splits, {"text": text, "text_pair": None}
    numbered = names == [str(i + 1) for i in range(len(names))]  # a CoNLL file
    if numbered and len(names) < 2:
        raise UserError(f"{source.name} has one column only: a word's tag stands behind the word")

    def find(asked: str | None, of_training: str | None, usual: Sequence[str], what: str) -> str:
        if asked is None:
            asked = of_training if of_training in names else None
        elif asked not in names and asked.isdigit() and 0 < int(asked) <= len(names):
            asked = names[int(asked) - 1]
        return find_column(names, asked, usual, what, source.name)

    first, last = (names[:1], names[-1:]) if numbered else (TOKEN_COLUMNS, TAG_COLUMNS)
    tokens = find(args.token_column, known.get("tokens"), first, "words")
    tags = find(args.tag_column, known.get("tags"), last, "tags")
    if tokens == tags:
        raise UserError(
            f"the column {tags!r} of {source.name} can't be both the words and the tags"
        )
    splits = select(source.splits, {tokens: "tokens", tags: "label"}, source.name)
    return source, tagged_words.checked(splits, tokens, tags, source.name), {
        "tokens": tokens, "tags": tags, "text": None, "text_pair": None
    }  # fmt: skip


def for_prediction(task: "TokenClassification", inputs: Inputs) -> "TokenClassification":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "TokenClassification", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `text`, and a table's other columns; see
    `tasks.nlp.text_inputs.read`."""
    return text_inputs.read(inputs, {**TEXT, "text": task.columns.get("text")}, stack)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"text": item["text"]}


def from_config(config: Mapping[str, Any]) -> "TokenClassification":
    """The task a checkpoint was trained on, from what `TokenClassification.config` recorded."""
    return TokenClassification(
        Args(**config["args"]),
        tuple(config["labels"]),
        config["words"],
        config["pad_token_id"],
        config["columns"],
    )


@dataclass(frozen=True)
class TokenClassification(LongTexts, Bindable):
    """The task with what the data told of it. Satisfies `tasks.base.Task`."""

    args: Args
    labels: tuple[str, ...]
    words: Literal["blanks", "tokenizer", "pieces"] = "tokenizer"
    """What a word of a text is: what stands between blanks, or what the tokenizer takes for one:
    that where the training's words have punctuation apart, as CoNLL's. For `of_pieces` each
    piece."""
    pad_token_id: int = 0
    columns: Columns = field(default_factory=dict, hash=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "token-classification"
    window_use = "and tags a word where it stands most central"
    pipeline = "token-classification"
    verb = "tag"
    has_language = True
    unit = "tokens"
    example_call = EXAMPLE_INPUT
    primary = metric_spec("f1")
    single_label = True  # each word has one
    of_rows = False  # a row may have several spans
    packs_windows = True
    pads_to_buckets = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}

    def input_of(self, text: str, processor: Any) -> Any:
        """Return a text as `inputs` takes it."""
        return text

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a text, for a card."""
        named = ", ".join(literal(name) for name in self.classes[:MOST_CLASSES])
        more = len(self.classes) - MOST_CLASSES
        return (
            f"Tags every word of a text, and so finds spans of {len(self.classes)} "
            f"type{'s'[: len(self.classes) != 1]}: {named}{f' and {more} more' * (more > 0)}."
        )

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source; the texts that come with us
        are English."""
        return python_literal(shlex.split(EXAMPLE_INPUT)[1]) if is_english else ""

    @cached_property
    def scheme(self) -> "TagScheme":
        """Return the scheme by which the tags make spans."""
        from tasks.metrics.spans import TagScheme

        return TagScheme(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The types of spans, in the order that the metric counts them."""
        return self.scheme.types

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
        }

    def bind_for_training(self, processor: Any, limit: int) -> "TokenClassification":
        """The task with its tokenizer, and `max_length`: the asked one, or the model's limit.

        Raises `UserError` where more is asked than the model takes.
        """
        length = resolve_max_length(self.args.max_length, limit, self.overlap)
        args = replace(self.args, max_length=length)
        pad_token_id = processor.pad_token_id or 0
        return replace(self, args=args, pad_token_id=pad_token_id, processor=processor)

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Token ids of one split, cached on disk by the content of its words."""
        from tasks.nlp.tagged_words import WordFeatures

        return WordFeatures.make(examples, self.processor, self.encoding())

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        import datasets

        from tasks.nlp import tagged_words, text_preflight

        texts = {
            name: datasets.Dataset.from_dict({"text": [" ".join(row) for row in split["tokens"]]})
            for name, split in examples.splits.items()
        }
        found = text_preflight.check_tokenized(
            datasets.DatasetDict(texts),
            ["text"],
            features,
            self.args.max_length,
            in_windows=self.args.long_texts == "window",
        )
        return found + list(tagged_words.check(examples.splits, self.scheme))

    def of_pieces(self) -> "TokenClassification":
        """See `tasks.base.TagsPieces`."""
        return replace(self, words="pieces")

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single text, and not a list of them."""
        return text_inputs.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or texts.

        Raises `UserError` for what is no text.
        """
        from tasks.nlp import tagged_words

        texts = [text_inputs.item(each, TEXT)["text"] for each in raw]
        columns = tagged_words.encode_words(texts, self.words, self.processor, **self.encoding())
        columns |= {"sample_id": list(range(len(texts))), "text": texts}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(texts))]

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Pads the windows of all rows to the longest, or to one of `tasks.buckets`, and words to
        the most that a row has.

        The inputs are input_ids, attention_mask (and token_type_ids) int64 [windows, seq]; the
        targets are lengths int64 [b] (words), starts int64 [b, words] (where a word's first piece
        stands in the flattened [windows * seq], -1 where there is none), labels int64 [b, words]
        where the rows have them (`IGNORED` behind the last word), and of texts `texts` and `words`.
        """
        return self.collate_arrays(rows, buckets).tensors()

    def collate_arrays(
        self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()
    ) -> Batch:
        """See `tasks.base.PredictsArrays`."""
        import numpy as np

        from tasks.nlp.tokenization import pad

        batch = pad(rows, self.pad_token_id, buckets=buckets)
        lengths = [len(row["word_positions"]) for row in rows]
        starts = np.full((len(rows), max(lengths)), -1, dtype=np.int64)
        labels = np.full_like(starts, IGNORED)
        window, seq = 0, batch.inputs["input_ids"].shape[1]
        for i, row in enumerate(rows):
            places = np.asarray(row["word_positions"], np.int64)
            there = (window + np.asarray(row["word_windows"], np.int64)) * seq + places
            starts[i, : lengths[i]] = np.where(places < 0, -1, there)
            if row.get("label") is not None:
                labels[i, : lengths[i]] = row["label"]
            window += len(row["input_ids"])
        targets: dict[str, Any] = {"lengths": np.array(lengths, np.int64), "starts": starts}
        if rows[0].get("label") is not None:
            targets["labels"] = labels
        if "text" in rows[0]:
            targets |= {"texts": [row["text"] for row in rows]}
            targets |= {"words": [row["words"] for row in rows]}
        return replace(batch, targets=targets)

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: "PackedShape") -> Batch:
        """See `tasks.packed.Packs`; the target is labels int64 [1, tokens], `IGNORED` where no word
        begins."""
        from tasks.nlp import packing, tagged_words

        labels = [window for row in rows for window in tagged_words.labels_of_tokens(row)]
        batch = packing.pack(rows, shape, self.pad_token_id)
        return replace(batch, targets=packing.of_tokens(labels, shape))

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Logits float32 [b, words, labels], of each word those of its first piece; of a packed
        batch [1, tokens, labels].

        Where the model was shown nothing of a word (behind the cut, or of no pieces), it is O.
        """
        from tasks import arrays
        from tasks.metrics.spans import OUTSIDE

        logits = super().forward(model, batch)["logits"]
        if "starts" not in batch.targets:  # packed
            return {"logits": logits}
        module, starts = arrays.module_of(logits), batch.targets["starts"]
        of_words = logits.reshape(-1, logits.shape[-1])[starts.clip(min=0)]
        nothing = module.full_like(logits[0, 0], NOT_SHOWN if OUTSIDE in self.labels else 0.0)
        if OUTSIDE in self.labels:
            nothing[self.labels.index(OUTSIDE)] = 0.0
        return {"logits": module.where((starts >= 0)[..., None], of_words, nothing)}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy summed over the words that the model was shown."""
        labels, logits = batch.targets["labels"], outputs["logits"]
        if "starts" not in batch.targets:  # packed
            return of_targets(logits.flatten(0, 1), labels.flatten(), label_smoothing)
        learned = (batch.targets["starts"] >= 0) & (labels != IGNORED)
        if logits.device.type != "cpu":  # how many they are would have to be waited for
            labels = labels.masked_fill(~learned, IGNORED)
            return of_targets(logits.flatten(0, 1), labels.flatten(), label_smoothing)
        loss, terms = cross_entropy(logits[learned], labels[learned], label_smoothing)
        return Loss(loss, learned.sum().float(), {}, terms)

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return what `tagged_words.random_tags` draws."""
        from tasks.nlp.tagged_words import random_tags

        return random_tags(inputs["attention_mask"], len(self.labels), seed)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> "list[TagsPrediction]":
        """The likeliest tag of each word, with its softmax probability."""
        from tasks import arrays

        outputs = self.forward(model, batch) if outputs is None else outputs
        probabilities = arrays.softmax(arrays.to_numpy(outputs["logits"]))
        lengths, given = batch.targets["lengths"], batch.targets
        tags = self._of_rows(probabilities.argmax(-1), lengths)
        scores = self._of_rows(probabilities.max(-1), lengths)
        texts: Sequence[str | None] = given.get("texts") or [None] * len(batch)
        words: Sequence[Words] = given.get("words") or [()] * len(batch)
        from tasks.nlp.tagged_words import TagsPrediction

        return list(map(TagsPrediction, tags, scores, texts, words))

    def references(self, batch: Batch) -> "list[np.ndarray]":
        """The tags of each row's words, int64 [words]."""
        return self._of_rows(batch.targets["labels"], batch.targets["lengths"])

    @staticmethod
    def _of_rows(values: Any, lengths: Any) -> "list[np.ndarray]":
        """Of values [b, words] those of each row's own words."""
        from tasks.arrays import to_numpy

        rows = zip(to_numpy(values), lengths.tolist(), strict=True)
        return [row[:length] for row, length in rows]

    def accumulator(self) -> "SpanMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.spans import SpanMetric

        return SpanMetric(self.labels)

    def update(self, accumulator: "SpanMetric", seen: "Evaluated[TagsPrediction]") -> None:
        """Add the predictions of a batch to an accumulator."""
        tags = [prediction.tags for prediction in seen.predictions]
        accumulator.update(seen.batch.ids.cpu().numpy(), tags, seen.references)

    def confusion_matrix(self, accumulator: "SpanMetric") -> "np.ndarray":
        """Counts int64 [labels, labels] of words by tag, rows the truth."""
        return accumulator.confusion_matrix()

    def top_confusions(self, accumulator: "SpanMetric") -> list[tuple[str, str, int]]:
        """Tags and what they were taken for, the most frequent first."""
        matrix = accumulator.confusion_matrix()
        pairs = [
            (self.labels[i], self.labels[j], int(matrix[i, j]))
            for i, j in zip(*matrix.nonzero(), strict=True)
            if i != j
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def errors(self, seen: "Evaluated[TagsPrediction]") -> "Sequence[WrongPrediction]":
        """Return the wrong tag of highest loss of each text; its truth has the word's number."""
        logits, ids, found = seen.outputs["logits"], seen.batch.ids.tolist(), []
        losses = -logits.log_softmax(-1).cpu().numpy()
        for i, (guess, truth) in enumerate(zip(seen.predictions, seen.references, strict=True)):
            (wrong,) = (guess.tags != truth).nonzero()
            if len(wrong):
                own = losses[i, wrong, truth[wrong]]
                word = int(wrong[own.argmax()])
                name = f"{self.labels[truth[word]]} (word {word + 1})"
                tag, score = int(guess.tags[word]), float(logits[i, word].softmax(-1).max())
                found.append((float(own.max()), ids[i], name, self.labels[tag], score))
        return found

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return " ".join(example["tokens"])

    def to_json(self, prediction: "TagsPrediction", top_k: int | None = None) -> dict[str, Any]:
        """Spans for people, in their order: label, score (the mean of its words' probabilities),
        start and end (characters of the text), and text; of `of_pieces` each piece with its tag.
        `top_k` changes nothing.

        With BIO tags they are those of transformers' pipeline with aggregation_strategy="first".
        """
        from tasks.nlp import tagged_words

        if self.words == "pieces":
            return {"pieces": tagged_words.tagged(prediction, self.labels)}
        return {"spans": tagged_words.spans_of(prediction, self.scheme)}
