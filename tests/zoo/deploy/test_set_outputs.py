"""Queries of a detector are compared with those that are nearest, whatever their order."""

from typing import Any

import numpy as np
import pytest

from zoo.deploy.set_outputs import aligned

KINDS: dict[str, Any] = {"logits": "logits", "pred_boxes": "boxes_cxcywh", "other": "embedding"}


def outputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {"logits": rng.normal(size=(2, 7, 3)), "pred_boxes": rng.random((2, 7, 4))}
    return {**made, "other": rng.normal(size=(2, 5))}


def test_another_order_is_the_same_set() -> None:
    wanted, rng = outputs(), np.random.default_rng(1)
    order = np.array([rng.permutation(7) for _ in range(2)])
    found = {
        name: np.take_along_axis(x, order[..., None], 1) if name != "other" else x
        for name, x in wanted.items()
    }
    again = aligned(found, wanted, KINDS)
    assert all(np.array_equal(again[name], x) for name, x in wanted.items())
    assert not np.array_equal(found["logits"], wanted["logits"])


def test_a_wrong_query_stays_wrong() -> None:
    wanted = outputs()
    found = {name: x.copy() for name, x in wanted.items()}
    found["pred_boxes"][1, 3] += 0.2
    found["logits"][0, 2] = np.nan
    again = aligned(found, wanted, KINDS)
    assert again["pred_boxes"][1, 3] == pytest.approx(wanted["pred_boxes"][1, 3] + 0.2)
    assert np.isnan(again["logits"][0, 2]).all() and np.isnan(again["logits"]).sum() == 3


def test_what_is_no_set_is_left_alone() -> None:
    wanted = outputs()
    found = {name: x[:, ::-1] for name, x in wanted.items()}
    plain = aligned(found, wanted, KINDS | {"pred_boxes": "boxes_xyxy"})
    assert all(np.array_equal(plain[name], x) for name, x in found.items())
    short = found | {"pred_boxes": found["pred_boxes"][:, :3]}
    assert aligned(short, wanted, KINDS)["pred_boxes"].shape == (2, 3, 4)
