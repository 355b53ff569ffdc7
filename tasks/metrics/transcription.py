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
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer, MetricAccumulator, checked_ids, rows_by_id
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

NOTHING = "-"
"""The place of a word that is missing: of the hypothesis (deleted) or the reference (inserted)."""

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


class TranscriptionMetric(MetricAccumulator):
    """Hypotheses and references of one evaluation, and what is computed from them."""

    cached = ("_errors",)

    def __init__(self) -> None:
        super().__init__((np.empty(0, np.int64), [], []))

    def update(self, ids: _Array, hypotheses: Sequence[str], references: Sequence[str]) -> None:
        """Count a batch: integers [b], and as many texts and texts. Else: ValueError."""
        ids = checked_ids(ids)
        if not len(ids) == len(hypotheses) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(hypotheses)} hypotheses and {len(references)} references"
            )
        self._append((ids, [*hypotheses], [*references]))

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return wer and cer, each with a bootstrap interval over utterances (Bisani & Ney 2004),
        and exact_match, the share of utterances with every word right (Wilson). With 0 `draws`
        there is no bootstrap, and no interval of the rates.

        The same samples give the same bits; nothing raises or warns for want of samples.
        """
        errors = self._errors
        n = len(errors.words)
        right = float((errors.word_errors == 0).mean()) if n else _NAN
        return [
            _rate("wer", errors.word_errors, errors.words, level, draws),
            _rate("cer", errors.character_errors, errors.characters, level, draws),
            intervals.wilson("exact_match", right, n, level),
        ]

    def confusion_matrix(self) -> Ints:
        """Raise ValueError: transcripts have no matrix of confusions; see `top_confusions`."""
        raise ValueError("transcripts have no confusion matrix; see `top_confusions`")

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the metrics of `compute` is computed from: whether every word is right, or
        errors and what they are counted over."""
        ids, errors = self._columns()[0], self._errors
        if metric == "exact_match":
            return SampleStatistics.of_mean(ids, errors.word_errors == 0)
        columns = {
            "wer": (errors.word_errors, errors.words),
            "cer": (errors.character_errors, errors.characters),
        }[metric]
        return SampleStatistics(ids, np.column_stack(columns), _rates)

    def top_confusions(self, most: int = 20) -> list[tuple[str, str, int]]:
        """Return the most frequent confusions as (reference, hypothesis, how often), the most
        frequent first.

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

    def only_answer(self) -> Answer | None:
        """Return the text, perhaps empty, that was written for every sound, where they are several
        whose references differ; else None."""
        _, hypotheses, references = self._columns()
        written = set(_plain(hypotheses))
        return written.pop() if len(written) == 1 and len(set(_plain(references))) > 1 else None

    def _constant(self) -> tuple[Answer, _Columns]:
        """Return an empty text, and the columns with it as every hypothesis."""
        ids, _, references = self._columns()
        return "", (ids, [""] * len(references), references)

    @cached_property
    def _errors(self) -> Errors:
        _, hypotheses, references = self._columns()
        return count(hypotheses, references)

    def _distinct(self, chunks: Sequence[_Columns]) -> _Columns:
        kept = rows_by_id(
            (int(i), hypothesis, reference)
            for columns in chunks
            for i, hypothesis, reference in zip(*columns, strict=True)
        )
        hypotheses, references = ([row[i] for row in kept.values()] for i in (0, 1))
        return np.fromiter(kept, np.int64, len(kept)), hypotheses, references

    def _packed(self, columns: _Columns) -> dict[str, _Array]:
        """Of each kind of text its UTF-8, uint8 [bytes], one after the other, and where each ends,
        int64 [n]."""
        packed: dict[str, _Array] = {"ids": columns[0]}
        packed["hypotheses"], packed["hypothesis_ends"] = _pack(columns[1])
        packed["references"], packed["reference_ends"] = _pack(columns[2])
        return packed

    def _unpacked(self, state: Mapping[str, _Array]) -> _Columns:
        return (
            state["ids"],
            _unpack(state["hypotheses"], state["hypothesis_ends"]),
            _unpack(state["references"], state["reference_ends"]),
        )


def count(hypotheses: Sequence[str], references: Sequence[str]) -> Errors:
    """Return the errors of each utterance, and what they are counted over."""
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
    """Return all errors over all units; nan where there are no units."""
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

    def rates(weights: Ints) -> dict[str, Floats]:
        return {name: _rates(cells, weights)}

    (measured,) = intervals.bootstrap({name: rate(errors, units)}, rates, counts, level, draws)
    return measured


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
