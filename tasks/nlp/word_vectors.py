"""Word vectors: words that stand in the same surroundings come to lie near each other.

Skip-gram and CBOW with negative sampling (Mikolov et al. 2013, "Distributed Representations of
Words and Phrases and their Compositionality"; "Efficient Estimation of Word Representations in
Vector Space"): of a word and its neighbours, true pairs are told from pairs with noise words.
GloVe (Pennington et al. 2014): the product of two vectors is to be the logarithm of how often the
words stand together. Its sum over cells of the co-occurrence matrix is made up here of their
occurrences, in the order of the text: a pair at distance d that is counted X times has the weight
f(X) / (X d), which adds up to the f(X) of its cell.

The main metric of all of them, on texts not learned from, is how often a true neighbour of a word
scores above a noise word: a half is chance. Analogies and human judgements of similarity are not
measured: there are no such data here.
"""

import difflib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from tasks.base import Batch, Bindable, Evaluated, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Count, NotNegative
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.nlp import causal_lm, text_inputs
from tasks.nlp.cleaning import CleanArgs, described
from tasks.nlp.text_inputs import Columns

if TYPE_CHECKING:
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features, WrongPrediction
    from tasks.metrics.documents import DocumentMetric
    from tasks.nlp.word_windows import Sampling, WordFeatures
    from tasks.preflight import Finding

EXAMPLE_INPUT = "--word file"
COUNTS = "word_counts"
"""What the tokenizer of a checkpoint calls the number of each word in its training."""
LONGEST = 1000
"""Words of a piece of a document; a longer one is cut."""
NEAREST = 10
"""Words that `predict` names where no other number is asked for."""
COMMON = 200
"""The place, by frequency, of the word that `predict` is shown with."""
WORTH_KNOWING = 0.3
"""Share of words that may be left out unremarked: rare ones are in any text."""
X_MAX, ALPHA = 100.0, 0.75
"""GloVe's weight of a pair that is counted X times: min(1, (X / X_MAX)^ALPHA), section 3."""


@dataclass(frozen=True)
class Args(CleanArgs):
    """What is learned from documents, and how they are read."""

    method: Literal["skipgram", "cbow", "glove"] = "skipgram"
    """guess the neighbours of a word, or a word from its neighbours, or how often two stand
    together"""
    window: Count = 5
    """neighbours of a word on each side; skipgram and cbow draw one up to that for each word"""
    negatives: Count = 5
    """skipgram and cbow: noise words that a neighbour is worth"""
    subsample: NotNegative = 1e-3
    """skipgram and cbow: drop words at times that are more than this share of all; 0 drops none"""
    text_column: str | None = None
    """column of the documents; found by itself where it has a usual name"""


@dataclass(frozen=True)
class Inputs:
    """Words whose nearest ones are to be found."""

    word: tuple[str, ...] = ()
    """words to look up"""
    minus: tuple[str, ...] = ()
    """with one word: words to take from it, as man from king"""
    plus: tuple[str, ...] = ()
    """with one word: words to add to it, as woman"""
    file: Path | None = None
    """file of words: csv, tsv, xlsx, json, jsonl or parquet with a column word, whose other columns
    are kept, or a line a word; - or nothing reads standard input"""
    text_column: str | None = None
    """column of the words in a table"""


def from_data(args: Args, data: DataArgs) -> tuple["WordVectors", Examples]:
    """Return the task and its examples, which are those of a causal language model.

    Raises `UserError` where there is no column of documents, or nothing to train on.
    """
    read, examples = causal_lm.from_data(_documents(args), data)
    if read.form != "documents":  # of which one column of two would be learned
        raise UserError(
            f"{examples.name} has {read.form}, and word vectors are learned from documents: name "
            "their column (`text_column`)"
        )
    return WordVectors(args, columns=read.columns), examples


def for_evaluation(
    task: "WordVectors", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it; see `tasks.data.source.choose_split`."""
    reader = causal_lm.CausalLM(_documents(task.args), columns=task.columns)
    return causal_lm.for_evaluation(reader, data, split, trained_on)


def _documents(args: Args) -> causal_lm.Args:
    return causal_lm.Args(text_column=args.text_column, clean=args.clean)


def for_prediction(task: "WordVectors", inputs: Inputs) -> "WordVectors":
    """Return the task as `predict` was asked to use it."""
    return task


def read_inputs(
    inputs: Inputs, task: "WordVectors", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `word`, perhaps `minus` and `plus`, and a table's other
    columns; see `tasks.nlp.text_inputs.read`."""
    if inputs.word and inputs.file:
        raise UserError("give `word` or `file`, not both")
    for name in ("minus", "plus"):
        if getattr(inputs, name) and len(inputs.word) != 1:
            raise UserError(f"`{name}` goes with one `word`, and there are {len(inputs.word)}")
    if inputs.word:
        more = {name: list(getattr(inputs, name)) for name in ("minus", "plus")}
        more = {name: words for name, words in more.items() if words}
        return ({"word": text_inputs.argument(one, "`word`"), **more} for one in inputs.word)
    asked = text_inputs.Inputs(file=inputs.file, text_column=inputs.text_column)
    read = text_inputs.read(asked, {}, stack, usual=("word", "words", "token", "text"))
    return ({"word": each["text"]} | {n: each[n] for n in each if n == "others"} for each in read)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """Return an input as the columns of a prediction."""
    shown = {"word": item["word"]}
    return shown | {n: " ".join(item[n]) for n in ("minus", "plus") if n in item}


def _several(query: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return the words that a query adds or takes away: one, a list of them, or none."""
    given = query.get(name)
    if given is None:
        return ()
    return tuple(given) if isinstance(given, tuple | list) else (given,)


def from_config(config: Mapping[str, Any]) -> "WordVectors":
    """Return the task a checkpoint was trained on, from what `WordVectors.config` recorded."""
    return WordVectors(Args(**config["args"]), columns=config["columns"])


@dataclass(frozen=True)
class RankedNeighbours:
    """How the true neighbours in a piece of a document score beside noise words."""

    above: float
    """Comparisons of a neighbour with a noise word that it wins, as a mean over the noise words of
    each pair, ties counted half."""
    pairs: int
    """Pairs of a word and a neighbour; of CBOW words."""


@dataclass(frozen=True, eq=False)
class NearestWords:
    """All words by their nearness to a query."""

    cosines: "np.ndarray"  # float32 [vocabulary]
    asked: frozenset[int]  # words of the query


@dataclass(frozen=True)
class WordVectors(Bindable):
    """The task. Satisfies `tasks.base.Task`."""

    args: Args
    columns: Columns = field(default_factory=dict, hash=False)
    processor: Any = field(default=None, compare=False, repr=False)

    name = "word-vectors"
    pipeline = "feature-extraction"
    unit = "tokens"
    verb = "nearest"
    has_language = True
    primary = metric_spec("neighbour_ranking")
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "regression"}
    labels: tuple[str, ...] = field(default=(), init=False)

    @property
    def example_call(self) -> str:
        """Return example flags of `predict`: a word of the texts that is neither the most frequent
        nor rare."""
        if self.processor is None:
            return EXAMPLE_INPUT
        words = [word for word in self._words if word.isalpha()] or self._words
        return shlex.join(["--word", words[min(len(words) - 1, COMMON)]])

    @cached_property
    def counts(self) -> "np.ndarray":
        """How often each word was in the training, float64 [vocabulary]; 0 of what is no word."""
        import numpy as np

        return np.asarray(self.processor.init_kwargs[COUNTS], np.float64)

    @cached_property
    def sampling(self) -> "Sampling":
        """How neighbours and noise are drawn; of GloVe no word is dropped."""
        from tasks.nlp.word_windows import Sampling

        drops = 0.0 if self.args.method == "glove" else self.args.subsample
        return Sampling.of_counts(self.counts.tolist(), self.args.window, drops)

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a word, for a card."""
        return "Gives the words whose vectors are nearest to that of a word, by cosine."

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source: there is none."""
        return ""

    def input_of(self, text: str, processor: Any) -> str:
        """Return the first word of a text that the vocabulary has, as `inputs` takes it."""
        words = processor.tokenize(text)
        known = (word for word in words if word not in processor.all_special_tokens)
        return next(known, self._words[0])

    def describe_lengths(self) -> str:
        """Return what was read in training, for a card."""
        cut = f"Has learned from documents in pieces of at most {LONGEST:,} words."
        return f"{cut} {described(self.args.clean)}".rstrip()

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        return {"args": asdict(self.args), "columns": dict(self.columns)}

    def model_config(self) -> dict[str, Any]:
        """Return the fields of a transformers config that this task sets."""
        return {"method": self.args.method}

    def bind_for_training(self, processor: Any, limit: int) -> "WordVectors":
        """Return the task with its tokenizer, which knows how often each word came."""
        if len(processor.init_kwargs.get(COUNTS, ())) != len(processor):
            raise UserError("this tokenizer does not say how often each of its words came")
        return replace(self, processor=processor)

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the words of the documents of one split, cached on disk."""
        from tasks.nlp.word_windows import WordFeatures

        encoding = {
            "longest": LONGEST,
            "special": sorted(self.processor.all_special_ids),
            "unknown": self.processor.unk_token_id,
        }
        found = WordFeatures.make(examples, self.processor, encoding)
        if self.args.method == "glove":
            found.count_pairs(self.args.window, self.counts.sum() / max(1, len(found.words)))
        return found

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.data.label_checks import warning
        from tasks.nlp import text_preflight

        found = text_preflight.check_tokenized(
            examples.splits, ["text"], features, LONGEST, in_windows=True
        )
        shares = {name: cast("WordFeatures", f).left_out_share() for name, f in features.items()}
        if max(shares.values(), default=0.0) >= WORTH_KNOWING:
            said = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
            found.append(
                warning(
                    f"of the words, {said} are left out: they come once in training, or are not "
                    "among the `vocab_size` most frequent; give more texts, or texts cut into "
                    "words by blanks (of Chinese without blanks a clause is one word)"
                )
            )
        return found

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return no targets: what is learned lies in the inputs."""
        return {}

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single query, and not a list of them."""
        return not isinstance(raw, tuple) and text_inputs.is_one(raw)  # two words are no pair

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows for `collate` from what `read_inputs` gives, or words.

        Raises `UserError` for what is no word of the vocabulary, with such as are spelled alike.
        """
        rows = []
        for i, item in enumerate(raw):
            query = item if isinstance(item, Mapping) else {"word": item}
            if "word" not in query:
                raise UserError(
                    f"a mapping needs 'word'; this one has {', '.join(map(str, query))}"
                )
            signs = [(query["word"], 1.0)]
            signs += [(word, -1.0) for word in _several(query, "minus")]
            signs += [(word, 1.0) for word in _several(query, "plus")]
            rows.append({"sample_id": i, "query": [(self._id(word), sign) for word, sign in signs]})
        return rows

    def _id(self, word: Any) -> int:
        from tasks.nlp.tokenization import whole

        if isinstance(word, tuple | list):
            raise UserError(
                f"{word!r} is no single word: a query has one 'word', and others in 'minus' and "
                "'plus'"
            )
        text = text_inputs.item(word, {})["text"].strip()
        [ids] = whole([text], self.processor)
        if len(ids) > 1:
            raise UserError(f"{text!r} is no single word: give one")
        if not ids or ids[0] in self.processor.all_special_ids:
            near = difflib.get_close_matches(text.lower(), self._words, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else None
            raise UserError(f"{text!r} is not among the {len(self._words):,} words", hint=hint)
        return int(ids[0])

    @cached_property
    def _words(self) -> list[str]:
        """All words, the most frequent first."""
        special = set(self.processor.all_special_ids)
        by_id = sorted(self.processor.get_vocab().items(), key=lambda entry: entry[1])
        return [word for word, token in by_id if token not in special]

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Return a batch of pieces of documents (`tasks.nlp.word_windows.collate`), or of queries:
        words int64 [b, k] and weights float32 [b, k], 0 behind the last word."""
        import torch

        from tasks.nlp.word_windows import collate

        if "query" not in rows[0]:
            return collate(rows, self.sampling).tensors()
        longest = max(len(row["query"]) for row in rows)
        words = torch.zeros(len(rows), longest, dtype=torch.long)
        weights = torch.zeros(len(rows), longest)
        for i, row in enumerate(rows):
            for place, (word, weight) in enumerate(row["query"]):
                words[i, place], weights[i, place] = word, weight
        ids = torch.tensor([row["sample_id"] for row in rows])
        return Batch({"words": words, "weights": weights}, ids)

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Return what the network gives (`positive` and `negative`, or `logits` of queries), in
        float32."""
        from tasks.arrays import to_float32

        found = model(**batch.inputs)
        names = ("logits",) if "words" in batch.inputs else ("positive", "negative")
        return {name: to_float32(getattr(found, name)) for name in names}

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Return the loss summed over pairs, and their number; of CBOW words are counted, of GloVe
        the weights of the pairs."""
        import torch
        from torch.nn.functional import softplus

        if label_smoothing:
            raise UserError("`label_smoothing_factor`: pairs are no classes that could be smoothed")
        near = outputs["positive"]
        if self.args.method == "glove":
            counts = batch.targets["counts"].to(near.dtype)
            middle = counts.shape[-1] // 2
            distance = (torch.arange(counts.shape[-1], device=near.device) - middle).abs()
            share = (counts / X_MAX).pow(ALPHA).clamp(max=1)
            weight = torch.where(counts > 0, share / (counts * distance), 0.0)
            error = near - counts.clamp(min=torch.finfo(near.dtype).tiny).log()
            error = torch.where(counts > 0, error, 0.0)
            return Loss((weight * error.square()).sum(), weight.sum(), {})
        mask, far = self._pairs(batch), outputs["negative"]
        pairs = mask.sum(-1)  # [n, block]
        noise = softplus(far).sum(-1) * pairs * (self.args.negatives / far.shape[-1])
        total = (softplus(-near) * mask).sum() + noise.sum()
        return Loss(total, pairs.sum().to(near.dtype), {})

    def _pairs(self, batch: Batch) -> "Tensor":
        """Return which of the scores `positive` are of a true pair, bool."""
        mask = batch.inputs["mask"]
        return mask.any(-1, keepdim=True) if self.args.method == "cbow" else mask

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> Sequence[NearestWords | RankedNeighbours]:
        """Return the words nearest to each query; of pieces of documents how their pairs score."""
        outputs = self.forward(model, batch) if outputs is None else outputs
        if "words" in batch.inputs:
            asked = [
                frozenset(row[weight != 0].tolist())
                for row, weight in zip(batch.inputs["words"], batch.inputs["weights"], strict=True)
            ]
            rows = outputs["logits"].cpu().numpy()
            return [NearestWords(row, words) for row, words in zip(rows, asked, strict=True)]
        near, far, mask = outputs["positive"], outputs["negative"], self._pairs(batch)
        if self.args.method == "glove":  # it knows frequencies: what they are without the pair
            near = near - self._log_noise(batch.inputs["contexts"], mask.shape[-1])
            far = far - self._log_noise(batch.inputs["noise"]).unsqueeze(1)
        sums = near.new_zeros(2, len(near))
        for place in range(near.shape[-1]):  # all at once would take much memory
            one = near[..., place, None]
            wins = ((one > far).float() + 0.5 * (one == far)).mean(-1)
            sums[0] += (wins * mask[..., place]).sum(-1)
            sums[1] += mask[..., place].sum(-1)
        assert batch.windows is not None, "collate gives them"
        found = near.new_zeros(2, len(batch)).index_add(1, batch.windows, sums)
        return [RankedNeighbours(above, round(pairs)) for above, pairs in found.T.tolist()]

    def _log_noise(self, words: "Tensor", width: int | None = None) -> "Tensor":
        """Return the logarithm of how likely words are as noise; given a width, at the places
        around each centre of a block."""
        import torch

        from tasks.nlp.word_windows import POWER

        values = torch.tensor(self.counts**POWER).clamp(min=1.0)  # padding is compared with nothing
        found = (values / values.sum()).log().float().to(words.device)[words]
        return found if width is None else found.unfold(1, width, 1)

    def references(self, batch: Batch) -> Sequence[int]:
        """Return the number of each sample: what is true of a piece lies in its text."""
        return batch.ids.tolist()

    def accumulator(self) -> "DocumentMetric":
        """Return an empty accumulator of the share of comparisons that true neighbours win."""
        from tasks.metrics.documents import DocumentMetric
        from tasks.metrics.ratios import Ratio

        return DocumentMetric([Ratio("neighbour_ranking", 0, 1)])

    def update(self, accumulator: "DocumentMetric", seen: Evaluated[RankedNeighbours]) -> None:
        """Count a batch."""
        import numpy as np

        sums = [[one.above, one.pairs] for one in seen.predictions]
        ids = seen.batch.ids.cpu().numpy()
        accumulator.count(ids, np.array(sums), seen.batch.targets["documents"].cpu().numpy())

    def errors(self, seen: Evaluated[RankedNeighbours]) -> "list[WrongPrediction]":
        """Return none: a pair that scores low is no mistake."""
        return []

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """Return an example in one line of a table."""
        return str(example["text"])

    def to_json(self, prediction: NearestWords, top_k: int | None = None) -> dict[str, Any]:
        """Return the words nearest to a query with their cosines, those of the query left out."""
        import numpy as np

        special = set(self.processor.all_special_ids) | prediction.asked
        order = np.argsort(-prediction.cosines, kind="stable").tolist()
        nearest = [token for token in order if token not in special][: top_k or NEAREST]
        words = self.processor.convert_ids_to_tokens(nearest)
        scores = prediction.cosines[nearest].tolist()
        return {
            "nearest": [
                {"word": word, "cosine": round(score, 4)}
                for word, score in zip(words, scores, strict=True)
            ]
        }
