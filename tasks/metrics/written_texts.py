"""The accumulator of texts that a model writes, against one reference each: chrF, BLEU, ROUGE."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from tasks.metrics import intervals
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics
from tasks.metrics.ngram_overlap import (
    BLEU_COLUMNS,
    bleu,
    bleu_counts,
    chrf,
    chrf_counts,
    rouge_scores,
)
from tasks.metrics.text_pairs import TextPairMetric

ROUGE = ("rouge1", "rouge2", "rougeL")
_BLEU, _CHRF, _ROUGE = slice(0, BLEU_COLUMNS), slice(BLEU_COLUMNS, -len(ROUGE)), -len(ROUGE)


class WrittenTextMetric(TextPairMetric):
    """Texts and references of one evaluation, and what is computed from them."""

    cached = ("_rows",)

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return chrf, bleu, rouge1, rouge2 and rougeL (see `tasks.metrics.ngram_overlap`), each
        with a bootstrap interval over samples (Koehn 2004); with 0 `draws` there is none.

        The same samples give the same bits. Without samples all are nan.
        """
        rows = self._rows
        weights = np.ones((1, len(rows)))
        values = {name: float(score[0]) for name, score in _scores(rows, weights).items()}
        counts = np.ones(len(rows), np.int64)
        return intervals.bootstrap(values, lambda n: _scores(rows, n), counts, level, draws)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from: counts of n-grams, or the
        ROUGE of each sample."""
        ids, rows = self._columns()[0], self._rows
        if metric in ROUGE:
            return SampleStatistics.of_mean(ids, rows[:, _ROUGE + ROUGE.index(metric)])
        columns, score = {"bleu": (_BLEU, bleu), "chrf": (_CHRF, chrf)}[metric]
        return SampleStatistics(ids, rows[:, columns], lambda rows, n: score(n @ rows))

    @cached_property
    def _rows(self) -> Floats:
        """The counts and scores of each sample, float64 [n, columns]; sums of the counts are
        exact."""
        _, hypotheses, references = self._columns()
        rows = [
            [*bleu_counts(*both), *chrf_counts(*both), *rouge_scores(*both)]
            for both in zip(hypotheses, references, strict=True)
        ]
        width = len(bleu_counts("", "")) + len(chrf_counts("", "")) + len(ROUGE)
        return np.array(rows, np.float64).reshape(len(rows), width)


def _scores(rows: Floats, weights: Ints | Floats) -> Mapping[str, Floats]:
    """Return each metric, float64 [draws], where the samples count so often, [draws, samples]; nan
    of no samples."""
    sums = weights @ rows
    total = weights.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums[:, _ROUGE:] / total[:, None]
    known = np.where(total > 0, 1.0, np.nan)
    scores = {"chrf": chrf(sums[:, _CHRF]) * known, "bleu": bleu(sums[:, _BLEU]) * known}
    return scores | dict(zip(ROUGE, means.T, strict=True))
