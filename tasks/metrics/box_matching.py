"""Which detections find which objects, by COCO's rules (Lin et al. 2014, "Microsoft COCO: Common
Objects in Context"; what pycocotools computes).

Of one class in one image, detections are taken by falling score, at most 100. Each is given the
object that overlaps it most, of those not found yet and overlapped by at least the threshold; of
equal overlaps the later object. Objects that are crowds, or not of the area asked for, are given
only where no other is left; such a detection counts as neither right nor wrong, and a crowd can be
given any number of times. A detection that finds nothing and is not of the area counts neither.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.metrics.arithmetic import Bools, Floats, Ints

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
"""Of the overlap (intersection over union) that a detection needs."""
AREAS = (("all", 0.0, 1e10), ("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2),
         ("large", 96.0**2, 1e10))  # fmt: skip
"""Names and bounds of areas in pixels; both bounds belong to them."""
MOST_DETECTIONS = 100
"""Detections of one class in one image that count: those of highest score."""

_LOW, _HIGH = (np.array([area[column] for area in AREAS]) for column in (1, 2))


@dataclass(frozen=True)
class Matches:
    """What became of the detections, by class and falling score; of equal scores, the earlier image
    first. D detections, A `AREAS`, T `THRESHOLDS`."""

    image: Ints
    """[D], the place of the image."""
    label: Ints
    """[D]"""
    rank: Ints
    """[D], among the detections of its class in its image, from 0."""
    found: Bools
    """[D, A, T]: whether it found an object that counts."""
    counted: Bools
    """[D, A, T]: whether it is right or wrong."""
    objects: Ints
    """[images, classes, A]: objects to be found."""


def match(
    detections: Floats,
    detection_image: Ints,
    truth: Floats,
    truth_image: Ints,
    images: int,
    classes: int,
) -> Matches:
    """Return which detections find which objects.

    Args:
        detections: [D, 6] of x0, y0, x1, y1, score, class.
        truth: [M, 7] of x0, y0, x1, y1, class, crowd (0 or 1), area.
        detection_image, truth_image: the place of the image of each, [D] and [M].
    """
    label = detections[:, 5].astype(np.int64)
    order = np.lexsort((-detections[:, 4], label, detection_image))
    pair = (detection_image * classes + label)[order]
    rank = np.arange(len(pair)) - np.searchsorted(pair, pair)
    order, pair, rank = (column[rank < MOST_DETECTIONS] for column in (order, pair, rank))
    boxes = detections[order, :4]

    truth_pair = truth_image * classes + truth[:, 4].astype(np.int64)
    by_pair = np.argsort(truth_pair, kind="stable")
    truth, truth_pair = truth[by_pair], truth_pair[by_pair]
    ignored = (truth[:, 5] > 0)[:, None] | _outside(truth[:, 6])  # [M, A]

    found, counted = _assigned(boxes, pair, truth, truth_pair, ignored)
    objects = np.zeros((images * classes, len(AREAS)), np.int64)
    np.add.at(objects, truth_pair, ~ignored)
    by_score = np.lexsort((np.arange(len(order)), -detections[order, 4], label[order]))
    return Matches(
        detection_image[order][by_score],
        label[order][by_score],
        rank[by_score],
        found[by_score],
        counted[by_score],
        objects.reshape(images, classes, len(AREAS)),
    )


def overlaps(boxes: Floats, others: Floats, crowd: Bools) -> Floats:
    """Return how much each box overlaps the other beside it, [n]: intersection over union, or over
    the area of the first where the other is a crowd; 0 where they do not meet.

    Args:
        boxes, others: [n, 4] of x0, y0, x1, y1.
        crowd: [n], whether the other is one.
    """
    meet = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    both = np.where((meet > 0).all(1), meet.prod(1), 0.0)
    area, other_area = ((each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others))
    total = np.where(crowd, area, area + other_area - both)
    share: Floats = np.divide(both, total, out=np.zeros(len(both)), where=both > 0)
    return share


def _outside(area: Floats) -> Bools:
    """Return [n, A]: whether an area is none of these."""
    outside: Bools = (area[:, None] < _LOW) | (area[:, None] > _HIGH)
    return outside


def _assigned(
    boxes: Floats, pair: Ints, truth: Floats, truth_pair: Ints, ignored: Bools
) -> tuple[Bools, Bools]:
    """Return `Matches.found` and `Matches.counted` of detections by pair (an image and a class) and
    falling score, given the objects by pair.

    Who could find something takes part in a round for each place that it has among those of its
    pair: in a round, all pairs go on at once.
    """
    shape = (len(boxes), len(AREAS), len(THRESHOLDS))
    matched, set_aside = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    found_already = np.zeros((len(truth), *shape[1:]), np.bool_)
    detection, target, iou = _candidates(boxes, pair, truth, truth_pair)
    can_repeat = truth[:, 5] > 0
    # [E, A]: of the candidates of a detection, a higher preference is taken before a lower one
    preference = np.empty((len(target), len(AREAS)), np.int64)
    for area in range(len(AREAS)):
        best_last = np.lexsort((target, iou, ~ignored[target, area], detection))
        preference[best_last, area] = np.arange(1, len(target) + 1)
    for edges in _rounds(detection, pair):
        who, whom = detection[edges], target[edges]
        starts = np.flatnonzero(np.concatenate([[True], who[1:] != who[:-1]]))
        own = np.repeat(np.arange(len(starts)), np.diff([*starts, len(who)]))
        free = ~found_already[whom] | can_repeat[whom, None, None]
        possible = free & (iou[edges, None, None] >= THRESHOLDS)  # [edges, A, T]
        wanted = np.where(possible, preference[edges][:, :, None], 0)
        best = np.maximum.reduceat(wanted, starts)
        taken = possible & (wanted == best[own])
        found_already[whom] |= taken
        matched[who[starts]] = best > 0
        aside = taken & ignored[whom][:, :, None]
        set_aside[who[starts]] = np.logical_or.reduceat(aside, starts)
    of_no_area = _outside((boxes[:, 2:] - boxes[:, :2]).prod(1))[:, :, None]
    counted = ~(set_aside | (~matched & of_no_area))
    return matched & counted, counted


def _candidates(
    boxes: Floats, pair: Ints, truth: Floats, truth_pair: Ints
) -> tuple[Ints, Ints, Floats]:
    """Return detection, object and overlap of all that overlap enough for some threshold, by
    detection."""
    first = np.searchsorted(truth_pair, pair)
    many = np.searchsorted(truth_pair, pair, side="right") - first
    detection = np.repeat(np.arange(len(pair)), many)
    target = np.arange(len(detection)) - np.repeat(np.cumsum(many) - many - first, many)
    iou = overlaps(boxes[detection], truth[target, :4], truth[target, 5] > 0)
    enough = iou >= THRESHOLDS[0]
    return detection[enough], target[enough], iou[enough]


def _rounds(detection: Ints, pair: Ints) -> list[npt.NDArray[np.int64]]:
    """Return the edges of each round: in the n-th, those of the n-th detection of each pair."""
    distinct, which = np.unique(detection, return_inverse=True)
    pairs = pair[distinct]
    turn = (np.arange(len(pairs)) - np.searchsorted(pairs, pairs))[which]
    order = np.argsort(turn, kind="stable")
    ends = np.searchsorted(turn[order], np.arange(1, turn.max(initial=-1) + 1))
    return [part for part in np.split(order, ends) if len(part)]
