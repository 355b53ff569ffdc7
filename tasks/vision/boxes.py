"""Boxes that a detector finds, and where the boxes of an image lie in what the detector sees.

A box is its corners (x0, y0, x1, y1) in pixels, from the top left of the image; x1 and y1 are just
behind its last pixel. All of it is numpy's, so that an exported program predicts without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.arrays import sigmoid, softmax
from tasks.vision.image_args import ResizeMode
from tasks.vision.pixels import inner_part

Floats = npt.NDArray[np.float32]

LEAST_SCORE = 0.05  # of a box that counts at all (Tian et al. 2019, section 4)
MOST_CANDIDATES = 1000  # boxes of an image that are compared with each other, as there
MOST_OVERLAP = 0.6  # intersection over union of two boxes of a class that both stay, as there
MOST_BOXES = 100  # of an image, which is what COCO's metric looks at
LEAST_SIDE = 0.1  # pixels of a box in its image: what is thinner has no area as it is written


@dataclass(frozen=True, eq=False)
class Boxes:
    """Things found in an image, the surest first."""

    boxes: Floats  # float32 [k, 4], in pixels of the image as its file has it
    scores: Floats  # float32 [k], from 0 to 1
    labels: npt.NDArray[np.int64]  # int64 [k]


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the square that a model sees: scaled, then moved."""

    x_scale: float
    y_scale: float
    left: int
    top: int

    @classmethod
    def of(cls, height: int, width: int, size: int, mode: ResizeMode) -> "Placement":
        """Return where `tasks.vision.pixels.fit` puts an image of height x width pixels.

        Args:
            size: side of the square in pixels.
            mode: "stretch" or "pad".
        """
        if mode == "stretch":
            return cls(size / width, size / height, 0, 0)
        rows, columns, top, left = inner_part(height, width, size)
        return cls(columns / width, rows / height, left, top)

    def to_square(self, boxes: npt.NDArray[Any]) -> Floats:
        """Return boxes of the image [n, 4] as boxes of the square."""
        scale, shift = self._scale_and_shift()
        return (boxes * scale + shift).astype(np.float32)

    def to_image(self, boxes: npt.NDArray[Any], height: int, width: int) -> Floats:
        """Return boxes of the square [n, 4] as boxes of an image of height x width pixels, cut off
        at its sides."""
        scale, shift = self._scale_and_shift()
        sides = np.array([width, height, width, height])
        return np.clip((boxes - shift) / scale, 0, sides).astype(np.float32)

    def _scale_and_shift(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        scale = np.array([self.x_scale, self.y_scale] * 2)
        return scale, np.array([self.left, self.top] * 2, np.float64)


def of_points(
    outputs: Mapping[str, npt.NDArray[Any]],
    images: Iterable[tuple[Placement, int, int]] | None = None,
) -> list[Boxes]:
    """Return the boxes that the points of a detector predict.

    The score of a class at a point is the root of its probability and the centerness; of boxes of
    one class that overlap much the surest stays.

    Args:
        outputs: float32 logits [b, points, classes], boxes_xyxy [b, points, 4] and centerness [b,
            points, 1], a logit.
        images: where each image lies in the input, and its height and width: its boxes are in its
            pixels, and none lies beside it. None: in pixels of the input.
    """
    scores = np.sqrt(sigmoid(outputs["logits"]) * sigmoid(outputs["centerness"]))
    rows = zip(outputs["boxes_xyxy"], scores, strict=True)
    if images is None:
        return [_selected(boxes, each, boxes) for boxes, each in rows]
    return [
        _selected(boxes, each, place.to_image(boxes, height, width), LEAST_SIDE)
        for (boxes, each), (place, height, width) in zip(rows, images, strict=True)
    ]


def of_queries(
    outputs: Mapping[str, npt.NDArray[Any]],
    images: Iterable[tuple[Placement, int, int]],
    size: int,
    exclusive: bool,
) -> list[Boxes]:
    """Return the boxes that the queries of a detector predict, which suppress none of each other.

    Args:
        outputs: float32 logits [b, queries, classes] and pred_boxes [b, queries, 4]: centre, width
            and height as shares of the input.
        images: where each image lies in the input, and its height and width: its boxes are in its
            pixels, and none lies beside it.
        size: height and width of the input in pixels.
        exclusive: whether the logits are those of a softmax with "nothing" as the last class, so
            that a query is one thing at most; else each class is scored by itself, and a query can
            be several, as transformers has both.
    """
    logits, centred = outputs["logits"], outputs["pred_boxes"] * np.float32(size)
    centre, sides = centred[..., :2], centred[..., 2:]
    corners = np.concatenate([centre - sides / 2, centre + sides / 2], -1)
    scores = sigmoid(logits)
    if exclusive:
        scores = softmax(logits)[..., :-1]
        highest = scores.argmax(-1)[..., None] == np.arange(scores.shape[-1])
        scores = np.where(highest, scores, -1)
    return [
        _surest(place.to_image(boxes, height, width), each)
        for boxes, each, (place, height, width) in zip(corners, scores, images, strict=True)
    ]


def _surest(boxes: Floats, scores: Floats) -> Boxes:
    """Return the surest boxes of one image.

    Args:
        boxes: [queries, 4] in its pixels.
        scores: [queries, classes]; negative: not that class.
    """
    large = (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(1, keepdims=True)  # NaN is not
    query, label = np.nonzero((scores >= 0) & large)
    score = scores[query, label]
    order = np.argsort(-score, kind="stable")[:MOST_BOXES]
    return Boxes(boxes[query[order]], score[order], label[order])


def _selected(boxes: Floats, scores: Floats, given: Floats, least: float = 0.0) -> Boxes:
    """Return the boxes of one image that stay.

    Args:
        boxes: [points, 4], by which they suppress each other.
        scores: [points, classes].
        given: [points, 4], what is returned of each.
        least: shortest side that one of those may have.
    """
    usable = np.flatnonzero(np.isfinite(boxes).all(1))
    boxes, scores, given = boxes[usable], scores[usable], given[usable]
    large = (given[:, 2:] - given[:, :2] >= least).all(1, keepdims=True)
    point, label = np.nonzero((scores > LEAST_SCORE) & large)
    score = scores[point, label]
    order = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
    point, label, score = point[order], label[order], score[order]
    kept = suppressed(boxes[point], label)[:MOST_BOXES]
    return Boxes(given[point[kept]], score[kept], label[kept])


def suppressed(
    boxes: Floats, labels: npt.NDArray[np.int64], most: float = MOST_OVERLAP
) -> npt.NDArray[np.int64]:
    """Return which boxes are left, int64 [k], where each suppresses those of its own class behind
    it that it overlaps by more than `most`.

    Args:
        boxes: [n, 4], the surest first.
        labels: [n].
        most: intersection over union.
    """
    overlaps = (iou(boxes, boxes) > most) & (labels[:, None] == labels)
    left = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if left[i]:
            left[i + 1 :] &= ~overlaps[i, i + 1 :]
    return np.flatnonzero(left)


def iou(
    boxes: npt.NDArray[Any], others: npt.NDArray[Any], crowd: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[Any]:
    """Return the intersection over union of each of boxes [n, 4] with each of others [m, 4]: [n,
    m]; 0 of two without an area.

    Args:
        crowd: bool [n], which boxes are crowds: over the area of the other, as COCO has it.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas, other_areas = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(-1) for x in (boxes, others))
    union = areas[:, None] + other_areas - shared
    if crowd is not None:
        union = np.where(crowd[:, None], other_areas, union)
    shares: npt.NDArray[Any] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return shares


def described(labels: npt.NDArray[np.int64], names: Sequence[str]) -> str:
    """Return what is in an image, for people: "2 circle, 1 star"; "nothing"."""
    counts = np.bincount(labels, minlength=len(names))
    found = [f"{n} {name}" for n, name in zip(counts.tolist(), names, strict=True) if n]
    return ", ".join(found) or "nothing"
