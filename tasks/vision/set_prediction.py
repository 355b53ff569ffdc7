"""Boxes predicted as a set: which prediction learns which box, and how well it predicts it.

Carion et al. 2020, "End-to-End Object Detection with Transformers", section 3.1: each thing in an
image is learned by one of the model's queries, those that cost least in all (the Hungarian
algorithm; Kuhn 1955), and all other queries learn that there is nothing. A cost, and so a loss, has
three parts: the class, the L1 distance of the boxes as shares of the image, and their generalized
IoU (Rezatofighi et al. 2019). They are weighed as the model's configuration says, and computed as
transformers does, with two differences, so that a step is the same however it is cut: what
transformers averages over the queries of a batch, the cross entropy, is averaged here over those of
an image; and an image that shows nothing counts as one thing, where transformers counts none unless
all of a batch show nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tasks.vision import points

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.base import Outputs

LARGEST = 1e9  # a cost in place of one that is not finite, so that the loss shows it, not an error
TINY = 1e-8  # within a logarithm, as transformers has it

ClassLoss = Literal["cross_entropy", "focal", "varifocal"]
"""How classes are scored and learned.

- cross_entropy: a softmax over the classes and "nothing" (Carion et al. 2020).
- focal: a sigmoid each, with the focal loss (Zhu et al. 2021, "Deformable DETR").
- varifocal: a sigmoid each, of which a matched one learns its box's IoU (Zhang et al. 2021,
  "VarifocalNet"; Zhao et al. 2024, "DETRs Beat YOLOs on Real-time Object Detection").
"""


@dataclass(frozen=True)
class SetLoss:
    """How a model's queries are matched with boxes and learn them."""

    classes: ClassLoss
    costs: tuple[float, float, float] = (1.0, 5.0, 2.0)
    """weights of class, L1 and generalized IoU where queries are matched"""
    weights: tuple[float, float, float] = (1.0, 5.0, 2.0)
    """weights of the three in the loss"""
    nothing: float = 0.1
    """cross_entropy: weight of a query without a box"""
    alpha: float = 0.25
    """focal, varifocal: weight of a matched logit against the others, or of the others"""
    gamma: float = 2.0
    """focal, varifocal: exponent of how wrong a probability is"""
    match_alpha: float = 0.25
    """focal, varifocal: alpha where queries are matched"""
    match_gamma: float = 2.0
    """focal, varifocal: gamma where queries are matched"""

    @classmethod
    def of_record(cls, recorded: Mapping[str, Any]) -> "SetLoss":
        """Return the one that `dataclasses.asdict` made a JSON object of."""
        rows: dict[str, Any] = {
            n: tuple(x) if isinstance(x, list) else x for n, x in recorded.items()
        }
        return cls(**rows)


@dataclass(frozen=True)
class SetTargets:
    """The things that are in b images, n in the one that has most."""

    classes: "Tensor"  # int64 [b, n]
    boxes: "Tensor"  # float32 [b, n, 4]: centre, width and height as shares of the image
    things: list[int] = field(default_factory=list)  # how many each image has

    @classmethod
    def of(
        cls,
        boxes: "Sequence[Tensor]",
        labels: "Sequence[Tensor]",
        crowd: "Sequence[Tensor]",
        size: "Tensor",
    ) -> "SetTargets":
        """Return the targets of a batch. Crowds, which are many things, are left out: no query is
        to learn one (Carion et al. 2020 have it so).

        Args:
            boxes: of each image float32 [n, 4], corners in pixels of the input.
            labels: of each image int64 [n].
            crowd: of each image bool [n].
            size: width and height of the input in pixels, float32 [2].
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        single = [~many for many in crowd]
        corners = [box[one] for box, one in zip(boxes, single, strict=True)]
        known = [label[one] for label, one in zip(labels, single, strict=True)]
        centred = [
            torch.cat([(x[:, :2] + x[:, 2:]) / 2, x[:, 2:] - x[:, :2]], 1) / size.repeat(2)
            for x in corners
        ]
        # one more than there are, so that an image without boxes is none of its own case
        padded = [torch.cat([x, x.new_tensor([[0.5, 0.5, 1.0, 1.0]])]) for x in centred]
        classes = [torch.cat([x, x.new_zeros(1)]) for x in known]
        return cls(
            pad_sequence(classes, batch_first=True),
            pad_sequence(padded, batch_first=True, padding_value=1.0),
            [len(x) for x in known],
        )

    @property
    def counts(self) -> "Tensor":
        """How many things each image has, float32 [b], by which its loss is divided; one at least,
        so that an image that shows nothing has a loss."""
        return self.boxes.new_tensor(self.things).clamp(min=1)


def losses(outputs: "Outputs", targets: SetTargets, how: SetLoss, size: "Tensor") -> "list[Tensor]":
    """Return the parts of the loss, weighed: of the classes, the L1 distance and the generalized
    IoU, each float32 [b], summed over the things of an image.

    Args:
        outputs: logits [b, queries, classes], of cross_entropy one more, and pred_boxes [b,
            queries, 4] as shares.
        size: width and height of the input in pixels, float32 [2].
    """
    logits, boxes = outputs["logits"].float(), outputs["pred_boxes"].float()
    chosen = match(logits.detach(), boxes.detach(), targets, how, size)
    learns = chosen >= 0
    place = chosen.clamp(min=0)
    classes = targets.classes.gather(1, place)
    wanted = targets.boxes.gather(1, place[..., None].expand(-1, -1, 4))
    # of all queries, since to pick some a device would have to be waited for
    overlap = points.generalized_iou(corners(boxes, size), corners(wanted, size))
    parts = [
        _class_losses(logits, boxes, classes, wanted, learns, targets.counts, how, size),
        (boxes - wanted).abs().sum(-1).masked_fill(~learns, 0.0).sum(1),
        (1 - overlap).masked_fill(~learns, 0.0).sum(1),
    ]
    return [weight * part for weight, part in zip(how.weights, parts, strict=True)]


def match(
    logits: "Tensor", boxes: "Tensor", targets: SetTargets, how: SetLoss, size: "Tensor"
) -> "Tensor":
    """Return which thing of its image each query learns, int64 [b, queries]; -1: none.

    An image with more things than queries leaves those unlearned that would cost most. Arguments
    are those of `losses`.
    """
    import numpy as np
    import torch
    from scipy.optimize import linear_sum_assignment

    costs = _costs(logits, boxes, targets, how, size).nan_to_num(LARGEST, LARGEST, LARGEST)
    rows: np.ndarray = costs.cpu().numpy()
    found = np.full(rows.shape[:2], -1, np.int64)
    for i, things in enumerate(targets.things):
        queries, learned = linear_sum_assignment(rows[i, :, :things])
        found[i, queries] = learned
    return torch.from_numpy(found).to(logits.device)


def _costs(
    logits: "Tensor", boxes: "Tensor", targets: SetTargets, how: SetLoss, size: "Tensor"
) -> "Tensor":
    """Return what each query would cost with each thing, [b, queries, n]."""
    if how.classes == "cross_entropy":
        by_class = -logits.softmax(-1)
    else:
        p = logits.sigmoid()
        alpha, gamma = how.match_alpha, how.match_gamma
        right = alpha * (1 - p) ** gamma * -(p + TINY).log()
        wrong = (1 - alpha) * p**gamma * -(1 - p + TINY).log()
        by_class = right - wrong
    index = targets.classes[:, None].expand(-1, logits.shape[1], -1)
    mine, its = boxes[:, :, None], targets.boxes[:, None]
    overlap = points.generalized_iou(corners(mine, size), corners(its, size))
    parts = by_class.gather(2, index), (mine - its).abs().sum(-1), -overlap
    total: Tensor = sum(w * part for w, part in zip(how.costs, parts, strict=True))  # type: ignore[assignment]
    return total


def _class_losses(
    logits: "Tensor",
    boxes: "Tensor",
    classes: "Tensor",
    wanted: "Tensor",
    learns: "Tensor",
    counts: "Tensor",
    how: SetLoss,
    size: "Tensor",
) -> "Tensor":
    """Return the loss of the classes, [b]; see `ClassLoss`.

    Args:
        classes: int64 [b, queries], what each query learns; anything where it learns nothing.
        wanted: [b, queries, 4], the boxes.
        learns: bool [b, queries].
        counts: [b], by which the loss of an image is divided.
    """
    import torch
    from torch.nn import functional as F

    if how.classes == "cross_entropy":
        nothing = logits.shape[-1] - 1
        entropy = F.cross_entropy(
            logits.transpose(1, 2), classes.masked_fill(~learns, nothing), reduction="none"
        )
        weight = torch.where(learns, 1.0, how.nothing)
        return (weight * entropy).sum(1) / weight.sum(1) * counts
    truth = F.one_hot(classes, logits.shape[-1]) * learns[..., None]
    if how.classes == "focal":
        loss = points.focal_loss(logits, truth.float(), how.alpha, how.gamma)
        return loss.sum((1, 2))
    overlap = points.iou(corners(boxes.detach(), size), corners(wanted, size))
    score = truth * overlap[..., None]
    wrong = logits.detach().sigmoid() ** how.gamma
    weight = how.alpha * wrong * (1 - truth) + score
    return F.binary_cross_entropy_with_logits(logits, score, weight, reduction="none").sum((1, 2))


def corners(boxes: "Tensor", size: "Tensor") -> "Tensor":
    """Return boxes as corners in pixels, [..., 4], out of centre, width and height as shares.

    Args:
        size: width and height of the image in pixels, [2].
    """
    import torch

    centre, sides = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(centre - sides / 2) * size, (centre + sides / 2) * size], -1)
