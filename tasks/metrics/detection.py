"""The accumulator of boxes that a model finds in images: average precision and recall as COCO has
them (Lin et al. 2014), equal to pycocotools'."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer, MetricAccumulator, checked_ids, rows_by_id
from tasks.metrics.arithmetic import Bools, Counts, Floats, Ints
from tasks.metrics.box_matching import THRESHOLDS, Matches, match
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

RECALLS: Floats = np.linspace(0, 1, 101)
"""At each of them precision is read."""

_HALF, _THREE_QUARTERS = 0, 5  # places in THRESHOLDS of 0.5 and 0.75
_ALL = range(len(THRESHOLDS))
_BLOCK = 2**23  # weights of detections at once: 32 MiB
_NAN = float("nan")

_Array = npt.NDArray[Any]

_PRECISIONS: Mapping[str, tuple[int, Sequence[int]]] = {
    "map": (0, _ALL),
    "map_50": (0, [_HALF]),
    "map_75": (0, [_THREE_QUARTERS]),
    "map_small": (1, _ALL),
    "map_medium": (2, _ALL),
    "map_large": (3, _ALL),
}
"""The place in AREAS, and the places in THRESHOLDS."""
_RECALLS = {"mar_1": 1, "mar_10": 10, "mar_100": 100}
"""The most detections of a class in an image."""

METRICS = (*_PRECISIONS, *_RECALLS)
OF_CLASSES = ("map", "map_50")
"""The metrics of each class."""


class PredictedBoxes(Protocol):
    """The boxes found in an image, in any order; of equal scores the earlier counts first."""

    @property
    def boxes(self) -> _Array:
        """Floats [k, 4] of x0, y0, x1, y1 in pixels of the image."""

    @property
    def scores(self) -> _Array:
        """Floats [k], higher for what is more certain."""

    @property
    def labels(self) -> _Array:
        """Integers [k], places of the classes."""


class TrueBoxes(NamedTuple):
    """The objects of an image."""

    boxes: _Array
    """Floats [m, 4] of x0, y0, x1, y1 in pixels of the image."""
    labels: _Array
    """Integers [m], places of the classes."""
    iscrowd: _Array | None = None
    """Bool [m]: regions of many objects, in which nothing counts as wrong."""
    area: _Array | None = None
    """Floats [m], pixels of each object, by which it is small, medium or large; that of the box
    where it is not given."""


class _Columns(NamedTuple):
    """Samples by id, int64 [n]; of all of them the detections, float64 [D, 6], and the objects,
    float64 [M, 7], as `box_matching.match` takes them, with how many each sample has."""

    ids: Ints
    found: Ints
    detections: Floats
    true: Ints
    truth: Floats


class DetectionMetric(MetricAccumulator):
    """Boxes found and true of the images of one evaluation, and what is computed from them."""

    cached = ("_matches", "_resampled")

    def __init__(self, num_labels: int) -> None:
        """Start with no images; there are `num_labels` classes."""
        self.num_labels = num_labels
        super().__init__(_chunk(np.empty(0, np.int64), [], []), num_labels)

    def update(
        self,
        ids: _Array,
        predictions: Sequence[PredictedBoxes],
        references: Sequence[TrueBoxes],
    ) -> None:
        """Count a batch: integers [b], and of each image what was found and what is there.

        ValueError for other shapes, classes that there are not, and numbers that are not finite.
        """
        ids = checked_ids(ids)
        if not len(ids) == len(predictions) == len(references):
            raise ValueError(
                f"{len(ids)} ids, {len(predictions)} predictions, {len(references)} references"
            )
        found = [self._rows(one.boxes, one.labels, one.scores, None) for one in predictions]
        true = [self._rows(one.boxes, one.labels, one.iscrowd, one.area) for one in references]
        self._append(_chunk(ids, [rows[:, [0, 1, 2, 3, 5, 4]] for rows in found], true))

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return the metrics, each with a bootstrap interval over images (Efron 1979); none with 0
        `draws`. The same images give the same bits.

        map is the mean over classes and overlaps of 0.50 to 0.95 of average precision, map_50 and
        map_75 that of one overlap, map_small, map_medium and map_large that of objects below 32 x
        32 pixels, up to 96 x 96, and above. mar_1, mar_10 and mar_100 are the mean recall of so
        many detections of a class in an image. Classes without objects have no part in a mean;
        where there are no objects at all, a metric is nan.
        """
        n = len(self)
        values = _mean(self._by_class(np.ones((1, n), np.int64)))[:, 0]
        drawn = _mean(self._draws(draws))
        return [
            intervals.percentile(name, float(value), n, row[np.isfinite(row)], level)
            for name, value, row in zip(METRICS, values, drawn, strict=True)
        ]

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from: a row is the place of an
        image, whose detections and objects are here."""
        n = len(self)

        def score(rows: _Array, weights: Ints) -> Floats:
            placed = np.zeros((len(weights), n), np.int64)
            placed[:, rows[:, 0].astype(np.int64)] = weights
            values: Floats = _mean(self._by_class(placed, (metric,)))[0]
            return values

        return SampleStatistics(self._columns().ids, np.arange(n, dtype=np.float64)[:, None], score)

    def by_class(self) -> Counts:
        """Return counts int64 [classes] at an overlap of 0.5: objects found, detections that are
        right or wrong, and objects; crowds do not count."""
        matches, classes = self._matches, self.num_labels
        hits, predicted = (
            np.bincount(matches.label[which[:, 0, _HALF]], minlength=classes)
            for which in (matches.found, matches.counted)
        )
        return Counts(hits, predicted, matches.objects[:, :, 0].sum(0))

    def class_estimates(
        self, level: float = 0.95, draws: int = DRAWS
    ) -> list[dict[str, MetricEstimate]]:
        """Return map and map_50 of each class with bootstrap intervals over images; n is how many
        objects there are. Empty for a class without objects."""
        places = [METRICS.index(name) for name in OF_CLASSES]
        values = self._by_class(np.ones((1, len(self)), np.int64), OF_CLASSES)[:, 0]
        drawn = self._draws(draws)[places]
        rows = []
        for label, actual in enumerate(self.by_class().actual.tolist()):
            estimates = (
                intervals.percentile(name, float(value), actual, row[np.isfinite(row)], level)
                for name, value, row in zip(
                    OF_CLASSES, values[:, label], drawn[:, :, label], strict=True
                )
            )
            rows.append({one.name: one for one in estimates} if actual else {})
        return rows

    def only_answer(self) -> Answer | None:
        """Return () where no image has a detection, and some have objects; else None."""
        whole = self._columns()
        return () if len(whole.truth) and not len(whole.detections) else None

    @cached_property
    def _matches(self) -> Matches:
        whole, n = self._columns(), len(self)
        images = (np.repeat(np.arange(n), lengths) for lengths in (whole.found, whole.true))
        of_found, of_true = images
        return match(whole.detections, of_found, whole.truth, of_true, n, self.num_labels)

    @cached_property
    def _resampled(self) -> dict[int, Floats]:
        """What `_draws` gave, by the number of draws."""
        return {}

    def _draws(self, draws: int) -> Floats:
        """Return `_by_class` of resamples of the images."""
        if draws not in self._resampled:
            counts = np.ones(len(self), np.int64)
            blocks = [self._by_class(weights) for weights in intervals.resamples(counts, draws)]
            empty = np.empty((len(METRICS), 0, self.num_labels))
            self._resampled[draws] = np.concatenate([empty, *blocks], axis=1)
        return self._resampled[draws]

    def _by_class(self, weights: Ints, metrics: Sequence[str] = METRICS) -> Floats:
        """Return metrics by class, float64 [metrics, draws, classes], nan of a class without
        objects, where each image counts so often, int64 [draws, images]."""
        matches = self._matches
        n, classes, areas = matches.objects.shape
        objects = matches.objects.reshape(n, classes * areas).astype(np.float64)
        totals = (weights @ objects).reshape(len(weights), classes, areas)
        scores = np.full((len(metrics), len(weights), classes), _NAN)
        edges = np.searchsorted(matches.label, np.arange(classes + 1))
        for label in np.flatnonzero(matches.objects[:, :, 0].any(0)):
            own = slice(edges[label], edges[label + 1])
            one = _OfClass(
                matches.image[own], matches.rank[own], matches.found[own], matches.counted[own]
            )
            rows = max(1, _BLOCK // max(1, len(one.image)))
            for start in range(0, len(weights), rows):
                block = slice(start, start + rows)
                scores[:, block, label] = one.scores(
                    weights[block].T, totals[block, label], metrics
                )
        return scores

    def _rows(self, boxes: Any, labels: Any, fifth: Any | None, sixth: Any | None) -> Floats:
        """Return [k, 7]: box, class, score or crowd (0 where not given), area (of the box)."""
        boxes, labels = np.asarray(boxes, np.float64), np.asarray(labels)
        if boxes.shape != (len(labels), 4):
            raise ValueError(f"boxes {list(boxes.shape)} and labels {list(labels.shape)}")
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.num_labels:
            raise ValueError(f"a class is not in 0..{self.num_labels - 1}")
        fifth = np.zeros(len(labels)) if fifth is None else fifth
        with np.errstate(invalid="ignore"):
            sixth = (boxes[:, 2:] - boxes[:, :2]).prod(1) if sixth is None else sixth
        rows = np.column_stack([boxes, labels, fifth, sixth]).astype(np.float64)
        if not np.isfinite(rows).all():
            raise ValueError("a box or a score is not finite")
        return rows.reshape(-1, 7)

    def _distinct(self, chunks: Sequence[_Columns]) -> _Columns:
        kept = rows_by_id(row for chunk in chunks for row in _encoded(chunk))
        detections, truth = (
            [np.frombuffer(row[column]).reshape(-1, width) for row in kept.values()]
            for column, width in ((0, 6), (1, 7))
        )
        return _chunk(np.fromiter(kept, np.int64, len(kept)), detections, truth)

    def _packed(self, columns: _Columns) -> dict[str, _Array]:
        """found and true int64 [n]; detections float64 [D, 6] and truth float64 [M, 7]."""
        return columns._asdict()

    def _unpacked(self, state: Mapping[str, _Array]) -> _Columns:
        return _Columns(*(state[name] for name in _Columns._fields))


@dataclass(frozen=True)
class _OfClass:
    """The detections of one class, as `Matches` has them."""

    image: Ints
    rank: Ints
    found: Bools
    counted: Bools

    def scores(self, weights: Ints, totals: Floats, metrics: Sequence[str]) -> Floats:
        """Return metrics, float64 [metrics, draws], of images that count so often [images, draws]
        and have so many objects together [draws, areas]."""
        weighted = weights[self.image].astype(np.int32)  # [detections, draws]
        so_far = np.cumsum(weighted, axis=0, dtype=np.int32)
        precision: dict[tuple[int, int], Floats] = {}
        scores = []
        for name in metrics:
            if name in _RECALLS:
                share = np.where(self.rank < _RECALLS[name], self.found[:, 0].mean(1), 0)
                (places,) = share.nonzero()
                scores.append(_divided(share[places] @ weighted[places], totals[:, 0]))
                continue
            area, overlaps = _PRECISIONS[name]
            pairs = [(area, overlap) for overlap in overlaps]
            for pair in pairs:
                if pair not in precision:
                    precision[pair] = self._average_precision(
                        weighted, so_far, totals[:, area], *pair
                    )
            scores.append(np.mean([precision[pair] for pair in pairs], axis=0))
        return np.array(scores)

    def _average_precision(
        self, weighted: _Array, so_far: _Array, total: Floats, area: int, overlap: int
    ) -> Floats:
        """Return the mean over RECALLS of the highest precision at that recall or above, float64
        [draws]; nan where there are no objects.

        Only where an object is found does recall rise, and only there can precision be highest.
        """
        (places,) = self.found[:, area, overlap].nonzero()
        if not len(places):
            return np.where(total > 0, 0.0, _NAN)
        counted = self.counted[: places[-1] + 1, area, overlap]
        hits = np.cumsum(weighted[places], axis=0, dtype=np.int32)
        if counted.all():
            seen = so_far[places]
        else:
            (taken,) = counted.nonzero()
            seen = np.cumsum(weighted[taken], axis=0, dtype=np.int32)
            seen = seen[np.searchsorted(taken, places)]
        precision = hits / np.maximum(seen, 1)
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        rises = np.diff(_recalls_passed(_divided(hits, total)), axis=0, prepend=0)
        under: Floats = np.einsum("pd,pd->d", highest, rises) / len(RECALLS)
        return np.where(total > 0, under, _NAN)


def _recalls_passed(recall: Floats) -> Ints:
    """Return how many of RECALLS a recall reaches, of any shape; `np.searchsorted` is slower."""
    nearest = np.rint(np.nan_to_num(recall) * (len(RECALLS) - 1)).astype(np.int64)
    return nearest + (RECALLS[nearest] <= recall)


def _divided(numerator: _Array, denominator: _Array) -> Floats:
    """Return a quotient; nan where it would be divided by 0."""
    quotient: Floats = numerator / np.where(denominator == 0, _NAN, denominator)
    return quotient


def _mean(by_class: Floats) -> Floats:
    """Return the mean over the classes [..., classes] that have one; nan where none has."""
    known = np.isfinite(by_class)
    return _divided(np.where(known, by_class, 0).sum(-1), known.sum(-1))


def _chunk(ids: Ints, detections: Sequence[Floats], truth: Sequence[Floats]) -> _Columns:
    return _Columns(
        ids,
        np.array([len(rows) for rows in detections], np.int64),
        np.concatenate([np.empty((0, 6)), *detections]),
        np.array([len(rows) for rows in truth], np.int64),
        np.concatenate([np.empty((0, 7)), *truth]),
    )


def _encoded(columns: _Columns) -> Iterable[tuple[int, bytes, bytes]]:
    """Yield id, detections and objects of each image."""
    found, true = (np.cumsum([0, *lengths]) for lengths in (columns.found, columns.true))
    for place, i in enumerate(columns.ids.tolist()):
        detections = columns.detections[found[place] : found[place + 1]]
        truth = columns.truth[true[place] : true[place + 1]]
        yield i, detections.tobytes(), truth.tobytes()
