"""Causal language modelling: each token of a text is guessed from those before it.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2). A document is
read from its beginning to its end, both of which are a token (`tasks.nlp.documents`); no token sees
another document, wherever documents lie in a batch. Of prompts with completions, and of chats, what
is answered is learned alone, with its end (`tasks.nlp.answers`); a chat is written by the chat
template of the tokenizer (`tasks.nlp.chat_template`).

The main metric is bits per byte: the negative logarithm to base 2 of the probability that the model
gives all that is learned, ends included, over the bytes of its text in UTF-8. It does not depend on
the tokenizer, as perplexity does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count
from tasks.data.source import DataArgs, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED
from tasks.metrics.spec import metric_spec
from tasks.nlp import prompts, text_forms, text_inputs, token_losses
from tasks.nlp.cleaning import cleaned, described
from tasks.nlp.text_forms import Form, FormArgs
from tasks.nlp.text_inputs import Columns
from tasks.nlp.text_lengths import resolve_max_length
from tasks.nlp.token_losses import GuessedTokens, apart
from tasks.nlp.writing import Continuation, GrowingText, Writing, WritingArgs, behind
from tasks.writes import Draft, Grows, written

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
QUESTION = "What is a package?"
"""What a model that answers is asked in examples."""
USUAL_LENGTH = 1024
"""Tokens of a piece where the model takes more, unless more are asked for."""


@dataclass(frozen=True)
class Args(FormArgs):
    """How texts are read."""

    max_length: Count | None = None
    """tokens that the model sees at once; a longer document is read in pieces, and a longer chat
    loses its end. The model's own limit by default, but at most 1,024"""


@dataclass(frozen=True)
class Inputs(WritingArgs):
    """What is to be gone on with, and how."""

    prompt: tuple[str, ...] = ()
    """texts to go on with; an empty one ("") begins a new text"""
    file: Path | None = None
    """file of prompts: csv, tsv, xlsx, json, jsonl or parquet with a column prompt or text, or of
    chats messages, whose other columns are kept, or a line a prompt; a folder of texts; - or
    nothing reads standard input"""
    text_column: str | None = None
    """column of the prompts in a table"""
    interactive: bool = False
    """read prompts from the terminal, one a line, and go on with each at once"""
    draft: Path | None = None
    """folder of a smaller checkpoint with the same tokenizer, which guesses tokens ahead: the same
    texts, sooner where it often guesses right"""
    chat: Literal["auto", "on", "off"] = "auto"
    """on: a prompt is what a user says, put into the tokenizer's chat template; off: it is taken as
    it stands; auto: as the model was trained"""


def from_data(args: Args, data: DataArgs) -> tuple["CausalLM", Examples]:
    """Return the task and its examples, in the form that the columns of the data have
    (`tasks.nlp.text_forms`), with missing splits cut. Labels are dropped.

    Raises `UserError` where there is nothing to learn from, or to train on.
    """
    source, splits, columns = text_forms.load(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, None, data), data)
    if text_forms.form_of(columns) == "completions":
        args = replace(args, separator=text_forms.separator_of(args, splits["train"]))
    task = CausalLM(args, columns=columns)
    where = source.name, source.fingerprint, source.rows
    return task, Examples(splits, *where, cleaned=source.cleaned)


def for_evaluation(
    task: "CausalLM", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, _ = text_forms.load(task.args, data, task.columns)
    chosen, splits = choose_split(source, splits, None, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen]})
    return Examples(only, source.name, source.fingerprint)


def for_prediction(task: "CausalLM", inputs: Inputs) -> "CausalLM":
    """Return the task as `predict` was asked to use it."""
    from tasks.nlp.constrained import schema_of

    given = {each.name: getattr(inputs, each.name) for each in fields(WritingArgs)}
    if inputs.json_schema is not None:  # of a person, whose files may be read
        given["json_schema"] = schema_of(inputs.json_schema)
    return replace(task.writing_as(**given), chat=inputs.chat)


def read_inputs(
    inputs: Inputs, task: "CausalLM", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `prompt` or `messages`, and a table's other columns; see
    `tasks.nlp.prompts.read`."""
    if inputs.prompt and inputs.file:
        raise UserError("give `prompt` or `file`, not both")
    found: Iterator[Mapping[str, Any]]
    if inputs.prompt:
        found = ({"prompt": text_inputs.argument(one, "`prompt`")} for one in inputs.prompt)
    else:
        found = prompts.read(inputs.file, inputs.text_column, task.columns, task.is_chat, stack)
    return ({**item, "between": task.between} for item in found) if task.between else found


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """Return an input as the columns of a prediction."""
    return {"prompt": item["prompt"]}


def from_config(config: Mapping[str, Any]) -> "CausalLM":
    """Return the task a checkpoint was trained on, from what `CausalLM.config` recorded."""
    special = (config["begin"], config["end"], config["pad_token_id"])
    return CausalLM(Args(**config["args"]), *special, columns=config["columns"])


@dataclass(frozen=True)
class CausalLM(Bindable):
    """The task with what the tokenizer told of it. Satisfies `tasks.base.Task`."""

    args: Args
    begin: int = 0  # the token that every document begins with, and is not guessed
    end: int = 0  # the token that ends it, or of chats an answer
    pad_token_id: int = 0
    columns: Columns = field(default_factory=dict, hash=False)
    writing: Writing = field(default=Writing(), compare=False)
    chat: Literal["auto", "on", "off"] = field(default="auto", compare=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "text-generation"
    pipeline = "text-generation"
    unit = "tokens"
    verb = "write"
    has_language = True
    primary = metric_spec("bits_per_byte")
    packs_windows = True
    pads_to_buckets = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}
    labels: tuple[str, ...] = field(default=(), init=False)

    @property
    def form(self) -> Form:
        """Return the form of what was learned."""
        return text_forms.form_of(self.columns)

    @property
    def example_call(self) -> str:
        """Return example flags of `predict`."""
        flag, _, _ = EXAMPLE_INPUT.partition(" ")
        return f'{flag} "{QUESTION}"' if self.form == "chats" else EXAMPLE_INPUT

    @property
    def is_chat(self) -> bool:
        """Return whether a prompt is what a user says in a chat."""
        return self.chat == "on" or (self.chat == "auto" and self.form == "chats")

    @property
    def between(self) -> str:
        """Return what stands between a prompt and its answer where both are shown."""
        if self.is_chat:
            return "\n"
        asks = self.form == "completions" and self.chat != "off"
        return self.args.separator or "" if asks else ""

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a text, for a card."""
        does = "Answers in chats" if self.form == "chats" else "Goes on with a text"
        return f"{does}, token by token. What it writes need not be true."

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        said = '"This package provides"'
        if self.form == "chats":
            said = f'[{{"role": "user", "content": "{QUESTION}"}}]'
        return f"{said}, max_new_tokens=40" if is_english else ""

    def input_of(self, text: str, processor: Any) -> str:
        """Return a text as a prompt."""
        return text

    def describe_lengths(self) -> str:
        """Return how many tokens are read, and what became of longer texts, for a card."""
        said = f"Sees {self.args.max_length} tokens at once, prompt and what it writes together."
        cut = {
            "documents": "Longer documents of the training were read in pieces.",
            "completions": "Completions were learned alone, and bits per byte count theirs.",
            "chats": "The assistant's turns were learned alone, and bits per byte count theirs.",
        }[self.form]
        if self.args.train_on_prompt:
            cut = "Prompts were learned, too, and bits per byte count all."
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

        Raises `UserError` where more is asked than the model takes, or nothing ends a text.
        """
        from tasks.nlp import chat_template

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
            end=chat_template.turn_end(processor).token if self.form == "chats" else end,
            pad_token_id=end if pad is None else pad,
            processor=processor,
        )

    def writing_as(self, **settings: Any) -> Self:
        """Return the task with some settings of `Writing` changed (`tasks.writes.Writes`)."""
        return replace(self, writing=self.writing.changed(settings))

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the pieces of the texts of one split, cached on disk; what of prompts and chats is
        cut off or left out is said on standard error."""
        from tasks.nlp.answers import AnswerFeatures, encoding_of
        from tasks.nlp.documents import DocumentFeatures

        encoding = {"window": self.args.max_length, "begin": self.begin, "end": self.end}
        if self.form == "documents":
            return DocumentFeatures.make(examples, self.processor, encoding)
        more = encoding_of(self.form, self.processor, self.args)
        found = AnswerFeatures.make(examples, self.processor, encoding | more)
        found.tell(self.args.max_length or 0)
        return found

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import answer_preflight, text_preflight

        if self.form != "documents":
            return answer_preflight.check(
                examples.splits, self.form, self.processor.all_special_tokens
            )
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
        """Return whether an input is a single prompt or chat, and not a list of them."""
        return prompts.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows for `collate` from what `read_inputs` gives, prompts, or chats (see
        `tasks.nlp.prompts.of`).

        Raises `UserError` for what is no text, or leaves no room in the model's context.
        """
        from tasks.nlp.tokenization import whole

        longest = self.longest()
        given = [prompts.of(each) for each in raw]
        texts = [self._text(each) for each in given]
        rows = []
        for i, (prompt, ids) in enumerate(zip(given, whole(texts, self.processor), strict=True)):
            tokens = ids if self._is_rendered(prompt) else [self.begin, *ids]
            if len(tokens) >= longest:
                raise prompts.too_long(prompt, len(ids), longest)
            rows.append({"sample_id": i, "input_ids": [tokens]})
        return rows

    def _is_rendered(self, given: Any) -> bool:
        """Return whether an input goes through the chat template, which writes its beginning."""
        return self.is_chat or not isinstance(given, str)

    def _text(self, given: Any) -> str:
        """Return the text that the model sees of a prompt or chat."""
        from tasks.nlp import chat_template

        if not self._is_rendered(given):
            return cleaned(given, self.args.clean) + self.between
        chat = [{"role": "user", "content": given}] if isinstance(given, str) else given
        return chat_template.render(self.processor, chat, "the chat", asks=True)

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Pad pieces, or prompts, on the right to the longest, or to one of `tasks.buckets`.

        The inputs are input_ids, attention_mask int64 [b, seq]. Of pieces the targets are labels
        int64 [b, seq], at each place the token behind it (`IGNORED` where it is not learned), and
        bytes and documents int64 [b].
        """
        from tasks.nlp import causal_batches
        from tasks.nlp.tokenization import pad

        if not rows or "bytes" not in rows[0]:
            return pad(rows, self.pad_token_id, buckets=buckets).tensors()
        return causal_batches.padded(rows, self.pad_token_id, buckets)

    def collate_arrays(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """See `tasks.base.PredictsArrays`; of prompts."""
        from tasks.nlp.tokenization import pad

        return pad(rows, self.pad_token_id)

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: "PackedShape") -> Batch:
        """See `tasks.packed.Packs`; the targets are labels int64 [1, tokens]."""
        from tasks.nlp import causal_batches

        return causal_batches.packed(rows, shape, self.pad_token_id)

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return logits float32 [b, seq, vocabulary].

        Of an evaluation, which has labels and no gradient, what they are worth alone; see
        `tasks.nlp.token_losses.measured`.
        """
        import torch

        if "labels" not in batch.targets or torch.is_grad_enabled():
            return super().forward(model, batch)
        return token_losses.measured(model, batch, len(self.processor))

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the cross entropy summed over tokens, and their number."""
        return token_losses.cross_entropy(outputs, batch, label_smoothing)

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

    def write(self, model: Any, batch: Batch) -> "Iterator[Sequence[Grows]]":
        """Yield what is written behind each prompt, after every token (`tasks.writes.Writes`).

        What is drawn follows from the seed and the prompt: not from its batch.

        Raises `UserError` where what runs the model can't write.
        """
        write: WritesTokens | None = getattr(model, "write", None)
        if write is None:
            raise UserError("this deployment writes no text: use `deployment` eager or onnx")
        rows = zip(batch.inputs["input_ids"], batch.inputs["attention_mask"] != 0, strict=True)
        yield from written(self, write, [row[known].tolist() for row, known in rows])

    def special_tokens(self) -> tuple[tuple[int, ...], int]:
        """Return the tokens that end a text, and the one that pads (`tasks.writes.Writes`)."""
        return tuple({self.end, self.processor.eos_token_id}), self.pad_token_id

    def longest(self) -> int:
        """Return the tokens of a prompt and its text at most (`tasks.writes.Writes`)."""
        assert self.args.max_length is not None, "bind_for_training() decides it"
        return self.args.max_length

    def prompt_in(self, row: Mapping[str, Any]) -> str | None:
        """Return what a user would ask with a row of the examples (`tasks.writes.Writes`)."""
        return prompts.in_row(row)

    def opening(self, row: Mapping[str, Any], new_tokens: int) -> tuple[str, str] | None:
        """Return a prompt out of a row, and what follows it there (`tasks.writes.Writes`)."""
        from tasks.nlp.tokenization import beginning, whole

        found = prompts.opening(row, self.processor, self.longest())
        if found is None:
            return None
        [ids] = whole([self._text(found[0])], self.processor)
        if 1 + len(ids) + new_tokens > self.longest():
            return None
        return found[0], beginning(found[1], self.processor, new_tokens)

    def most_characters(self) -> int:
        """Return the characters of a prompt at most (`tasks.writes.Writes`): so many of the longest
        token of the vocabulary, each with a blank, which some tokenizers leave out."""
        return self.longest() * (1 + max(map(len, self.processor.get_vocab())))

    def as_it_stands(self) -> Self:
        """Return the task without chat template (`tasks.writes.Writes`)."""
        return replace(self, chat="off")

    def draft(self, prompt: Sequence[int]) -> Draft:
        """Return what is to be written behind a prompt (`tasks.writes.Writes`)."""
        limit = min(self.writing.max_new_tokens, self.longest() - len(prompt))
        text = GrowingText(behind(prompt[-1], self._decode), self.writing.stop, limit)
        return Draft(prompt, limit, prompts.number_of(prompt), text)

    def settings(self) -> Mapping[str, Any]:
        """Return how tokens are chosen (`tasks.writes.Writes`)."""
        return self.writing.settings_for(self.processor)

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
        token_losses.count(accumulator, seen)

    def errors(self, seen: Evaluated[GuessedTokens]) -> "list[WrongPrediction]":
        """Return of each piece the wrong guess at the least likely token; see
        `WrongPrediction`."""
        return token_losses.worst_guesses(seen, self._token)

    def _token(self, token: int) -> str:
        """Return a token as people read it."""
        return "(end)" if token == self.end else self._decode([token])

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """Return an example in one line of a table."""
        return text_forms.shown(self.form, example)

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
