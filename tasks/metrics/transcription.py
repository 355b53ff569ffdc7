"""The metrics of speech recognition: what was heard and what was said, by id.

Word error rate: the substitutions, deletions and insertions of the shortest way from the reference
to the hypothesis, over the number of reference words; character error rate likewise, over
characters, the spaces between words included. Both sum over utterances before they divide. jiwer
counts. White space of any kind and length is one space, and none at the ends; nothing else is
changed (no case, no punctuation).

An utterance whose reference is empty counts its insertions as errors and adds nothing to the words.
Where all references are empty there is no rate: it is nan, and not the 0 that a division by zero
gives elsewhere in this package, since what was made up out of silence is no perfect score.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.metrics import intervals
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

NOTHING = "-"
"""The place of a word that is missing: of the hypothesis (deleted) or the reference (inserted)."""

_FORMAT = 1  # of `state()`
_NAN = float("nan")

_Array = npt.NDArray[Any]
_Columns = tuple[Ints, list[str], list[str]]  # ids, hypotheses, references


@dataclass(frozen=True)
class Errors:
    """Errors of utterances [n] and what they are counted over, int64 [n]."""

    word_errors: Ints
    words: Ints
    character_errors: Ints
    characters: Ints


class TranscriptionMetric:
    """Hypotheses and references of one evaluation, and what is computed from them.

    A sample id counts once, however often and in whichever process it was seen: all results are
    functions of the set of samples, so one process and many agree bit for bit.
    """

    def __init__(self) -> None:
        self._chunks: list[_Columns] = [(np.empty(0, np.int64), [], [])]
        self._errors: Errors | None = None

    def __len__(self) -> int:
        """The number of distinct utterances."""
        return len(self._columns()[0])

    def update(self, ids: _Array, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Count a batch: integers [b], and as many texts and texts. Else: ValueError."""
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"ids must be integers [b], not {ids.dtype} {list(ids.shape)}")
        if not len(ids) == len(hypotheses) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(hypotheses)} hypotheses and {len(references)} references"
            )
        self._chunks.append((ids.astype(np.int64), [*hypotheses], [*references]))
        self._errors = None

    def state(self) -> dict[str, _Array]:
        """All that was counted, as plain numeric arrays to send or to save; `merge` takes it.

        header int64 [1]: format; ids int64 [n]; of each kind of text its UTF-8, uint8 [bytes], one
        after the other, and where each ends, int64 [n].
        """
        ids, hypotheses, references = self._columns()
        state = {"header": np.array([_FORMAT], np.int64), "ids": ids.copy()}
        state["hypotheses"], state["hypothesis_ends"] = _pack(hypotheses)
        state["references"], state["reference_ends"] = _pack(references)
        return state

    @staticmethod
    def merge(states: Iterable[Mapping[str, _Array]]) -> "TranscriptionMetric":
        """One accumulator of several processes' states, in any order.

        No states, or one of another format: ValueError. One id with two references: UserError.
        """
        accumulator = TranscriptionMetric()
        states = list(states)
        headers = {tuple(int(number) for number in state["header"]) for state in states}
        if headers != {(_FORMAT,)}:
            raise ValueError(f"cannot merge {len(states)} states with headers {sorted(headers)}")
        accumulator._chunks += [
            (
                state["ids"],
                _unpack(state["hypotheses"], state["hypothesis_ends"]),
                _unpack(state["references"], state["reference_ends"]),
            )
            for state in states
        ]
        accumulator._columns()  # contradictions show here rather than later
        return accumulator

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """wer and cer, each with a bootstrap interval over utterances (Bisani & Ney 2004), and
        exact_match, the share of utterances with every word right (Wilson). With 0 `draws` there is
        no bootstrap, and no interval of the rates.

        The same samples give the same bits; nothing raises or warns for want of samples.
        """
        errors = self._counted()
        n = len(errors.words)
        right = float((errors.word_errors == 0).mean()) if n else _NAN
        return [
            _rate("wer", errors.word_errors, errors.words, level, draws),
            _rate("cer", errors.character_errors, errors.characters, level, draws),
            intervals.wilson("exact_match", right, n, level),
        ]

    def confusion_matrix(self) -> Ints:
        """ValueError: transcripts have none; see `top_confusions`."""
        raise ValueError("transcripts have no confusion matrix; see `top_confusions`")

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the metrics of `compute` is computed from: whether every word is right, or
        errors and what they are counted over."""
        ids, errors = self._columns()[0], self._counted()
        if metric == "exact_match":
            return SampleStatistics.of_mean(ids, errors.word_errors == 0)
        columns = {
            "wer": (errors.word_errors, errors.words),
            "cer": (errors.character_errors, errors.characters),
        }[metric]
        return SampleStatistics(ids, np.column_stack(columns), _rates)

    def top_confusions(self, most: int = 20) -> list[tuple[str, str, int]]:
        """The commonest confusions: (reference, hypothesis, how often), most frequent first.

        A word that was missed is heard as "-"; where one was made up, "-" was said.
        """
        _, hypotheses, references = self._columns()
        found: Counter[tuple[str, str]] = Counter()
        for reference, hypothesis, chunks in _alignments(references, hypotheses):
            for chunk in chunks:
                left = reference[chunk.ref_start_idx : chunk.ref_end_idx]
                right = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
                if chunk.type == "substitute":
                    found.update(zip(left, right, strict=True))
                elif chunk.type == "delete":
                    found.update((word, NOTHING) for word in left)
                elif chunk.type == "insert":
                    found.update((NOTHING, word) for word in right)
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [(reference, hypothesis, count) for (reference, hypothesis), count in ordered[:most]]

    def _counted(self) -> Errors:
        _, hypotheses, references = self._columns()
        if self._errors is None:
            self._errors = count(hypotheses, references)
        return self._errors

    def _columns(self) -> _Columns:
        """Ids, hypotheses and references of the distinct utterances, by id; leaves one chunk."""
        if len(self._chunks) > 1:
            rows = sorted(
                (int(i), hypothesis, reference)
                for ids, hypotheses, references in self._chunks
                for i, hypothesis, reference in zip(ids, hypotheses, references, strict=True)
            )
            # A hypothesis may differ between batches in a last bit. Which repeat counts must depend
            # on what they are, not on which came first: the least.
            kept: dict[int, tuple[str, str]] = {}
            for i, hypothesis, reference in rows:
                if kept.setdefault(i, (hypothesis, reference))[1] != reference:
                    raise UserError(
                        f"sample {i} came with two different references; ids must name one sample"
                        " each"
                    )
            ids = np.fromiter(kept, np.int64, len(kept))
            self._chunks = [(ids, [h for h, _ in kept.values()], [r for _, r in kept.values()])]
        return self._chunks[0]


def count(hypotheses: Sequence[str], references: Sequence[str]) -> Errors:
    """The errors of each utterance, and what they are counted over."""
    import jiwer

    if not len(references):
        return Errors(*(np.zeros(0, np.int64) for _ in range(4)))
    columns = []
    for process in (jiwer.process_words, jiwer.process_characters):
        output = process(_plain(references), _plain(hypotheses))
        columns.append([sum(map(_cost, chunks)) for chunks in output.alignments])
        columns.append([len(units) for units in output.references])
    return Errors(*(np.array(column, np.int64) for column in columns))


def rate(errors: Ints, units: Ints) -> float:
    """All errors over all units; nan where there are none."""
    total = int(units.sum())
    return int(errors.sum()) / total if total else _NAN


def _alignments(references: list[str], hypotheses: list[str]) -> Iterable[tuple[Any, Any, Any]]:
    """For each utterance its words, those of the hypothesis, and jiwer's chunks of the way."""
    import jiwer

    if not references:
        return []
    output = jiwer.process_words(_plain(references), _plain(hypotheses))
    return zip(output.references, output.hypotheses, output.alignments, strict=True)


def _plain(texts: Sequence[str]) -> list[str]:
    return [" ".join(text.split()) for text in texts]


def _cost(chunk: Any) -> int:
    """The errors in one of jiwer's chunks."""
    if chunk.type == "equal":
        return 0
    return int(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    )


def _rates(cells: Ints, weights: Ints) -> Floats:
    """Error rates [draws] of errors and units, int64 [cells, 2], that count so often each; nan of
    nothing but empty references."""
    errors, units = (weights @ cells).T
    return np.where(units > 0, errors / np.maximum(units, 1), _NAN)


def _rate(name: str, errors: Ints, units: Ints, level: float, draws: int = DRAWS) -> MetricEstimate:
    """An error rate with its interval. Utterances alike in both counts are one cell."""
    cells, counts = np.unique(np.column_stack([errors, units]), axis=0, return_counts=True)
    drawn = [np.empty(0)]
    for weights in intervals.resamples(counts, draws):
        rates = _rates(cells, weights)
        drawn.append(rates[np.isfinite(rates)])
    return intervals.percentile(
        name, rate(errors, units), len(errors), np.concatenate(drawn), level
    )


def _pack(texts: list[str]) -> tuple[_Array, Ints]:
    """Texts as UTF-8, uint8 [bytes], and where each ends, int64 [n]."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return np.frombuffer(b"".join(parts), np.uint8).copy(), ends


def _unpack(data: _Array, ends: Ints) -> list[str]:
    raw = np.asarray(data, np.uint8).tobytes()
    begin, texts = 0, []
    for end in np.asarray(ends).tolist():
        texts.append(raw[begin:end].decode("utf-8", "surrogatepass"))
        begin = end
    return texts
