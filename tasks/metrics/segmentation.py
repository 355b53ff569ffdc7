"""Classes of pixels: mean IoU, Dice and pixel accuracy, from what was taken for what in each image.

IoU of a class is true positives over the pixels that have the class or were given it, Dice twice
the true positives over the sum of both counts (Everingham et al. 2015, "The Pascal Visual Object
Classes Challenge: A Retrospective"; Dice 1945). Counts are summed over all images before they are
divided, and classes that no image has and none was given are left out of the mean: the numbers are
those of mmsegmentation's mIoU and of torchmetrics' JaccardIndex with `average="macro"`, and no mean
over images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer, MetricAccumulator, checked_ids, rows_by_id
from tasks.metrics.arithmetic import Counts, Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

_NAN = float("nan")
_Array = npt.NDArray[Any]


class _Columns(NamedTuple):
    """Images by id: int64 [n] ids, and how many pairs each has; of each pair int64 [pairs] its code
    (the true class times the number of classes, plus the predicted one) and its pixels."""

    ids: Ints
    lengths: Ints
    codes: Ints
    counts: Ints

    def of_each(self) -> Iterable[tuple[int, Ints, Ints]]:
        """Yield id, codes and counts of each image."""
        ends = np.cumsum(self.lengths)
        for i, length, end in zip(self.ids, self.lengths, ends, strict=True):
            pairs = slice(end - length, end)
            yield int(i), self.codes[pairs], self.counts[pairs]


class SegmentationMetric(MetricAccumulator):
    """Class maps predicted and true of one evaluation, and what is computed from them.

    Memory an image: 16 bytes for each pair of a true and a predicted class that it has.
    """

    cached = ("_sums",)

    def __init__(self, classes: int, ignored: int = 255) -> None:
        """Start with no images.

        Args:
            classes: how many there are: 0 to `classes` - 1.
            ignored: true class of the pixels that do not count.
        """
        self.classes, self.ignored = classes, ignored
        empty = np.empty(0, np.int64)
        super().__init__(_Columns(empty, empty, empty, empty), classes, ignored)

    def update(
        self, ids: _Array, predictions: Sequence[_Array], references: Sequence[_Array]
    ) -> None:
        """Count a batch: integers [b], and of each image the classes of its pixels, uint8 [height,
        width]; pixels whose true class is `ignored` are left out.

        Maps of two sizes, or a class beyond the last: ValueError.
        """
        ids = checked_ids(ids)
        rows = [
            (int(i), *self._pairs(*maps))
            for i, *maps in zip(ids, predictions, references, strict=True)
        ]
        self._append(_joined(rows))

    def _pairs(self, predicted: _Array, true: _Array) -> tuple[Ints, Ints]:
        """Return the codes of the pairs of an image that it has, and the pixels of each."""
        if predicted.shape != true.shape:
            raise ValueError(f"a prediction of {predicted.shape} for a mask of {true.shape}")
        counted = true != self.ignored
        said, truth = predicted[counted], true[counted].astype(np.int64)
        if len(truth) and max(int(said.max()), int(truth.max())) >= self.classes:
            raise ValueError(f"a class beyond the {self.classes} that there are")
        every = np.bincount(truth * self.classes + said, minlength=1)
        codes: Ints = every.nonzero()[0]
        return codes, every[codes].astype(np.int64)

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return mean_iou, dice and pixel_accuracy, each with a bootstrap interval over images
        (Efron 1979), none with 0 `draws`. Without any pixel that counts all are nan."""
        rows = self._sums.reshape(len(self), 3 * self.classes)
        total = rows.sum(0)
        values = {name: float(score(total)) for name, score in self._scores().items()}

        def scores(weights: Ints) -> dict[str, Floats]:
            sums = weights.astype(np.float64) @ rows
            return {name: score(sums) for name, score in self._scores().items()}

        return intervals.bootstrap(values, scores, np.ones(len(rows), np.int64), level, draws)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from: of each image its pixels of
        each class that are right, predicted and true."""
        score = self._scores()[metric]
        rows = self._sums.reshape(len(self), 3 * self.classes)
        return SampleStatistics(
            self._columns().ids, rows, lambda cells, weights: score(weights @ cells)
        )

    def confusion_matrix(self) -> Ints:
        """Return pixels, int64 [references, predictions]."""
        whole, size = self._columns(), self.classes
        sums = np.bincount(whole.codes, whole.counts, minlength=size * size)
        matrix: Ints = sums.astype(np.int64).reshape(size, size)
        return matrix

    def by_class(self) -> Counts:
        """Return pixels int64 [classes]: right, predicted, true."""
        right, predicted, true = self._sums.sum(0).astype(np.int64)
        return Counts(right, predicted, true)

    def class_estimates(
        self, level: float = 0.95, draws: int = DRAWS
    ) -> list[dict[str, MetricEstimate]]:
        """Return precision, recall, f1 (which is Dice) and iou of each class, each with a bootstrap
        interval over images; n is how many pixels truly have it.

        Precision is left out where the class was never predicted, and all of a class that no pixel
        has.
        """
        found: list[dict[str, MetricEstimate]] = []
        for sums in np.moveaxis(self._sums, 2, 0):  # of each class, [n, 3]
            total = sums.sum(0)
            _, predicted, actual = total
            names = [name for name in _OF_CLASS if actual and (predicted or name != "precision")]
            values = {name: float(_OF_CLASS[name](total)) for name in names}
            scores = _resampled(names, sums)
            ones = np.ones(len(sums), np.int64)
            estimates = intervals.bootstrap(values, scores, ones, level, draws) if names else []
            found.append({one.name: replace(one, n=int(actual)) for one in estimates})
        return found

    def only_answer(self) -> Answer | None:
        """Return the class that every pixel got, where true classes differ; else None."""
        codes = self._columns().codes
        said, truth = np.unique(codes % self.classes), np.unique(codes // self.classes)
        return int(said[0]) if len(said) == 1 and len(truth) > 1 else None

    def _constant(self) -> tuple[Answer, _Columns] | None:
        """Return the class that most pixels have, and the columns with it as every prediction."""
        whole = self._columns()
        if not len(whole.codes):
            return None
        pixels = np.bincount(whole.codes // self.classes, whole.counts, minlength=self.classes)
        answer = int(pixels.argmax())
        rows = []
        for i, codes, counts in whole.of_each():
            true = np.bincount(codes // self.classes, counts, minlength=1)
            places = true.nonzero()[0]
            rows.append((i, places * self.classes + answer, true[places].astype(np.int64)))
        return answer, _joined(rows)

    @cached_property
    def _sums(self) -> Floats:
        """Pixels of each image that are right, predicted and true, by class: float64 [n, 3,
        classes]; whole numbers, as floats because these are multiplied faster."""
        whole, n, size = self._columns(), len(self), self.classes
        owner = np.repeat(np.arange(n), whole.lengths) * size
        true, said = whole.codes // size, whole.codes % size
        same = true == said
        parts = (
            np.bincount(owner[same] + true[same], whole.counts[same], minlength=n * size),
            np.bincount(owner + said, whole.counts, minlength=n * size),
            np.bincount(owner + true, whole.counts, minlength=n * size),
        )
        return np.stack([part.astype(np.float64).reshape(n, size) for part in parts], axis=1)

    def _scores(self) -> Mapping[str, Callable[[_Array], Floats]]:
        """Return the metrics by name: of sums [..., 3 * classes], [...]."""

        def of_classes(score: Callable[[_Array], Floats]) -> Callable[[_Array], Floats]:
            return lambda sums: score(sums.reshape(*sums.shape[:-1], 3, self.classes))

        return {name: of_classes(score) for name, score in _OF_ALL.items()}

    def _distinct(self, chunks: Sequence[_Columns]) -> _Columns:
        rows = []
        for chunk in chunks:
            for i, codes, counts in chunk.of_each():
                truth = np.bincount(codes // self.classes, counts, minlength=self.classes)
                pairs = np.stack([codes, counts]).astype(">i8").tobytes()
                rows.append((i, pairs, truth.astype(np.int64).tobytes()))
        found = []
        for i, (pairs, _) in rows_by_id(rows).items():
            codes, counts = np.frombuffer(pairs, ">i8").astype(np.int64).reshape(2, -1)
            found.append((i, codes, counts))
        return _joined(found)

    def _packed(self, columns: _Columns) -> dict[str, _Array]:
        return columns._asdict()

    def _unpacked(self, state: Mapping[str, _Array]) -> _Columns:
        return _Columns(*(state[name] for name in _Columns._fields))


def _joined(rows: Sequence[tuple[int, Ints, Ints]]) -> _Columns:
    """Return the columns of images, each given by its id, the codes of its pairs and their
    counts."""
    none = np.empty(0, np.int64)
    return _Columns(
        np.array([i for i, _, _ in rows], np.int64),
        np.array([len(codes) for _, codes, _ in rows], np.int64),
        np.concatenate([none, *(codes for _, codes, _ in rows)]),
        np.concatenate([none, *(counts for _, _, counts in rows)]),
    )


def _divided(numerator: _Array, denominator: _Array, nothing: float) -> Floats:
    """Return a quotient [...]; `nothing` where it would be divided by 0."""
    quotient: Floats = numerator / np.where(denominator == 0, 1, denominator)
    return np.where(denominator == 0, nothing, quotient)


def _mean(numerator: _Array, denominator: _Array) -> Floats:
    """Return the mean over the last axis of quotients whose denominator is not 0; nan of none."""
    there = (denominator > 0).sum(-1)
    return _divided(_divided(numerator, denominator, 0.0).sum(-1), there, _NAN)


def _mean_iou(sums: _Array) -> Floats:
    right, predicted, true = np.moveaxis(sums, -2, 0)
    return _mean(right, predicted + true - right)


def _dice(sums: _Array) -> Floats:
    right, predicted, true = np.moveaxis(sums, -2, 0)
    return _mean(2 * right, predicted + true)


def _accuracy(sums: _Array) -> Floats:
    right, _, true = np.moveaxis(sums, -2, 0)
    return _divided(right.sum(-1), true.sum(-1), _NAN)


_OF_ALL: Mapping[str, Callable[[_Array], Floats]] = {
    "mean_iou": _mean_iou,
    "dice": _dice,
    "pixel_accuracy": _accuracy,
}
"""Of sums [..., 3, classes]: right, predicted, true."""

_OF_CLASS: Mapping[str, Callable[[_Array], Floats]] = {
    "precision": lambda sums: _divided(sums[..., 0], sums[..., 1], 0.0),
    "recall": lambda sums: _divided(sums[..., 0], sums[..., 2], 0.0),
    "f1": lambda sums: _divided(2 * sums[..., 0], sums[..., 1] + sums[..., 2], 0.0),
    "iou": lambda sums: _divided(sums[..., 0], sums[..., 1] + sums[..., 2] - sums[..., 0], 0.0),
}
"""Of sums [..., 3] of one class: right, predicted, true."""


def _resampled(names: Sequence[str], rows: Floats) -> Callable[[Ints], Mapping[str, Floats]]:
    """Return what computes these scores of a class, float64 [draws] each, of rows [n, 3] that count
    so often each, int64 [draws, n]."""

    def scores(weights: Ints) -> dict[str, Floats]:
        sums = weights.astype(np.float64) @ rows
        return {name: _OF_CLASS[name](sums) for name in names}

    return scores
