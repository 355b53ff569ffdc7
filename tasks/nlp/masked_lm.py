"""Masked language modelling: texts without labels, of whose tokens some are hidden and guessed.

Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", section 3.1, without the next sentence; see `tasks.nlp.masking`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count, InnerShare
from tasks.data.columns import find_column, folded, names_of
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.source import load as load_source
from tasks.data.splits import must_have_train
from tasks.errors import UserError, shortened
from tasks.kinds.classification import LABEL_COLUMNS, stratified
from tasks.kinds.losses import IGNORED, cross_entropy, of_targets
from tasks.metrics.spec import metric_spec
from tasks.nlp import text_files, text_inputs
from tasks.nlp.cleaning import CleanArgs, cleaned, cleaned_splits, described
from tasks.nlp.text_columns import canonical
from tasks.nlp.text_inputs import TEXT_COLUMNS, Columns, Inputs
from tasks.nlp.text_lengths import describe_cut, resolve_max_length

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.masked import MaskedTokensMetric
    from tasks.nlp.masking import Vocabulary
    from tasks.packed import PackedShape
    from tasks.preflight import Finding

EXAMPLE_INPUT = '--text "the [MASK] of the function"'
SINGLE: Columns = {"text": "text", "text_pair": None}
TOP_K = 5  # guesses of a mask, as in transformers' pipeline
ONLY_PREDICTED = "computes_only_predicted"
"""Attribute of a model that takes `predicted`, int64 [masked]: places in the flattened batch
[b * seq]; its logits are then [masked, vocabulary] and not [b, seq, vocabulary]."""


@dataclass(frozen=True)
class Args(CleanArgs):
    """How texts are read and masked."""

    text_column: str | None = None
    """column of the text; found by itself where it has a usual name"""
    label_column: str | None = None
    """column of labels, if there are any: never learned from; missing splits are cut evenly by
    them, just as the classifier cuts them"""
    max_length: Count | None = None
    """longest text in tokens, special ones included; the model's own limit by default"""
    long_texts: Literal["truncate", "window"] = "window"
    """window: cut a long text in pieces and learn from all of them"""
    mlm_probability: InnerShare = 0.15
    """share of the tokens that are to be guessed"""


def from_data(args: Args, data: DataArgs) -> tuple["MaskedLM", Examples]:
    """The task and its examples: the text found, missing splits cut. Labels are dropped.

    The splits have the column text. They are those of the text classification on the same data, so
    that no text is pretrained on that is tested on later.

    Raises `UserError` where there is no text column, or a flag makes no sense.
    """
    if not 0 < args.mlm_probability < 1:
        raise UserError(f"`mlm_probability` {args.mlm_probability} is no share between 0 and 1")
    source, splits, label, columns = _canonical(args, data)
    must_have_train(splits, source.name)
    splits = limit(cut_missing_splits(splits, label, data), data).select_columns(["text"])
    task = MaskedLM(args, columns=columns)
    where = source.name, source.fingerprint, source.rows
    return task, Examples(splits, *where, cleaned=source.cleaned)


def for_evaluation(
    task: "MaskedLM", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    import datasets

    source, splits, label, _ = _canonical(task.args, data, task.columns)
    chosen, splits = choose_split(source, splits, label, data, split, trained_on)
    only = datasets.DatasetDict({chosen: splits[chosen].select_columns(["text"])})
    return Examples(only, source.name, source.fingerprint)


def _canonical(
    args: Args, data: DataArgs, known: Columns | None = None
) -> "tuple[Source, datasets.DatasetDict, str | None, Columns]":
    """The data with its text as `text`, the column of labels to cut missing splits by, and what the
    columns are called.

    `known` are those of the training, where the data may be other than that.
    """
    from tasks.nlp.embedded import docstrings

    source = load_source(data, docstrings.load, text_files.load)
    names = names_of(source.splits)
    if known:
        text, _ = text_inputs.text_columns(names, source.name, known)
    else:
        text = find_column(names, args.text_column, TEXT_COLUMNS, "text", source.name)
    labelled = set(map(folded, names)) & set(LABEL_COLUMNS)
    label = None
    if args.label_column is not None or labelled:
        label = find_column(names, args.label_column, LABEL_COLUMNS, "label", source.name)
    splits = canonical(source, text, label=label)
    splits, counts = cleaned_splits(splits, args.clean, source.name)
    source = replace(source, cleaned=counts)
    columns: Columns = {"text": text, "text_pair": None}
    return source, splits, stratified(splits) if label else None, columns


def for_prediction(task: "MaskedLM", inputs: Inputs) -> "MaskedLM":
    """The task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "MaskedLM", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `text`, and a table's other columns; see
    `tasks.nlp.text_inputs.read`."""
    for name in ("text_pair_column", "text_pair"):
        if getattr(inputs, name) not in (None, (), "none"):
            raise UserError(f"`{name}`: a mask is filled in one text, not in a pair")
    return text_inputs.read(inputs, task.columns, stack)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"text": item["text"]}


def from_config(config: Mapping[str, Any]) -> "MaskedLM":
    """The task a checkpoint was trained on, from what `MaskedLM.config` recorded."""
    from tasks.nlp.masking import Vocabulary

    known = config["vocabulary"]
    vocabulary = Vocabulary(known["size"], known["mask"], tuple(known["special"]))
    columns = config.get("columns", {})  # a checkpoint of before they were remembered has none
    return MaskedLM(Args(**config["args"]), config["pad_token_id"], vocabulary, columns)


def _would_wait(batch: Batch) -> bool:
    """Whether a batch with labels lies on a GPU, which is waited for where a size depends on it."""
    return "labels" in batch.targets and bool(batch.targets["labels"].is_cuda)


@dataclass(frozen=True, eq=False)
class MaskPrediction:
    """The guesses of the hidden tokens of a text, in their order."""

    tokens: "np.ndarray"  # int64 [masks]: the likeliest of each
    logits: "Tensor"  # float32 [masks, vocabulary]


@dataclass(frozen=True)
class MaskedLM(Bindable):
    """The task with what the tokenizer told of it. Satisfies `tasks.base.Task`."""

    args: Args
    pad_token_id: int = 0
    vocabulary: "Vocabulary | None" = None
    columns: Columns = field(default_factory=dict, hash=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "fill-mask"
    pipeline = "fill-mask"
    unit = "tokens"
    verb = "fill"
    has_language = True
    example_call = EXAMPLE_INPUT
    primary = metric_spec("perplexity")
    packs_windows = True
    pads_to_buckets = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}
    labels: tuple[str, ...] = field(default=(), init=False)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a text, for a card."""
        return "Fills in a masked word; meant as a start for fine-tuning, not as an end."

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source; each tokenizer has a mask of
        its own."""
        mask = f"{{{self.verb}.tokenizer.mask_token}}"
        return f'f"a film that is {mask} to watch"' if is_english else f'f"{mask}"'

    def input_of(self, text: str, processor: Any) -> str:
        """Return a text with a mask behind it, as `inputs` takes it."""
        return f"{text} {processor.mask_token}"

    def describe_lengths(self) -> str:
        """Return how many tokens were read, and what became of longer texts, for a card."""
        length, cut = self.args.max_length, describe_cut(self.args.max_length)
        if self.args.long_texts == "window":
            cut = f"Has learned from texts that were cut into windows of {length} tokens."
        return f"{cut} {described(self.args.clean)}".rstrip()

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        assert self.vocabulary is not None, "bind_for_training() finds it"
        return {
            "args": asdict(self.args),
            "pad_token_id": self.pad_token_id,
            "vocabulary": asdict(self.vocabulary),
            "columns": dict(self.columns),
        }

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        return {}

    def bind_for_training(self, processor: Any, limit: int) -> "MaskedLM":
        """The task with its tokenizer, and `max_length` and the vocabulary settled.

        Raises `UserError` where more is asked than the model takes, or the tokenizer has no mask.
        """
        from tasks.nlp.masking import Vocabulary

        if processor.mask_token_id is None:
            raise UserError(
                "this model's tokenizer has no mask token, so nothing can be hidden: take a model "
                "that was made by masked language modelling (BERT, RoBERTa, ModernBERT, ...)"
            )
        return replace(
            self,
            args=replace(self.args, max_length=resolve_max_length(self.args.max_length, limit)),
            pad_token_id=processor.pad_token_id or 0,
            vocabulary=Vocabulary(
                len(processor), processor.mask_token_id, tuple(sorted(processor.all_special_ids))
            ),
            processor=processor,
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Token ids of one split, cached on disk; masked when they are asked for."""
        from tasks.nlp.masking import MaskedFeatures

        assert self.vocabulary is not None and self.args.max_length is not None, "not settled"
        window = 0 if self.args.long_texts == "window" else None
        encoding = {"max_length": self.args.max_length, "window_overlap": window}
        found = MaskedFeatures.make(examples, self.processor, encoding)
        return found.masked(self.vocabulary, self.args.mlm_probability)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.nlp import text_preflight

        return text_preflight.check_tokenized(
            examples.splits,
            ["text"],
            features,
            self.args.max_length,
            in_windows=self.args.long_texts == "window",
        )

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return `labels` int64 [b, seq] drawn by `seed`, to measure training with.

        A share of `mlm_probability` of each row's tokens, at least one, is to be guessed.
        """
        import torch

        assert self.vocabulary is not None, "bind_for_training() finds it"
        rng, mask = torch.Generator().manual_seed(seed), inputs["attention_mask"].bool()
        counts = (self.args.mlm_probability * mask.sum(1)).round().long().clamp(min=1)
        order = torch.rand(mask.shape, generator=rng).masked_fill(~mask, 2.0).argsort(1).argsort(1)
        drawn = torch.randint(self.vocabulary.size, mask.shape, generator=rng)
        return {"labels": drawn.masked_fill(order >= counts.unsqueeze(1), IGNORED)}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single text, and not a list of them."""
        return text_inputs.is_one(raw)

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or texts, with masks in them.

        Raises `UserError` for what is no text, a text without a mask, or with one beyond the
        longest length.
        """
        from tasks.nlp.tokenization import encode

        assert self.args.max_length is not None, "bind_for_training() decides it"
        processor = self.processor
        clean = self.args.clean
        texts = [cleaned(text_inputs.item(each, SINGLE)["text"], clean) for each in raw]
        ids = encode(texts, None, processor, self.args.max_length, None)["input_ids"]
        for text, windows in zip(texts, ids, strict=True):
            masked, found = text.count(processor.mask_token), windows[0]
            if not masked:
                shown = shortened(text)
                raise UserError(
                    f"{shown!r} has no {processor.mask_token}: put one where a word is missing"
                )
            if found.count(processor.mask_token_id) < masked:
                raise UserError(
                    f"a {processor.mask_token} stands beyond the {self.args.max_length} tokens "
                    "that are read: shorten the text before it"
                )
        return [{"sample_id": i, "input_ids": windows} for i, windows in enumerate(ids)]

    def collate(self, rows: Sequence[Mapping[str, Any]], buckets: Sequence[int] = ()) -> Batch:
        """Pads the windows of all rows to the longest, or to one of `tasks.buckets`.

        The inputs are input_ids, attention_mask int64 [windows, seq]; the targets are labels int64
        [windows, seq] (`IGNORED` where nothing is to be guessed) where the rows have them.
        """
        import torch

        from tasks.nlp.tokenization import pad

        batch = pad(rows, self.pad_token_id, buckets=buckets).tensors()
        if "token_labels" not in rows[0]:
            return batch
        labels = torch.full_like(batch.inputs["input_ids"], IGNORED)
        windows = (window for row in rows for window in row["token_labels"])
        for i, window in enumerate(windows):
            labels[i, : len(window)] = torch.from_numpy(window)
        return replace(batch, targets={"labels": labels})

    def collate_packed(self, rows: Sequence[Mapping[str, Any]], shape: "PackedShape") -> Batch:
        """See `tasks.packed.Packs`; the targets are places int64 [most], where in the row a token
        is to be guessed, and labels int64 [most], `IGNORED` behind the last."""
        from tasks.nlp import packing
        from tasks.nlp.masking import most_masked

        labels = [window for row in rows for window in row["token_labels"]]
        most = most_masked(shape.tokens, shape.sequences, self.args.mlm_probability)
        batch = packing.pack(rows, shape, self.pad_token_id)
        return replace(batch, targets=packing.of_few_tokens(labels, shape, most))

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Logits float32 of the tokens to be guessed: [masked, vocabulary], in their order; of a
        packed batch at its `places`. A training on a GPU has a fixed number of places, and says
        them beside (`tasks.nlp.masking.places_first`).

        Where the batch has no labels, [b, masks, vocabulary] at the mask tokens: nan where a text
        has fewer than others.
        """
        from tasks.nlp.masking import places_first

        places = batch.targets.get("places")
        fixed = places is None and getattr(model, "training", False) and _would_wait(batch)
        if places is None:
            chosen = self._chosen(batch)  # [windows, seq]
            share = self.args.mlm_probability
            places = places_first(chosen, share) if fixed else chosen.flatten().nonzero().squeeze(1)
        logits: Tensor
        if getattr(getattr(model, "module", model), ONLY_PREDICTED, False):
            logits = model(**batch.inputs, predicted=places).logits.float()
        else:
            logits = model(**batch.inputs).logits.flatten(0, 1)[places].float()
        if fixed:
            return {"logits": logits, "places": places}
        if "labels" in batch.targets:
            return {"logits": logits}
        counts = chosen.sum(1).tolist()
        apart = logits.new_full((len(counts), max(counts), logits.shape[-1]), float("nan"))
        for row, part in zip(apart, logits.split(counts), strict=True):
            row[: len(part)] = part
        return {"logits": apart}

    def _chosen(self, batch: Batch) -> "Tensor":
        assert self.vocabulary is not None, "bind_for_training() finds it"
        labels: Tensor | None = batch.targets.get("labels")
        if labels is None:
            return batch.inputs["input_ids"] == self.vocabulary.mask
        return labels != IGNORED

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy summed over the tokens to be guessed."""
        import torch

        logits = outputs["logits"]
        if "places" in batch.targets:
            return of_targets(logits, batch.targets["labels"], label_smoothing)
        if "places" in outputs:
            truth = batch.targets["labels"].flatten()[outputs["places"]]
            return of_targets(logits, truth, label_smoothing)
        truth = batch.targets["labels"][self._chosen(batch)]
        loss, terms = cross_entropy(logits, truth, label_smoothing)
        return Loss(loss, torch.tensor(float(len(truth)), device=logits.device), {}, terms)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[MaskPrediction]:
        """Return the guesses of each text."""
        import numpy as np

        logits = (self.forward(model, batch) if outputs is None else outputs)["logits"]
        if "labels" not in batch.targets:
            rows = [row[~row[:, 0].isnan()] for row in logits]
            return [MaskPrediction(row.argmax(-1).cpu().numpy(), row) for row in rows]
        counts = self._counts(batch)
        best = np.split(logits.argmax(-1).cpu().numpy(), np.cumsum(counts)[:-1])
        return [MaskPrediction(*each) for each in zip(best, logits.split(counts), strict=True)]

    def references(self, batch: Batch) -> "list[np.ndarray]":
        """The hidden tokens of each text, int64 [masks]."""
        import numpy as np

        truth, _ = self._truth(batch)
        return np.split(truth.cpu().numpy(), np.cumsum(self._counts(batch))[:-1])

    def _counts(self, batch: Batch) -> list[int]:
        """Return how many tokens of each text are to be guessed."""
        _, owner = self._truth(batch)
        counts: list[int] = owner.bincount(minlength=len(batch)).tolist()
        return counts

    def accumulator(self) -> "MaskedTokensMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.masked import MaskedTokensMetric

        return MaskedTokensMetric(self._token)

    def update(self, accumulator: "MaskedTokensMetric", seen: Evaluated[MaskPrediction]) -> None:
        """Add the guesses of a batch to an accumulator."""
        import numpy as np

        assert seen.loss.terms is not None
        losses = seen.loss.terms.double().cpu().numpy()
        hits = np.concatenate([guess.tokens == truth for guess, truth in self._pairs(seen)])
        accumulator.count(seen.batch.ids.cpu().numpy(), losses, hits, list(seen.references))

    @staticmethod
    def _pairs(seen: Evaluated[MaskPrediction]) -> "Iterator[tuple[MaskPrediction, np.ndarray]]":
        """The prediction and the true tokens of each text."""
        return zip(seen.predictions, seen.references, strict=True)

    def _truth(self, batch: Batch) -> "tuple[Tensor, Tensor]":
        """Return the id of each token to be guessed, and its row, int64 [masked]."""
        chosen = self._chosen(batch)
        window = chosen.nonzero()[:, 0]
        owner = window if batch.windows is None else batch.windows[window]
        return batch.targets["labels"][chosen], owner

    def errors(self, seen: Evaluated[MaskPrediction]) -> "Sequence[WrongPrediction]":
        """Return, for each text, the wrong guess of highest loss; see `WrongPrediction`."""
        assert seen.loss.terms is not None
        losses = seen.loss.terms.cpu().split(self._counts(seen.batch))
        ids, found = seen.batch.ids.tolist(), []
        for row, own, (guess, truth) in zip(ids, losses, self._pairs(seen), strict=True):
            wrong = (guess.tokens != truth).nonzero()[0]
            if len(wrong):
                i = wrong[own.numpy()[wrong].argsort(kind="stable")[-1]]  # where alike the last
                names = self._token(int(truth[i])), self._token(int(guess.tokens[i]))
                logits = guess.logits[int(i)]
                score = float((logits.max() - logits.logsumexp(-1)).exp())
                found.append((float(own[i]), row, *names, score))
        return found

    def _token(self, token: int) -> str:
        """Return a token as people read it."""
        read: str = self.processor.decode([token])
        return read

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        return str(example["text"])

    def to_json(self, prediction: MaskPrediction, top_k: int | None = None) -> dict[str, Any]:
        """Guesses for people: `label` and `score` of the best, lists of them for several masks,
        and `guesses`, of each mask the best `top_k` (5) as in transformers' pipeline: score, token
        and token_str.
        """
        shares = prediction.logits.cpu().softmax(-1)  # [masks, vocabulary]
        scores, tokens = shares.topk(min(top_k or TOP_K, shares.shape[-1]))
        guesses = [
            [
                {"score": score, "token": token, "token_str": self._token(token)}
                for score, token in zip(*best, strict=True)
            ]
            for best in zip(scores.tolist(), tokens.tolist(), strict=True)
        ]
        labels = [mask[0]["token_str"] for mask in guesses]
        firsts = [mask[0]["score"] for mask in guesses]
        alone = len(guesses) == 1
        return {
            "label": labels[0] if alone else labels,
            "score": firsts[0] if alone else firsts,
            "guesses": guesses,
        }
