"""Spans that tags of words stand for, and how many were found: precision, recall and F1 of spans.

The rules are those of seqeval in its default mode (Nakayama 2018,
https://github.com/chakki-works/seqeval), which are those of conlleval (Tjong Kim Sang & Buchholz
2000): a span counts where type, first and last word are all right; tags that do not fit together
begin or end a span where conlleval lets them. So IOB1, BIO (IOB2) and BIOES are all understood.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer, MetricAccumulator, checked_ids, rows_by_id
from tasks.metrics.arithmetic import Counts, Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

OUTSIDE = "O"
"""The tag of a word that is in no span."""

_PREFIXES = "OBIES"  # the place of each is its code
_O, _B, _I, _E, _S = range(len(_PREFIXES))
_SAME = {"L": "E", "U": "S", "M": "I"}  # BILOU and BMES write these
_CHUNK_TAG = re.compile(r"[BIES](-.*)?|[LUM]-.+", re.DOTALL)
_NAN = float("nan")

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Spans:
    """Spans of several sentences in their order, int64 [spans] each: the sentence, the type, the
    first word, and the word behind the last."""

    sentence: Ints
    type: Ints
    start: Ints
    end: Ints


class TagScheme:
    """The scheme by which tags make spans, found from the tags' names.

    Tags of the forms B-TYPE, I-TYPE, E-TYPE, S-TYPE (L, U and M stand for E, S and I) are parts of
    spans. Where other tags are among them (parts of speech, marks of punctuation), every tag but O
    is a span of one word.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        inside = [name for name in names if name != OUTSIDE]
        self.is_chunked = bool(inside) and all(map(_CHUNK_TAG.fullmatch, inside))
        """Whether several words can be one span."""
        types = {name: self._type(name) for name in inside}
        self.types: tuple[str, ...] = tuple(sorted(set(types.values())))
        place = {name: i for i, name in enumerate(self.types)}
        # O is of the type that a bare B or I has; behind the tags stands an O for between sentences
        nothing = place.get("_", -1) if self.is_chunked else -1
        self._types = np.array([place[types[n]] if n in types else nothing for n in (*names, "O")])
        self._prefixes = np.array([self._prefix(name) for name in (*names, OUTSIDE)])

    def _type(self, name: str) -> str:
        return name[1:].split("-", maxsplit=1)[-1] or "_" if self.is_chunked else name

    def _prefix(self, name: str) -> int:
        if name == OUTSIDE:
            return _O
        return _PREFIXES.index(_SAME.get(name[0], name[0])) if self.is_chunked else _S

    def order(self) -> list[str]:
        """The names in the usual order: O, then by type, B before I, E and S."""
        if not self.is_chunked:
            return sorted(self.names, key=lambda name: (name != OUTSIDE, name))
        return sorted(
            self.names,
            key=lambda name: (name != OUTSIDE, self._type(name), self._prefix(name), name),
        )

    def spans(self, codes: _Array, lengths: _Array) -> Spans:
        """The spans in sentences that lie one behind the other.

        Args:
            codes: integers [words], places in `names`.
            lengths: integers [sentences], words of each.
        """
        padded, sentence, offsets = self._padded(codes, lengths)
        tag, kind = self._prefixes[padded], self._types[padded]
        before = np.concatenate([[_O], tag[:-1]])
        other = np.concatenate([[-1], kind[:-1]]) != kind
        in_span = (before == _B) | (before == _I)
        closed = (before == _E) | (before == _S)
        ends = closed | (in_span & ((tag == _B) | (tag == _S) | (tag == _O)))
        ends |= (before != _O) & other
        starts = (tag == _B) | (tag == _S)
        starts |= (closed | (before == _O)) & ((tag == _E) | (tag == _I))
        starts |= (tag != _O) & other
        (first,), (last,) = starts.nonzero(), ends.nonzero()
        owner = sentence[first]
        return Spans(owner, kind[first], first - offsets[owner], last - offsets[owner])

    def without_begin(self, codes: _Array, lengths: _Array) -> int:
        """Return how many spans begin with an I- behind an O or at a sentence's start, as in
        IOB1."""
        if not self.is_chunked:
            return 0
        padded, _, _ = self._padded(codes, lengths)
        tag = self._prefixes[padded]
        return int(((tag == _I) & (np.concatenate([[_O], tag[:-1]]) == _O)).sum())

    def _padded(self, codes: _Array, lengths: _Array) -> tuple[Ints, Ints, Ints]:
        """Codes with an O behind each sentence, of each its sentence, and where sentences begin."""
        lengths = np.asarray(lengths, np.int64)
        sentence = np.repeat(np.arange(len(lengths)), lengths + 1)
        offsets = np.cumsum(lengths + 1) - (lengths + 1)
        padded = np.full(len(sentence), len(self.names), np.int64)
        words = np.repeat(np.arange(len(lengths)), lengths)
        padded[np.arange(len(words)) + words] = np.asarray(codes, np.int64)
        return padded, sentence, offsets


class _Columns(NamedTuple):
    """Samples by id: int64 [n] ids and lengths; codes of all their words [words]."""

    ids: Ints
    lengths: Ints
    predictions: _Array
    references: _Array

    def rows(self) -> Iterable[tuple[int, bytes, bytes]]:
        ends = np.cumsum(self.lengths)
        for i, length, end in zip(self.ids, self.lengths, ends, strict=True):
            words = slice(end - length, end)
            yield int(i), self.predictions[words].tobytes(), self.references[words].tobytes()


class SpanMetric(MetricAccumulator):
    """Tags predicted and true of one evaluation, and what is computed from them."""

    cached = ("_counts",)

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are those of the tags, in the order of their codes."""
        self.scheme = TagScheme(names)
        self._dtype = np.min_scalar_type(max(len(names) - 1, 0))
        super().__init__(self._chunk([], []), len(names))

    def update(
        self, ids: _Array, predictions: Sequence[_Array], references: Sequence[_Array]
    ) -> None:
        """Count a batch: integers [b], and for each sample the codes of its words' tags, [words].

        Another number of predictions than of references: ValueError.
        """
        ids = checked_ids(ids)
        lengths = [len(each) for each in references]
        if len(ids) != len(lengths) or [len(each) for each in predictions] != lengths:
            raise ValueError("predictions and references are not of the same words")
        self._append(self._chunk(ids, lengths, predictions, references))

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """f1, precision and recall of spans, and token_accuracy, the share of words with the right
        tag; each with a bootstrap interval over samples (Efron 1979), none with 0 `draws`.

        As in seqeval, what is divided by 0 is 0; without any sample all are nan.
        """
        rows, n = self._counts, len(self)
        cells, counts = np.unique(rows, axis=0, return_counts=True)
        total = rows.sum(0)
        values = {name: float(score(total)) if n else _NAN for name, score in _SCORES.items()}

        def scores(weights: Ints) -> dict[str, Floats]:
            sums = weights @ cells
            return {name: score(sums) for name, score in _SCORES.items()}

        return intervals.bootstrap(values, scores, counts, level, draws)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from: of each sample the spans
        that are right, predicted and true, the words that are right, and all words."""
        score = _SCORES[metric]
        return SampleStatistics(
            self._columns().ids, self._counts, lambda rows, weights: score(weights @ rows)
        )

    def confusion_matrix(self) -> Ints:
        """int64 [references, predictions], of words by tag."""
        whole, size = self._columns(), len(self.scheme.names)
        pairs = whole.references.astype(np.int64) * size + whole.predictions
        matrix: Ints = np.bincount(pairs, minlength=size * size).reshape(size, size)
        return matrix

    def by_class(self) -> Counts:
        """Counts int64 [types] of spans: right, predicted, true; in the order of the scheme's
        types."""
        right, found, true = self._spans()
        types = len(self.scheme.types)
        hits, predicted, actual = (
            np.bincount(kinds, minlength=types)
            for kinds in (found.type[right], found.type, true.type)
        )
        return Counts(hits, predicted, actual)

    def class_estimates(
        self, level: float = 0.95, draws: int = DRAWS
    ) -> list[dict[str, MetricEstimate]]:
        """Return precision, recall and f1 of each type of spans, in the order of the scheme's
        types, each with a bootstrap interval over samples; n is how many true spans there are.

        Precision is left out where the type was never predicted, and all of a type that no span
        has.
        """
        types, n = len(self.scheme.types), len(self)
        right, found, true = self._spans()
        pairs = ((found.sentence[right], found.type[right]), (found.sentence, found.type))
        columns = [
            np.bincount(sentence * types + kind, minlength=n * types).reshape(n, types)
            for sentence, kind in (*pairs, (true.sentence, true.type))
        ]
        rows: list[dict[str, MetricEstimate]] = []
        for sums in np.stack(columns, -1).swapaxes(0, 1):  # of each type, [n, 3]
            total = sums.sum(0)
            _, predicted, actual = total
            cells, counts = np.unique(sums, axis=0, return_counts=True)
            names = [name for name in ("precision", "recall", "f1") if actual]
            if not predicted:
                names = names[1:]
            values = {name: float(_SCORES[name](total)) for name in names}
            estimates = intervals.bootstrap(values, _scores_of(names, cells), counts, level, draws)
            rows.append({one.name: replace(one, n=int(actual)) for one in estimates})
        return rows

    def only_answer(self) -> Answer | None:
        """Return the tag that every word got, where true tags differ; else None."""
        whole = self._columns()
        predictions, references = whole.predictions, whole.references
        if not len(references) or (references == references[0]).all():
            return None
        return int(predictions[0]) if (predictions == predictions[0]).all() else None

    def _constant(self) -> tuple[Answer, _Columns] | None:
        """Return the commonest tag, and the columns with it as every prediction."""
        whole = self._columns()
        if not len(whole.references):
            return None
        answer = int(np.bincount(whole.references).argmax())
        return answer, whole._replace(predictions=np.full_like(whole.references, answer))

    @cached_property
    def _counts(self) -> Ints:
        """Of each sample: spans right, predicted, true; words right, words. int64 [n, 5]."""
        whole, n = self._columns(), len(self)
        right, found, true = self._spans()
        same = whole.predictions == whole.references
        owner = np.repeat(np.arange(n), whole.lengths)
        owners = (found.sentence[right], found.sentence, true.sentence, owner[same], owner)
        return np.column_stack([np.bincount(each, minlength=n) for each in owners])

    def _spans(self) -> tuple[npt.NDArray[np.bool_], Spans, Spans]:
        """The predicted spans, which of them are right, and the true ones."""
        whole = self._columns()
        found = self.scheme.spans(whole.predictions, whole.lengths)
        true = self.scheme.spans(whole.references, whole.lengths)
        offsets = np.cumsum(whole.lengths) - whole.lengths
        words = int(whole.lengths.sum()) + 1

        def keys(spans: Spans) -> Ints:
            place = offsets[spans.sentence] + spans.start
            length = spans.end - spans.start
            key: Ints = (spans.type * words + length) * words + place
            return key

        return np.isin(keys(found), keys(true)), found, true

    def _chunk(
        self,
        ids: Any,
        lengths: Sequence[int],
        predictions: Sequence[_Array] = (),
        references: Sequence[_Array] = (),
    ) -> _Columns:
        empty = np.empty(0, self._dtype)
        codes = (
            np.concatenate([empty, *(np.asarray(each).astype(self._dtype) for each in column)])
            for column in (predictions, references)
        )
        return _Columns(np.array(ids, np.int64), np.array(lengths, np.int64), *codes)

    def _distinct(self, chunks: Sequence[_Columns]) -> _Columns:
        kept = rows_by_id(row for chunk in chunks for row in chunk.rows())
        size = self._dtype.itemsize
        predictions, references = (
            np.frombuffer(b"".join(row[column] for row in kept.values()), self._dtype)
            for column in (0, 1)
        )
        lengths = np.array([len(row[1]) // size for row in kept.values()], np.int64)
        return _Columns(np.fromiter(kept, np.int64, len(kept)), lengths, predictions, references)

    def _packed(self, columns: _Columns) -> dict[str, _Array]:
        """lengths int64 [n]; predictions and references [words], the smallest unsigned integers
        that hold a code."""
        return columns._asdict()

    def _unpacked(self, state: Mapping[str, _Array]) -> _Columns:
        return _Columns(*(state[name] for name in _Columns._fields))


def _divided(numerator: _Array, denominator: _Array) -> Floats:
    """A quotient [...]; 0 where it would be divided by 0."""
    quotient: Floats = numerator / np.where(denominator == 0, 1, denominator)
    return np.where(denominator == 0, 0.0, quotient)


def _f1(sums: _Array) -> Floats:
    precision, recall = _divided(sums[..., 0], sums[..., 1]), _divided(sums[..., 0], sums[..., 2])
    return _divided(2.0 * precision * recall, precision + recall)


def _scores_of(names: Sequence[str], cells: Ints) -> Callable[[Ints], Mapping[str, Floats]]:
    """Return what computes these scores, float64 [draws] each, of cells [cells, 3] that count so
    often each, int64 [draws, cells]."""

    def scores(weights: Ints) -> dict[str, Floats]:
        sums = weights @ cells
        return {name: _SCORES[name](sums) for name in names}

    return scores


_SCORES: Mapping[str, Callable[[_Array], Floats]] = {
    "f1": _f1,
    "precision": lambda sums: _divided(sums[..., 0], sums[..., 1]),
    "recall": lambda sums: _divided(sums[..., 0], sums[..., 2]),
    "token_accuracy": lambda sums: _divided(sums[..., 3], sums[..., 4]),
}
"""Of sums [..., 5] as `SpanMetric._counts` has them, [...]."""
