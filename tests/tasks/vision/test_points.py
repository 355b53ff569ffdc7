"""Which point learns which box, and the losses, against the definitions written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.vision import points

STRIDES = (8, 16, 32)
GRID = points.grid(64, 96, STRIDES, torch.empty(0))
NEVER = torch.zeros(0, dtype=torch.bool)


def assigned(boxes: list[list[float]], crowd: list[bool] | None = None) -> points.PointTargets:
    """The targets of one image with boxes of the classes 0, 1, ..."""
    return points.assign(
        GRID,
        STRIDES,
        [torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)],
        [torch.arange(len(boxes))],
        [torch.tensor(crowd or [False] * len(boxes), dtype=torch.bool)],
    )


def learners(targets: points.PointTargets, label: int) -> list[list[float]]:
    """The points, as (x, y, stride), that learn a class."""
    return GRID[targets.classes[0] == label].tolist()


def test_points_are_the_middles_of_cells_level_by_level() -> None:
    assert GRID.shape == (8 * 12 + 4 * 6 + 2 * 3, 3)
    assert GRID[0].tolist() == [4, 4, 8] and GRID[12].tolist() == [4, 12, 8]
    assert GRID[96].tolist() == [8, 8, 16] and GRID[-1].tolist() == [80, 48, 32]
    odd = points.grid(17, 9, (8,), torch.empty(0))
    assert len(odd) == 3 * 2  # a cell that is not whole is one


def test_a_box_is_learned_near_its_centre_at_the_level_of_its_size() -> None:
    targets = assigned([[20, 20, 44, 44]])
    near = [[x, y, 8.0] for y in (28.0, 36.0) for x in (28.0, 36.0)]
    # 12 pixels around the centre (32, 32), and within the box
    assert [row for row in near if row not in learners(targets, 0)] == []
    assert all(abs(x - 32) < 12 and abs(y - 32) < 12 for x, y, _ in learners(targets, 0))
    assert {stride for _, _, stride in learners(targets, 0)} == {8.0}
    # from its middle a side of 150 pixels is 75 away: more than 8 * 8, at most 8 * 16
    assert {stride for _, _, stride in learners(assigned([[-30, 0, 120, 64]]), 0)} == {16.0}
    assert {stride for _, _, stride in learners(assigned([[-300, 0, 400, 64]]), 0)} == {32.0}


def test_of_two_boxes_a_point_learns_the_smaller() -> None:
    targets = assigned([[8, 8, 56, 56], [24, 24, 40, 40]])
    assert learners(targets, 1) and all(
        24 < x < 40 and 24 < y < 40 for x, y, _ in learners(targets, 1)
    )
    where = targets.classes[0] == 1
    assert (targets.boxes[0, where] == torch.tensor([24.0, 24, 40, 40])).all()
    both = assigned([[24, 24, 40, 40], [8, 8, 56, 56]])
    assert len(learners(both, 0)) == len(learners(targets, 1))


def test_nothing_is_learned_of_a_crowd_and_no_point_in_it_is_background() -> None:
    targets = assigned([[0, 0, 32, 32], [10, 10, 22, 22]], [True, False])
    assert not learners(targets, 0) and learners(targets, 1)
    inside = (GRID[:, :2] < 32).all(1)
    assert torch.equal(targets.ignored[0], inside & (targets.classes[0] != 1))


def test_an_image_without_boxes_is_background_alone_and_beside_others() -> None:
    empty = assigned([])
    assert (empty.classes == -1).all() and not empty.ignored.any()
    assert points.counts(empty).tolist() == [1]
    boxes = [torch.zeros(0, 4), torch.tensor([[20.0, 20, 44, 44]])]
    labels = [torch.zeros(0, dtype=torch.long), torch.tensor([2])]
    both = points.assign(GRID, STRIDES, boxes, labels, [NEVER, torch.tensor([False])])
    assert torch.equal(both.classes[0], empty.classes[0]) and (both.classes[1] == 2).any()
    assert points.counts(both).tolist() == [1, int((both.classes[1] == 2).sum())]


def outputs(seed: int, images: int, classes: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(images, len(GRID), 4, generator=generator) * 30
    return {
        "logits": torch.randn(images, len(GRID), classes, generator=generator) * 2,
        "boxes_xyxy": torch.cat([GRID[:, :2] - drawn[..., :2], GRID[:, :2] + drawn[..., 2:]], -1),
        "centerness": torch.randn(images, len(GRID), 1, generator=generator),
    }


def test_the_losses_are_those_of_their_definitions() -> None:
    boxes = [[20.0, 20, 44, 44], [50, 10, 90, 50]]
    targets, out = assigned(boxes), outputs(0, 1, 2)
    found = points.losses(out, GRID, targets)
    focal = box = centre = 0.0
    for point, label in enumerate(targets.classes[0].tolist()):
        for name in range(2):
            p = float(out["logits"][0, point, name].double().sigmoid())
            right = p if name == label else 1 - p
            alpha = 0.25 if name == label else 0.75
            focal -= alpha * (1 - right) ** 2 * float(torch.tensor(right).log())
        if label < 0:
            continue
        x, y, _ = GRID[point].tolist()
        x0, y0, x1, y1 = boxes[label]
        a0, b0, a1, b1 = out["boxes_xyxy"][0, point].tolist()
        shared = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
        union = (x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared
        hull = (max(x1, a1) - min(x0, a0)) * (max(y1, b1) - min(y0, b0))
        box += 1 - (shared / union - (hull - union) / hull)
        sides = (min(x - x0, x1 - x) / max(x - x0, x1 - x)) * (
            min(y - y0, y1 - y) / max(y - y0, y1 - y)
        )
        centre += float(
            F.binary_cross_entropy_with_logits(
                out["centerness"][0, point, 0].double(), torch.tensor(sides**0.5).double()
            )
        )
    values = {name: float(part) for name, part in found.items()}
    assert values == pytest.approx(
        {"class_loss": focal, "box_loss": box, "centerness_loss": centre}, rel=1e-4
    )


def test_an_image_has_the_same_loss_alone_and_among_others() -> None:
    out = outputs(1, 3, 4)
    boxes = [torch.tensor([[20.0, 20, 44, 44]]), torch.zeros(0, 4), torch.rand(5, 2, 2).sort(1)[0]]
    boxes[2] = boxes[2].flatten(1) * 64
    labels = [torch.arange(len(row)) % 4 for row in boxes]
    crowd = [torch.zeros(len(row), dtype=torch.bool) for row in boxes]
    together = points.losses(out, GRID, points.assign(GRID, STRIDES, boxes, labels, crowd))
    for i in range(3):
        one = {name: tensor[i : i + 1] for name, tensor in out.items()}
        targets = points.assign(
            GRID, STRIDES, boxes[i : i + 1], labels[i : i + 1], crowd[i : i + 1]
        )
        alone = points.losses(one, GRID, targets)
        for name, part in together.items():
            torch.testing.assert_close(alone[name][0], part[i])


def test_a_crowd_takes_background_out_of_the_loss() -> None:
    out = outputs(2, 1, 1)
    plain, crowded = assigned([]), assigned([[0, 0, 64, 64]], [True])
    losses = [points.losses(out, GRID, one)["class_loss"] for one in (plain, crowded)]
    outside = (GRID[:, :2] >= 64).any(1)
    assert losses[1] < losses[0]
    expected = points.focal_loss(out["logits"][0, outside], torch.zeros(int(outside.sum()), 1))
    torch.testing.assert_close(losses[1][0], expected.sum())


def test_the_loss_falls_along_its_gradient() -> None:
    out = outputs(3, 1, 2)
    raw = {name: tensor.clone().requires_grad_() for name, tensor in out.items()}
    targets = assigned([[20, 20, 44, 44], [50, 10, 90, 50]])
    first = sum(points.losses(raw, GRID, targets).values()).sum()
    first.backward()
    assert all(tensor.grad.isfinite().all() for tensor in raw.values())
    moved = {name: (t - 0.01 * t.grad).detach() for name, t in raw.items()}
    assert sum(points.losses(moved, GRID, targets).values()).sum() < first
