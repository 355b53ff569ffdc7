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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics
from tasks.metrics.text_pairs import Columns, TextPairMetric, normalized_blanks

NOTHING = "-"
"""The place of a word that is missing: of the hypothesis (deleted) or the reference (inserted)."""

_NAN = float("nan")


@dataclass(frozen=True)
class Errors:
    """Errors of utterances [n] and what they are counted over, int64 [n]."""

    word_errors: Ints
    words: Ints
    character_errors: Ints
    characters: Ints


class TranscriptionMetric(TextPairMetric):
    """Hypotheses and references of one evaluation, and what is computed from them."""

    cached = ("_errors",)

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

    def _constant(self) -> tuple[Answer, Columns]:
        """Return an empty text, and the columns with it as every hypothesis."""
        ids, _, references = self._columns()
        return "", (ids, [""] * len(references), references)

    @cached_property
    def _errors(self) -> Errors:
        _, hypotheses, references = self._columns()
        return count(hypotheses, references)


def count(hypotheses: Sequence[str], references: Sequence[str]) -> Errors:
    """Return the errors of each utterance, and what they are counted over."""
    import jiwer

    if not len(references):
        return Errors(*(np.zeros(0, np.int64) for _ in range(4)))
    columns = []
    for process in (jiwer.process_words, jiwer.process_characters):
        output = process(normalized_blanks(references), normalized_blanks(hypotheses))
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
    output = jiwer.process_words(normalized_blanks(references), normalized_blanks(hypotheses))
    return zip(output.references, output.hypotheses, output.alignments, strict=True)


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
