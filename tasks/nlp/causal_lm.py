"""Causal language modelling: each token of a document is guessed from those before it.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2). A document is
read from its beginning to its end, both of which are a token (`tasks.nlp.documents`); no token sees
another document, wherever documents lie in a batch.

The main metric is bits per byte: the negative logarithm to base 2 of the probability that the model
gives all documents, their ends included, over the bytes of their text in UTF-8. It does not depend
on the tokenizer, as perplexity does.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count
from tasks.data.columns import find_column, names_of
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.source import load as load_source
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED, of_targets
from tasks.metrics.spec import metric_spec
from tasks.nlp import text_inputs
from tasks.nlp.cleaning import CleanArgs, cleaned, cleaned_splits, described
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns
from tasks.nlp.text_lengths import resolve_max_length
from tasks.nlp.token_losses import MOST_LOGITS, apart, measured
from tasks.nlp.writing import Continuation, GrowingText, Writing, WritingArgs, behind

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.documents import DocumentMetric
    from tasks.packed import PackedShape
    from tasks.preflight import Finding
    from tasks.writes import WritesTokens

EXAMPLE_INPUT = '--prompt "This package provides"'
COLUMNS = (*TEXT_COLUMNS[:1], "document", "article", "body", "description", *TEXT_COLUMNS[1:])
"""Usual names of the column of documents."""
PROMPTS = ("prompt", *TEXT_COLUMNS)
USUAL_LENGTH = 1024
"""Tokens of a piece where the model takes more, unless more are asked for."""


@dataclass(frozen=True)
class Args(CleanArgs):
    """How documents are read."""

    text_column: str | None = None
    """column of the documents; found by itself where it has a usual name"""
    max_length: Count | None = None
    """tokens that the model sees at once; a longer document is read in pieces. The model's own
    limit by default, but at most 1,024"""


@dataclass(frozen=True)
class Inputs(WritingArgs):
    """What is to be gone on with, and how."""

    prompt: tuple[str, ...] = ()
    """texts to go on with; an empty one ("") begins a new text"""
    file: Path | None = None
    """file of prompts: csv, tsv, xlsx, json, jsonl or parquet with a column prompt or text, whose
    other columns are kept, or a line a prompt; a folder of texts; - or nothing reads standard
    input"""
    text_column: str | None = None
    """column of the prompts in a table"""
    interactive: bool = False
    """read prompts from the terminal, one a line, and go on with each at once"""
    draft: Path | None = None
    """folder of a smaller checkpoint with the same tokenizer, which guesses tokens ahead: the same
    texts, sooner where it often guesses right"""


def from_data(args: Args, data: DataArgs) -> tuple["CausalLM", Examples]:
    """Return the task and its examples: the documents found as the column text, and missing splits
    cut. Labels are dropped.

    Raises `UserError` where there is no column of documents, or nothing to train on.
    """
    source, splits, columns = _canonical(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, None, data), data)
    task = CausalLM(args, columns=columns)
    where = source.name, source.fingerprint, source.rows
    return task, Examples(splits, *where, cleaned=source.cleaned)


def for_evaluation(
    task: "CausalLM", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, _ = _canonical(task.args, data, task.columns)
    chosen, splits = choose_split(source, splits, None, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen]})
    return Examples(only, source.name, source.fingerprint)


def _canonical(
    args: Args, data: DataArgs, known: Columns | None = None
) -> "tuple[Source, datasets.DatasetDict, Columns]":
    """Return the data with its documents as `text`, and what that column is called.

    `known` are the columns of the training, where the data may be other than that.
    """
    from tasks.nlp import documents
    from tasks.nlp.embedded import docstrings

    source = load_source(data, docstrings.load, documents.load)
    names = names_of(source.splits)
    if known:
        text, _ = text_inputs.text_columns(names, source.name, known, usual=COLUMNS)
    else:
        text = find_column(names, args.text_column, COLUMNS, "text", source.name)
    splits, counts = cleaned_splits(canonical(source, text), args.clean, source.name)
    columns: Columns = {"text": text, "text_pair": None}
    return replace(source, cleaned=counts), splits, columns


def for_prediction(task: "CausalLM", inputs: Inputs) -> "CausalLM":
    """Return the task as `predict` was asked to use it."""
    names = (each.name for each in fields(WritingArgs))
    return task.writing_as(**{name: getattr(inputs, name) for name in names})


def read_inputs(
    inputs: Inputs, task: "CausalLM", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `prompt`, and a table's other columns; see
    `tasks.nlp.text_inputs.read`."""
    if inputs.prompt and inputs.file:
        raise UserError("give `prompt` or `file`, not both")
    if inputs.prompt:
        return ({"prompt": text_inputs.argument(one, "`prompt`")} for one in inputs.prompt)
    asked = text_inputs.Inputs(file=inputs.file, text_column=inputs.text_column)
    read = text_inputs.read(asked, {}, stack, usual=PROMPTS)
    return ({"prompt": item["text"]} | _others(item) for item in read)


def _others(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"others": item["others"]} if "others" in item else {}


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """Return an input as the columns of a prediction."""
    return {"prompt": item["prompt"]}


def from_config(config: Mapping[str, Any]) -> "CausalLM":
    """Return the task a checkpoint was trained on, from what `CausalLM.config` recorded."""
    special = (config["begin"], config["end"], config["pad_token_id"])
    return CausalLM(Args(**config["args"]), *special, columns=config["columns"])


@dataclass(frozen=True, eq=False)
class GuessedTokens:
    """The likeliest token at each place of a piece of a document."""

    tokens: "np.ndarray"  # int64 [tokens]


@dataclass(frozen=True)
class CausalLM(Bindable):
    """The task with what the tokenizer told of it. Satisfies `tasks.base.Task`."""

    args: Args
    begin: int = 0  # the token that every document begins with, and is not guessed
    end: int = 0  # the token that ends it
    pad_token_id: int = 0
    columns: Columns = field(default_factory=dict, hash=False)
    writing: Writing = field(default=Writing(), compare=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "text-generation"
    pipeline = "text-generation"
    unit = "tokens"
    verb = "write"
    has_language = True
    example_call = EXAMPLE_INPUT
    primary = metric_spec("bits_per_byte")
    packs_windows = True
    pads_to_buckets = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}
    labels: tuple[str, ...] = field(default=(), init=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a text, for a card."""
        return "Goes on with a text, token by token. What it writes need not be true."

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        return '"This package provides", max_new_tokens=40' if is_english else ""

    def input_of(self, text: str, processor: Any) -> str:
        """Return a text as a prompt."""
        return text

    def describe_lengths(self) -> str:
        """Return how many tokens are read, and what became of longer texts, for a card."""
        length = self.args.max_length
        said = f"Sees {length} tokens at once, prompt and what it writes together."
        cut = "Longer documents of the training were read in pieces."
        return f"{said} {cut} {described(self.args.clean)}".rstrip()

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        special = {"begin": self.begin, "end": self.end, "pad_token_id": self.pad_token_id}
        return {"args": asdict(self.args), **special, "columns": dict(self.columns)}

    def model_config(self) -> dict[str, Any]:
        """Return the fields of a transformers config that this task sets: none."""
        return {}

    def bind_for_training(self, processor: Any, limit: int) -> "CausalLM":
        """Return the task with its tokenizer, and the longest piece and the special tokens decided.

        Raises `UserError` where more is asked than the model takes, or the tokenizer has no end.
        """
        end = processor.eos_token_id
        if end is None:
            raise UserError(
                "this model's tokenizer has no end token, so no text would ever end: set eos_token "
                "in its tokenizer_config.json"
            )
        begin, pad = processor.bos_token_id, processor.pad_token_id
        asked = self.args.max_length or min(limit, USUAL_LENGTH)
        return replace(
            self,
            args=replace(self.args, max_length=resolve_max_length(asked, limit)),
            begin=end if begin is None else begin,
            end=end,
            pad_token_id=end if pad is None else pad,
            processor=processor,
        )

    def writing_as(self, **settings: Any) -> Self:
        """Return the task with some settings of `Writing` changed (`tasks.writes.Writes`)."""
        return replace(self, writing=self.writing.changed(settings))

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the pieces of the documents of one split, cached on disk."""
        from tasks.nlp.documents import DocumentFeatures

        encoding = {"window": self.args.max_length, "begin": self.begin, "end": self.end}
        return DocumentFeatures.make(examples, self.processor, encoding)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import text_preflight

        length = self.args.max_length
        return text_preflight.check_tokenized(
            examples.splits, ["text"], features, length, in_windows=True
        )

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return `labels` int64 [b, seq], to measure training with: at each place the token that is
        given at the next, and behind the last one the end."""
        labels = inputs["input_ids"].roll(-1, 1)
        labels[:, -1] = self.end
        mask = inputs.get("attention_mask")
        return {"labels": labels if mask is None else labels.masked_fill(mask == 0, IGNORED)}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single prompt, and not a list of them."""
        return text_inputs.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows for `collate` from what `read_inputs` gives, or prompts.

        Raises `UserError` for what is no text, or leaves no room in the model's context.
        """
        from tasks.nlp.tokenization import whole

        assert self.args.max_length is not None, "bind_for_training() decides it"
        prompts = [cleaned(_prompt(each), self.args.clean) for each in raw]
        rows = []
        for i, (prompt, ids) in enumerate(
            zip(prompts, whole(prompts, self.processor), strict=True)
        ):
            if len(ids) + 1 >= self.args.max_length:
                shown = prompt if len(prompt) <= 60 else f"{prompt[:60]}..."
                raise UserError(
                    f"the prompt {shown!r} has {len(ids):,} tokens, and what this model sees at "
                    f"once, the text that it writes included, are {self.args.max_length:,} with "
                    "the beginning: shorten the prompt"
                )
            rows.append({"sample_id": i, "input_ids": [[self.begin, *ids]]})
        return rows

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Pad pieces, or prompts, on the right to the longest, or to one of `tasks.buckets`.

        The inputs are input_ids, attention_mask int64 [b, seq]. Of pieces the targets are labels
        int64 [b, seq], at each place the token behind it (`IGNORED` at padding), and bytes and
        documents int64 [b].
        """
        import torch

        from tasks.nlp.tokenization import pad

        if not rows or "bytes" not in rows[0]:
            return pad(rows, self.pad_token_id, buckets=buckets).tensors()
        given = [{**row, "input_ids": [piece[:-1] for piece in row["input_ids"]]} for row in rows]
        batch = pad(given, self.pad_token_id, buckets=buckets).tensors()
        labels = torch.full_like(batch.inputs["input_ids"], IGNORED)
        for place, row in zip(labels, rows, strict=True):
            [piece] = row["input_ids"]
            place[: len(piece) - 1] = torch.tensor(piece[1:])
        numbers = {
            "bytes": torch.tensor([row["bytes"] for row in rows]),
            "documents": torch.tensor([row["document"] for row in rows]),
        }
        return replace(batch, targets={"labels": labels, **numbers})

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: "PackedShape") -> Batch:
        """See `tasks.packed.Packs`; the targets are labels int64 [1, tokens]."""
        from tasks.nlp import packing

        pieces = [piece for row in rows for piece in row["input_ids"]]
        given = [{**row, "input_ids": [piece[:-1] for piece in row["input_ids"]]} for row in rows]
        batch = packing.pack(given, shape, self.pad_token_id)
        return replace(batch, targets=packing.of_tokens([piece[1:] for piece in pieces], shape))

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return logits float32 [b, seq, vocabulary].

        Of an evaluation, which has labels and no gradient, what they are worth alone: `loss`, of
        the true token, `guess`, the likeliest one, and `score`, its log probability, [b, seq] each.
        All logits of a batch would fill the memory.
        """
        import torch

        if "labels" not in batch.targets or torch.is_grad_enabled():
            return super().forward(model, batch)
        rows, tokens = batch.inputs["input_ids"].shape
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        if alone:  # sharded weights want as many passes in every process
            rows = max(1, MOST_LOGITS // (tokens * len(self.processor)))
        return measured(model, batch, rows)

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the cross entropy summed over tokens, and their number."""
        labels = batch.targets["labels"]
        if "loss" in outputs:
            terms = outputs["loss"]
            return Loss(terms.sum(), (labels != IGNORED).sum().float(), {}, terms)
        logits = outputs["logits"].flatten(0, 1)
        found = of_targets(logits, labels.flatten(), label_smoothing)
        each = None if found.terms is None else found.terms.view(labels.shape)
        return replace(found, terms=each)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> Sequence[GuessedTokens | Continuation]:
        """Return the text behind each prompt as the model writes it; of pieces, whose tokens are
        known, the likeliest token at each place."""
        if "labels" in batch.targets:
            outputs = self.forward(model, batch) if outputs is None else outputs
            guess = outputs["guess"] if "guess" in outputs else outputs["logits"].argmax(-1)
            return [GuessedTokens(tokens) for tokens in apart(guess, batch)]
        *_, texts = self.write(model, batch)
        return [Continuation(text.text, text.finish_reason or "length") for text in texts]

    def write(self, model: Any, batch: Batch) -> "Iterator[Sequence[GrowingText]]":
        """Yield what is written behind each prompt, after every token (`tasks.writes.Writes`).

        What is drawn follows from the seed and the prompt: not from its batch.

        Raises `UserError` where what runs the model can't write.
        """
        write: WritesTokens | None = getattr(model, "write", None)
        if write is None:
            raise UserError("this deployment writes no text yet: use `deployment` eager")
        mask = batch.inputs["attention_mask"].bool()
        rows = zip(batch.inputs["input_ids"], mask, strict=True)
        prompts = [row[known].tolist() for row, known in rows]
        assert self.args.max_length is not None, "bind_for_training() decides it"
        asked = self.writing
        limits = [min(asked.max_new_tokens, self.args.max_length - len(ids)) for ids in prompts]
        texts = [
            GrowingText(behind(ids[-1], self._decode), asked.stop, limit)
            for ids, limit in zip(prompts, limits, strict=True)
        ]
        special = ((self.end,), self.pad_token_id)
        numbers = [_number(ids) for ids in prompts]
        settings = asked.settings_for(self.processor)
        for tokens in write(prompts, limits, special, numbers, settings):
            for text, token in zip(texts, tokens.tolist(), strict=True):
                text.add(token if token >= 0 else None)
            yield texts
            if all(text.finish_reason for text in texts):
                return
        for text in texts:  # all have ended with the last token
            text.add(None)
        yield texts

    def _decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without special ones."""
        text: str = self.processor.backend_tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def references(self, batch: Batch) -> "list[np.ndarray]":
        """Return the true tokens of each piece, int64 [tokens]."""
        return apart(batch.targets["labels"], batch)

    def accumulator(self) -> "DocumentMetric":
        """Return an empty accumulator of bits per byte and token accuracy."""
        from tasks.metrics.documents import DocumentMetric
        from tasks.metrics.ratios import Ratio

        return DocumentMetric([Ratio("bits_per_byte", 0, 1), Ratio("token_accuracy", 2, 3)])

    def update(self, accumulator: "DocumentMetric", seen: Evaluated[GuessedTokens]) -> None:
        """Count a batch."""
        import numpy as np

        assert seen.loss.terms is not None, "nothing is smoothed where it is measured"
        targets = seen.batch.targets
        pairs = list(zip(seen.predictions, seen.references, strict=True))
        sums = [
            seen.loss.terms.double().sum(1).cpu().numpy() / math.log(2),
            targets["bytes"].cpu().numpy(),
            [int((guess.tokens == truth).sum()) for guess, truth in pairs],
            [len(truth) for _, truth in pairs],
        ]
        ids, numbers = (one.cpu().numpy() for one in (seen.batch.ids, targets["documents"]))
        accumulator.count(ids, np.stack(sums, axis=1), numbers)

    def errors(self, seen: Evaluated[GuessedTokens]) -> "list[WrongPrediction]":
        """Return of each piece the wrong guess at the least likely token; see
        `WrongPrediction`."""
        assert seen.loss.terms is not None, "nothing is smoothed where it is measured"
        pairs = zip(seen.predictions, seen.references, strict=True)
        losses = apart(seen.loss.terms, seen.batch)
        scores = apart(seen.outputs["score"].exp(), seen.batch)
        found: list[WrongPrediction] = []
        for row, (guess, truth), own, score in zip(
            seen.batch.ids.tolist(), pairs, losses, scores, strict=True
        ):
            wrong = (guess.tokens != truth).nonzero()[0]
            if len(wrong):
                i = int(wrong[own[wrong].argmax()])
                names = self._token(int(truth[i])), self._token(int(guess.tokens[i]))
                found.append((float(own[i]), row, *names, float(score[i])))
        return found

    def _token(self, token: int) -> str:
        """Return a token as people read it."""
        return "(end)" if token == self.end else self._decode([token])

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """Return an example in one line of a table."""
        return str(example["text"])

    def to_json(
        self, prediction: GuessedTokens | Continuation, top_k: int | None = None
    ) -> dict[str, Any]:
        """Return what is written as a mapping with `text` and `finish_reason`: "stop" where its end
        came, "length" where it is as long as it may be.

        Raises `UserError` where the best k are asked for: one text is written.
        """
        assert isinstance(prediction, Continuation), "pieces of documents are measured, not shown"
        if top_k is not None:
            raise UserError("`top_k`: this model writes one text", hint="give it to `write`")
        return asdict(prediction)


def _prompt(raw: Any) -> str:
    """Return a prompt of Python. Raises `UserError` for what is no text."""
    if isinstance(raw, Mapping) and "prompt" in raw:
        raw = raw["prompt"]
    text: str = text_inputs.item(raw, {"text": "text", "text_pair": None})["text"]
    return text


def _number(ids: Sequence[int]) -> int:
    """Return a number of a prompt for draws, which differ from prompt to prompt."""
    digest = hashlib.blake2b(" ".join(map(str, ids)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
