"""Boxes predicted as a set: who learns what, the loss, and the boxes that are found."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.vision.boxes import Placement, of_queries
from tasks.vision.set_prediction import ClassLoss, SetLoss, SetTargets, losses, match

SIZE = torch.tensor([64.0, 32.0])
CLASSES, QUERIES = 3, 6
THINGS = (2, 1, 0, 3)  # of each image


def targets(*things: int) -> SetTargets:
    generator = torch.Generator().manual_seed(5)
    boxes, labels, crowd = [], [], []
    for n in things:
        low = torch.rand(n, 2, generator=generator) * SIZE / 2
        sides = (0.2 + torch.rand(n, 2, generator=generator) * 0.3) * SIZE
        boxes.append(torch.cat([low, low + sides], 1))
        labels.append(torch.randint(CLASSES, (n,), generator=generator))
        crowd.append(torch.zeros(n, dtype=torch.bool))
    return SetTargets.of(boxes, labels, crowd, SIZE)


def outputs(how: SetLoss, b: int = len(THINGS)) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    classes = CLASSES + (how.classes == "cross_entropy")
    return {
        "logits": torch.randn(b, QUERIES, classes, generator=generator),
        "pred_boxes": torch.rand(b, QUERIES, 4, generator=generator) * 0.5 + 0.25,
    }


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "varifocal"])
def test_a_loss_is_the_same_however_a_batch_is_cut(kind: ClassLoss) -> None:
    how = SetLoss(kind)
    made, every = outputs(how), targets(*THINGS)
    whole = losses(made, every, how, SIZE)
    assert all(part.shape == (4,) for part in whole) and every.counts.tolist() == [2, 1, 1, 3]
    for i, n in enumerate(THINGS):
        alone = SetTargets(every.classes[i : i + 1], every.boxes[i : i + 1], [n])
        row = {name: x[i : i + 1] for name, x in made.items()}
        for part, its in zip(whole, losses(row, alone, how, SIZE), strict=True):
            assert torch.allclose(part[i], its[0], rtol=1e-5, atol=1e-6)
    # an image without things learns that there are none
    assert whole[0][2] > 0 and whole[1][2] == whole[2][2] == 0


def test_each_thing_is_learned_by_the_query_that_costs_least() -> None:
    how, every = SetLoss("focal"), targets(2, 0)
    made = outputs(how, 2)
    made["pred_boxes"][0, 4] = every.boxes[0, 0]
    made["pred_boxes"][0, 1] = every.boxes[0, 1]
    made["logits"][0, [4, 1], every.classes[0, :2]] = 9.0
    chosen = match(made["logits"], made["pred_boxes"], every, how, SIZE)
    assert chosen.tolist() == [[-1, 1, -1, -1, 0, -1], [-1] * 6]
    _, distance, overlap = losses(made, every, how, SIZE)
    assert distance[0] < 1e-5 and overlap[0] < 1e-4


def test_more_things_than_queries_and_crowds() -> None:
    how = SetLoss("varifocal")
    every = targets(QUERIES + 3, 1)
    made = outputs(how, 2)
    chosen = match(made["logits"], made["pred_boxes"], every, how, SIZE)
    assert len(set(chosen[0].tolist())) == QUERIES and (chosen[0] >= 0).all()
    box = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    crowd = SetTargets.of([box], [torch.tensor([1])], [torch.tensor([True])], SIZE)
    assert crowd.things == [0] and crowd.counts.tolist() == [1]


def test_a_loss_that_is_not_finite_is_no_error_of_the_matching() -> None:
    how = SetLoss("cross_entropy")
    made = outputs(how)
    made["pred_boxes"][1] = torch.nan
    parts = losses(made, targets(*THINGS), how, SIZE)
    assert parts[1][1].isnan() and parts[1][0].isfinite()


def test_boxes_of_queries_are_those_of_transformers() -> None:
    made = outputs(SetLoss("cross_entropy"), 1)
    arrays = {name: x.numpy() for name, x in made.items()}
    place = (Placement.of(40, 80, 64, "stretch"), 40, 80)
    (found,) = of_queries(arrays, [place], 64, exclusive=True)
    scores, labels = made["logits"][0].softmax(-1)[:, :-1].max(-1)
    order = scores.argsort(descending=True)
    assert np.allclose(found.scores, scores[order]) and np.array_equal(found.labels, labels[order])
    x, y, width, height = made["pred_boxes"][0, order[0]].tolist()
    wanted = [(x - width / 2) * 80, (y - height / 2) * 40, (x + width / 2) * 80]
    assert found.boxes[0].tolist() == pytest.approx([*wanted, (y + height / 2) * 40], abs=1e-3)
    (every,) = of_queries(arrays, [place], 64, exclusive=False)
    assert len(every.scores) == QUERIES * (CLASSES + 1)  # a query can be several things
    assert (np.diff(every.scores) <= 0).all()


def test_a_record_is_read_again() -> None:
    how = SetLoss("focal", (2.0, 5.0, 2.0), alpha=0.75)
    record: dict[str, Any] = {"classes": "focal", "costs": [2.0, 5.0, 2.0], "alpha": 0.75}
    assert SetLoss.of_record(record) == how
