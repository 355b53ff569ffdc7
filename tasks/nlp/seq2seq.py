"""One text written from another: translations, summaries, and whatever pairs of texts show.

Sutskever et al. 2014, "Sequence to Sequence Learning with Neural Networks"; Raffel et al. 2020,
"Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (T5).

Training is teacher-forced: at each token the network is given the true ones before it, and the loss
is of its logits there. What counts is what it writes by itself: chrF, BLEU and ROUGE are of that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Bounded, Count
from tasks.data.columns import names_of
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.metrics.spec import metric_spec
from tasks.nlp import pair_columns, pair_files, text_inputs, token_losses
from tasks.nlp.cleaning import CleanArgs, cleaned, cleaned_splits, described
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns
from tasks.nlp.text_lengths import describe_cut, resolve_max_length
from tasks.printing import python_literal
from tasks.writes import Reason, WritesTargets, unwrapped

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.written_texts import WrittenTextMetric
    from tasks.preflight import Finding

EXAMPLE_INPUT = '--text "This package provides the documentation."'
USUAL_LENGTH = 512
"""Tokens of a source where the model takes more, unless more are asked for."""
USUAL_TARGET_LENGTH = 128
"""Tokens of a target, unless more are asked for."""


@dataclass(frozen=True)
class Args(CleanArgs):
    """How pairs of texts are read, and texts written."""

    source_column: str | None = None
    """column of the texts to read; found by itself where both have usual names"""
    target_column: str | None = None
    """column of the texts to write; found by itself where both have usual names"""
    source_prefix: str = ""
    """what stands before every source, as T5 wants it: "translate English to French: " """
    max_length: Count | None = None
    """most tokens of a source, its end included; what is behind them is not read. The model's own
    limit by default, but at most 512"""
    max_target_length: Count | None = None
    """most tokens of a target, its end included, in training and in what is written; 128 by
    default, or the model's limit"""
    num_beams: Count = 1
    """texts that are kept at once while one is written, of which the best is taken: in evaluations,
    and the default of predict. 1 takes the likeliest token each time; 4 costs four times as much"""


@dataclass(frozen=True)
class Inputs(Bounded):
    """What is to be read, and how is written."""

    text: tuple[str, ...] = ()
    """texts to write from"""
    file: Path | None = None
    """file of texts: csv, tsv, xlsx, json, jsonl or parquet with a column of sources, whose other
    columns are kept, or a line a text; a folder of texts; - or nothing reads standard input"""
    text_column: str | None = None
    """column of the sources in a table; that of the training by default"""
    max_new_tokens: Count | None = None
    """tokens that are written at most; as trained by default"""
    num_beams: Count | None = None
    """texts that are kept at once, of which the best is given; as trained by default"""


def from_data(args: Args, data: DataArgs) -> tuple["Seq2Seq", Examples]:
    """Return the task and its examples: sources as the column text, targets as text_pair, and
    missing splits cut.

    Raises `UserError` where a column is missing or which is which is not plain, or there is nothing
    to train on.
    """
    source, splits, columns = _canonical(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, None, data), data)
    where = source.name, source.fingerprint, source.rows
    return Seq2Seq(args, columns=columns), Examples(splits, *where, cleaned=source.cleaned)


def for_evaluation(
    task: "Seq2Seq", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, _ = _canonical(task.args, data, task.columns)
    chosen, splits = choose_split(source, splits, None, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen]})
    return Examples(only, source.name, source.fingerprint)


def without_data() -> "Seq2Seq":
    """Return the task of weights that write text as they are: nothing of it comes from data."""
    return Seq2Seq(Args())


def _canonical(
    args: Args, data: DataArgs, known: Columns | None = None
) -> "tuple[Source, datasets.DatasetDict, Columns]":
    """Return the data with its sources as `text` and its targets as `text_pair`, and what these
    columns are called.

    `known` are the columns of the training, where the data may be other than that.
    """
    from tasks.nlp.embedded import docstring_summaries

    source = pair_files.load(data, docstring_summaries.load)
    source = replace(source, splits=pair_columns.with_languages(source.splits))
    names = names_of(source.splits)
    if known:
        read, written = pair_columns.other_pair(names, source.name, known)
    else:
        asked = args.source_column, args.target_column
        read, written = pair_columns.find_pair(names, source.name, *asked)
    splits, counts = cleaned_splits(canonical(source, read, written), args.clean, source.name)
    columns: Columns = {"source": read, "target": written}
    return replace(source, cleaned=counts), splits, columns


def for_prediction(task: "Seq2Seq", inputs: Inputs) -> "Seq2Seq":
    """Return the task as `predict` was asked to use it.

    Raises `UserError` where more tokens are asked for than the model writes.
    """
    asked = inputs.max_new_tokens
    if asked is not None and asked > task.longest_text:
        raise UserError(
            f"`max_new_tokens` {asked}: this model was trained to write {task.longest_text} tokens "
            "at most"
        )
    beams = inputs.num_beams or task.num_beams
    return replace(task, num_beams=beams, new_tokens=asked or task.new_tokens)


def read_inputs(
    inputs: Inputs, task: "Seq2Seq", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `text`, and a table's other columns; see
    `tasks.nlp.text_inputs.read`."""
    asked = text_inputs.Inputs(inputs.text, (), inputs.file, inputs.text_column)
    known: Columns = {"text": task.columns.get("source"), "text_pair": None}
    usual = (*(pair[0] for pair in pair_columns.PAIRS), *pair_columns.DOCUMENTS)
    return text_inputs.read(asked, known, stack, usual=(*usual, *TEXT_COLUMNS))


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """Return an input as the columns of a prediction."""
    return {"source": item["text"]}


def from_config(config: Mapping[str, Any]) -> "Seq2Seq":
    """Return the task a checkpoint was trained on, from what `Seq2Seq.config` recorded."""
    special = (config["start"], config["end"], config["pad_token_id"])
    args = Args(**config["args"])
    length = args.max_target_length or USUAL_TARGET_LENGTH
    return Seq2Seq(args, length, *special, config["columns"], args.num_beams)


@dataclass(frozen=True)
class WrittenText:
    """The text that a model writes from a source."""

    text: str
    finish_reason: Reason
    source_cut: int = 0
    """tokens at the end of the source that were not read"""


@dataclass(frozen=True)
class Seq2Seq(Bindable):
    """The task with what the tokenizer told of it. Satisfies `tasks.base.Task`."""

    args: Args
    longest_text: int = USUAL_TARGET_LENGTH  # tokens of a target at most, its end included
    start: int = 0  # the token that what is written begins behind
    end: int = 0  # the token that ends it
    pad_token_id: int = 0
    columns: Columns = field(default_factory=dict, hash=False)
    num_beams: int = field(default=1, compare=False)
    new_tokens: int | None = field(default=None, compare=False)  # fewer than `longest_text`
    processor: Any = field(default=None, compare=False, repr=False)

    name = "text2text-generation"
    pipeline = "text2text-generation"  # the Hub's name; transformers 5 has no such pipeline
    unit = "tokens"
    verb = "write"
    has_language = True
    example_call = EXAMPLE_INPUT
    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    primary = metric_spec("chrf")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {
        "logits": "logits",
        "encoder_last_hidden_state": "hidden_state",
    }
    labels: tuple[str, ...] = field(default=(), init=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a text, for a card."""
        known = " and ".join(literal(str(self.columns.get(name))) for name in ("source", "target"))
        said = f"Writes a text from a text, as {known} of its training data show it."
        return f"{said} What it writes need not be true."

    def example_code(self, is_english: bool) -> str:
        """Return a source as Python source, with what stands before it."""
        text = "This package provides the documentation." if is_english else ""
        return python_literal(self.args.source_prefix + text) if text else ""

    def plain_code(self, where: str, is_english: bool) -> tuple[str, list[str]]:
        """Return Python source that runs a checkpoint (`tasks.writes.HasNoPipeline`)."""
        made = f"kind.from_pretrained({where}) for kind in (AutoTokenizer, {self.auto_class})"
        lines = [f"tokenizer, model = ({made})"]
        if source := self.example_code(is_english):
            lines.append(f'ids = model.generate(**tokenizer({source}, return_tensors="pt"))')
            lines.append("print(tokenizer.decode(ids[0], skip_special_tokens=True))")
        return f"AutoTokenizer, {self.auto_class}", lines

    def input_of(self, text: str, processor: Any) -> str:
        """Return a text as a source."""
        return text

    def given_tokens(self, rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return rows for `collate` that have `count` tokens of target each."""
        return [{**row, "labels": [self.end] * count} for row in rows]

    def describe_lengths(self) -> str:
        """Return how many tokens are read and written, for a card."""
        said = f"{describe_cut(self.args.max_length)} Writes {self.longest_text} tokens at most."
        prefix = self.args.source_prefix
        before = f" Before every source stands {prefix!r}; the zoo puts it there." if prefix else ""
        return f"{said}{before} {described(self.args.clean)}".rstrip()

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        special = {"start": self.start, "end": self.end, "pad_token_id": self.pad_token_id}
        return {"args": asdict(self.args), **special, "columns": dict(self.columns)}

    def model_config(self) -> dict[str, Any]:
        """Return the fields of a transformers config that this task sets: none."""
        return {}

    def bind_for_training(self, processor: Any, limit: int) -> "Seq2Seq":
        """Return the task with its tokenizer, and the longest texts and the special tokens decided.

        The tokenizer of a network to train has `decoder_start`, the token that what its network
        writes begins behind.

        Raises `UserError` where more is asked than the model takes, or the tokenizer lacks a token.
        """
        for name in ("eos", "pad"):
            if getattr(processor, f"{name}_token_id") is None:
                raise UserError(
                    f"this model's tokenizer has no {name}_token, which a text "
                    f"{'ends' if name == 'eos' else 'is padded'} with: set it in its "
                    "tokenizer_config.json"
                )
        args = self.args
        length = resolve_max_length(args.max_length or min(limit, USUAL_LENGTH), limit)
        written = args.max_target_length or min(limit, USUAL_TARGET_LENGTH)
        if written > limit:
            raise UserError(
                f"`max_target_length` {written} is more than the {limit} this model takes"
            )
        return replace(
            self,
            args=replace(args, max_length=length, max_target_length=written),
            longest_text=written,
            start=int(getattr(processor, "decoder_start", self.start)),
            end=int(processor.eos_token_id),
            pad_token_id=int(processor.pad_token_id),
            num_beams=args.num_beams,
            processor=processor,
        )

    def encoding(self) -> dict[str, Any]:
        """Return what decides, beside the tokenizer, how pairs become tokens."""
        lengths = {"max_length": self.args.max_length, "max_target_length": self.longest_text}
        return {**lengths, "prefix": self.args.source_prefix}

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the tokens of the pairs of one split, cached on disk."""
        from tasks.nlp.pair_features import PairFeatures

        return PairFeatures.make(examples, self.processor, self.encoding())

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import pair_preflight, text_preflight

        found = text_preflight.check_tokenized(
            examples.splits, ["text", "text_pair"], features, self.args.max_length
        )
        found += pair_preflight.check(examples.splits, features, self.longest_text)
        return sorted(found, key=lambda finding: finding.level != "error")

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return `labels` int64 [b, tokens], to measure training with: at each place what the
        decoder is given at the next."""
        labels = inputs["decoder_input_ids"].roll(-1, 1)
        labels[:, -1] = self.end
        return {"labels": labels}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single text, and not a list of them."""
        return text_inputs.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows for `collate` from what `read_inputs` gives, or texts; of a text that is
        longer than the model reads, `source_cut` tokens are left out.

        Raises `UserError` for what is no text.
        """
        from tasks.nlp.pair_features import encode_sources

        single: Columns = {"text": "text", "text_pair": None}
        items = [text_inputs.item(each, single) for each in raw]
        texts = [cleaned(each["text"], self.args.clean) for each in items]
        found = encode_sources(texts, self.processor, self.encoding())
        columns = zip(found["input_ids"], found["untruncated"], strict=True)
        return [
            {"sample_id": i, "input_ids": ids, "source_cut": max(0, length - len(ids[0]))}
            for i, (ids, length) in enumerate(columns)
        ]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Pad sources, and where the rows have them targets, on the right to the longest.

        The inputs are input_ids, attention_mask int64 [b, source tokens], and of pairs
        decoder_input_ids int64 [b, target tokens]: at each place the label before it. The targets
        are labels int64 [b, target tokens], `IGNORED` at padding, and but for training texts, the
        true ones as they are; of sources alone source_cut int64 [b].
        """
        import torch

        from tasks.nlp.tokenization import pad

        if not rows or "labels" not in rows[0]:
            return self.collate_arrays(rows).tensors()
        batch = pad(rows, self.pad_token_id).tensors()
        labels = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row["labels"]) for row in rows], batch_first=True, padding_value=IGNORED
        )
        given = labels.roll(1, 1)
        given[:, 0] = self.start
        forced = {"decoder_input_ids": given.masked_fill(given == IGNORED, self.pad_token_id)}
        texts = {"texts": [row["target"] for row in rows]} if "target" in rows[0] else {}
        targets = {"labels": labels, **texts}
        return replace(batch, inputs={**batch.inputs, **forced}, targets=targets)

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`; of sources."""
        import numpy as np

        from tasks.nlp.tokenization import pad

        cut = np.array([row.get("source_cut", 0) for row in rows], np.int64)
        return replace(pad(rows, self.pad_token_id), targets={"source_cut": cut})

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return teacher-forced logits float32 [b, target tokens, vocabulary].

        Of an evaluation, which has labels and no gradient, what they are worth alone; see
        `tasks.nlp.token_losses.measured`. Raises `UserError` where there is no text to force.
        """
        if "labels" not in batch.targets and "decoder_input_ids" not in batch.inputs:
            raise UserError(
                "this model writes its text token by token, so a source alone has no logits: ask "
                "for its prediction"
            )
        import torch

        if "labels" not in batch.targets or torch.is_grad_enabled():
            return super().forward(model, batch)
        return token_losses.measured(model, batch, len(self.processor))

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the cross entropy summed over the tokens of the targets, and their number."""
        found = token_losses.cross_entropy(outputs, batch, label_smoothing)
        return replace(found, terms=None if found.terms is None else found.terms.sum(1))

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[WrittenText]:
        """Return the text that the model writes of each source by itself.

        Raises `UserError` where what runs the model can't write.
        """
        write: WritesTargets | None = getattr(unwrapped(model), "write_targets", None)
        if write is None:
            raise UserError("this deployment writes no text: use `deployment` eager or onnx")
        sources = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
        limit = self.new_tokens or self.longest_text
        cut = batch.targets.get("source_cut")
        rows = write(sources, limit, self.num_beams)
        cuts = [0] * len(rows) if cut is None else cut.tolist()
        found = []
        for ids, left in zip(rows, cuts, strict=True):
            reason: Reason = "length" if len(ids) >= limit else "stop"
            found.append(WrittenText(self._text(ids), reason, left))
        return found

    def _text(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without special tokens."""
        text: str = self.processor.backend_tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def references(self, batch: Batch) -> list[str]:
        """Return the true text of each pair, as it stands in the data."""
        return list(batch.targets["texts"])

    def accumulator(self) -> "WrittenTextMetric":
        """Return an empty accumulator of chrF, BLEU and ROUGE."""
        from tasks.metrics.written_texts import WrittenTextMetric

        return WrittenTextMetric()

    def update(self, accumulator: "WrittenTextMetric", seen: Evaluated[WrittenText]) -> None:
        """Count a batch."""
        texts = [one.text for one in seen.predictions]
        accumulator.update(seen.batch.ids.cpu().numpy(), texts, seen.references)

    def errors(self, seen: Evaluated[WrittenText]) -> "list[WrongPrediction]":
        """Return texts that are not the true ones as (loss of the sample, its id, truth, text)."""
        assert seen.loss.terms is not None, "nothing is smoothed where it is measured"
        texts = [one.text for one in seen.predictions]
        columns = seen.loss.terms.tolist(), seen.batch.ids.tolist(), seen.references, texts
        return [row for row in zip(*columns, strict=True) if row[2] != row[3]]

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """Return an example in one line of a table."""
        return str(example["text"])

    def to_json(self, prediction: WrittenText, top_k: int | None = None) -> dict[str, Any]:
        """Return what is written as a mapping with `text`, `finish_reason` ("stop" where its end
        came, "length" where it is as long as it may be) and `source_cut`, the tokens at the end of
        the source that were not read.

        Raises `UserError` where the best k are asked for: one text is written.
        """
        if top_k is not None:
            raise UserError("`top_k`: this model writes one text", hint="leave it out")
        return asdict(prediction)
