"""Boxes predicted at the points of a feature pyramid: which point learns which box, and how well it
predicts it.

Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection", section 3, with the centre
sampling of its journal version (Tian et al. 2020, "FCOS: A Simple and Strong Anchor-Free Object
Detector", section 3.1): a point learns a box that it lies in, near its centre, and whose size is
that of its level; of several the smallest. The loss is a focal loss of the classes at all points
(Lin et al. 2017, "Focal Loss for Dense Object Detection") and, at the points that learn a box, the
generalized IoU of the boxes (Rezatofighi et al. 2019) and the cross entropy of the centerness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

RADIUS = 1.5  # of the centre of a box in strides (Tian et al. 2020, table 5)
REACH = 8  # strides from a point to the farthest side of its box: 64 pixels at stride 8, as there
ALPHA, GAMMA = 0.25, 2.0  # of the focal loss (Lin et al. 2017, section 5.1)
EPSILON = 1e-7  # of an area in pixels, so that no box divides by nothing


def grid(height: int, width: int, strides: Sequence[int], like: "Tensor") -> "Tensor":
    """Return the points of all levels, [points, 3]: x and y in pixels of the input, and the stride.

    A level of stride s has ceil(height / s) rows of ceil(width / s) points, in the middles of its
    cells, in rows from the top left; levels follow each other.

    Args:
        height, width: of the input in pixels.
        like: a tensor of the device; the points are float32.
    """
    import torch

    levels = []
    for stride in strides:
        rows, columns = (-(-side // stride) for side in (height, width))
        y = (torch.arange(rows, dtype=torch.float32, device=like.device) + 0.5) * stride
        x = (torch.arange(columns, dtype=torch.float32, device=like.device) + 0.5) * stride
        level = torch.stack([x.repeat(rows), y.repeat_interleave(columns)], 1)
        levels.append(torch.nn.functional.pad(level, (0, 1), value=float(stride)))
    return torch.cat(levels)


@dataclass(frozen=True)
class PointTargets:
    """What the points of b images are to learn."""

    classes: "Tensor"  # int64 [b, points]: of the box that a point learns; -1: none
    boxes: "Tensor"  # float32 [b, points, 4]: that box, corners in pixels; of others anything
    ignored: "Tensor"  # bool [b, points]: neither a box nor background: it lies in a crowd


def assign(
    points: "Tensor",
    strides: Sequence[int],
    boxes: "Sequence[Tensor]",
    labels: "Sequence[Tensor]",
    crowd: "Sequence[Tensor]",
) -> PointTargets:
    """Return which box each point learns.

    Args:
        points: [points, 3] as `grid` gives them.
        strides: of the levels, ascending.
        boxes: of each image float32 [n, 4], corners (x0, y0, x1, y1) in pixels of the input.
        labels: of each image int64 [n].
        crowd: of each image bool [n]: boxes of many things, which no point learns and in which none
            is background.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    # one box of no size more, so that an image without boxes is none of its own case
    def padded(rows: "Sequence[Tensor]", value: float) -> "Tensor":
        longer = [torch.cat([row, row.new_full((1, *row.shape[1:]), value)]) for row in rows]
        return pad_sequence(longer, batch_first=True, padding_value=value)

    corners, classes, many = padded(boxes, 0), padded(labels, -1), padded(crowd, False)
    x, y, stride = points.T[:, None, :, None]  # each [1, points, 1], for [b, points, boxes]
    x0, y0, x1, y1 = (corners[:, None, :, i] for i in range(4))
    sides = torch.stack([x - x0, y - y0, x1 - x, y1 - y])  # to the left, top, right and bottom
    inside = sides.amin(0) > 0
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    near = torch.maximum((x - centre_x).abs(), (y - centre_y).abs()) < RADIUS * stride
    largest = sides.amax(0)
    low = torch.where(stride == strides[0], 0.0, stride * REACH / 2)
    high = torch.where(stride == strides[-1], float("inf"), stride * REACH)
    candidate = inside & near & (largest > low) & (largest <= high) & ~many[:, None]
    area = ((x1 - x0) * (y1 - y0)).expand_as(largest).masked_fill(~candidate, float("inf"))
    smallest, chosen = area.min(2)  # [b, points]
    learns = smallest.isfinite()
    return PointTargets(
        classes.gather(1, chosen).masked_fill(~learns, -1),
        corners.gather(1, chosen[..., None].expand(-1, -1, 4)),
        (inside & many[:, None]).any(2) & ~learns,
    )


def counts(targets: PointTargets) -> "Tensor":
    """Return how many points of each image learn a box, float32 [b], by which its loss is divided.

    An image without such a point counts as one, so that a step of images that show nothing has a
    loss, that of its background.
    """
    return (targets.classes >= 0).sum(1).clamp(min=1).float()


def losses(
    outputs: "Mapping[str, Tensor]", points: "Tensor", targets: PointTargets
) -> "dict[str, Tensor]":
    """Return the parts of the loss by name, each float32 [b], summed over the points of an image.

    Args:
        outputs: logits [b, points, classes], boxes_xyxy [b, points, 4] in pixels and centerness
            [b, points, 1], a logit.
        points: [points, 3] as `grid` gives them.
    """
    from torch.nn import functional as F

    learns = targets.classes >= 0
    logits = outputs["logits"].float()
    truth = F.one_hot(targets.classes.clamp(min=0), logits.shape[-1]) * learns[..., None]
    focal = focal_loss(logits, truth.to(logits.dtype)).sum(-1)
    # of all points, since to pick some a device would have to be waited for
    box = 1 - generalized_iou(outputs["boxes_xyxy"].float(), targets.boxes)
    centre = F.binary_cross_entropy_with_logits(
        outputs["centerness"].float()[..., 0], centerness(points, targets.boxes), reduction="none"
    )
    return {
        "class_loss": focal.masked_fill(targets.ignored, 0.0).sum(1),
        "box_loss": box.masked_fill(~learns, 0.0).sum(1),
        "centerness_loss": centre.masked_fill(~learns, 0.0).sum(1),
    }


def focal_loss(
    logits: "Tensor", truth: "Tensor", alpha: float = ALPHA, gamma: float = GAMMA
) -> "Tensor":
    """Return the focal loss of each logit, of its shape (Lin et al. 2017, equation 5).

    Args:
        truth: 1 where a logit should be high, else 0.
        alpha: weight of those that should be high; of the others 1 - alpha.
        gamma: exponent of the probability of what is wrong.
    """
    import torch
    from torch.nn import functional as F

    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = torch.where(truth > 0, -logits, logits).sigmoid()  # probability of what is wrong
    weight = truth * alpha + (1 - truth) * (1 - alpha)
    loss: Tensor = weight * wrong**gamma * entropy
    return loss


def centerness(points: "Tensor", boxes: "Tensor") -> "Tensor":
    """Return how near to the centres of boxes points lie, [..., n], from 0 at a side to 1 (Tian et
    al. 2019, equation 3); 0 outside of the box.

    Args:
        points: [n, 2 or more]: x and y.
        boxes: corners [..., n, 4].
    """
    import torch

    low, high = points[:, :2] - boxes[..., :2], boxes[..., 2:] - points[:, :2]
    ratio = torch.minimum(low, high).clamp(min=0) / torch.maximum(low, high).clamp(min=EPSILON)
    return ratio.prod(-1).sqrt()


def generalized_iou(boxes: "Tensor", others: "Tensor") -> "Tensor":
    """Return the generalized intersection over union of boxes with their counterparts, [...], from
    -1 to 1 (Rezatofighi et al. 2019, algorithm 1).

    Args:
        boxes, others: corners [..., 4], the second not left of or above the first.
    """
    import torch

    shared, union = _areas(boxes, others)
    low = torch.minimum(boxes[..., :2], others[..., :2])
    hull = _area(low, torch.maximum(boxes[..., 2:], others[..., 2:]))
    return shared / (union + EPSILON) - (hull - union) / (hull + EPSILON)


def iou(boxes: "Tensor", others: "Tensor") -> "Tensor":
    """Return the intersection over union of boxes with their counterparts, [...], from 0 to 1.

    Args:
        boxes, others: corners [..., 4].
    """
    shared, union = _areas(boxes, others)
    return shared / (union + EPSILON)


def _areas(boxes: "Tensor", others: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return the area that boxes share with their counterparts, and that of both together."""
    import torch

    low, high = boxes[..., :2], boxes[..., 2:]
    other_low, other_high = others[..., :2], others[..., 2:]
    shared = _area(torch.maximum(low, other_low), torch.minimum(high, other_high))
    return shared, _area(low, high) + _area(other_low, other_high) - shared


def _area(low: "Tensor", high: "Tensor") -> "Tensor":
    return (high - low).clamp(min=0).prod(-1)
