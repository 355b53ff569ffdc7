"""Boxes out of a detector's outputs: suppression, scores, and the way back to the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.vision import boxes, pixels
from tasks.vision.boxes import Placement


def plain_nms(corners: np.ndarray, labels: np.ndarray, most: float) -> list[int]:
    """Suppression as it is defined: one box after the other."""
    kept: list[int] = []
    for i, box in enumerate(corners):
        if all(
            labels[j] != labels[i] or boxes.iou(corners[j : j + 1], box[None])[0, 0] <= most
            for j in kept
        ):
            kept.append(i)
    return kept


def test_suppression_is_by_class_and_the_surest_stays() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = rng.uniform(0, 40, (60, 2))
        corners = np.concatenate([low, low + rng.uniform(1, 30, (60, 2))], 1).astype(np.float32)
        labels = rng.integers(0, 3, 60)
        assert boxes.suppressed(corners, labels, 0.4).tolist() == plain_nms(corners, labels, 0.4)
    assert boxes.suppressed(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)).tolist() == []


def test_the_iou_of_boxes_without_area_is_nothing() -> None:
    flat = np.array([[3.0, 3, 3, 9], [0, 0, 4, 4]])
    assert boxes.iou(flat, flat).tolist() == [[0, 0], [0, 1]]
    half = boxes.iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]]))
    assert half[0, 0] == pytest.approx(1 / 3)


def outputs_of(scores: list[float], corners: list[list[float]]) -> dict[str, np.ndarray]:
    """One image, one class; a point is as sure of its class as of its centerness."""
    logit = np.log(np.array(scores) / (1 - np.array(scores))).astype(np.float32)[None, :, None]
    return {
        "logits": logit,
        "centerness": logit,
        "boxes_xyxy": np.array(corners, np.float32)[None],
    }


def test_boxes_come_surest_first_and_without_the_unsure() -> None:
    corners = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [50, 50, 60, 60]]
    (found,) = boxes.of_points(outputs_of([0.6, 0.9, 0.7, 0.01], corners))
    assert found.boxes.tolist() == [corners[1], corners[2]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7]) and found.labels.tolist() == [0, 0]


def test_what_is_not_finite_is_no_box() -> None:
    corners = [[0, 0, np.nan, 10], [20, 20, 30, 30]]
    (found,) = boxes.of_points(outputs_of([0.9, 0.7], corners))
    assert found.boxes.tolist() == [corners[1]]
    spoiled = outputs_of([0.9, 0.7], [[0, 0, 9, 9], [20, 20, 30, 30]])
    spoiled["logits"][:] = np.nan
    assert len(boxes.of_points(spoiled)[0].boxes) == 0


def test_an_image_has_at_most_a_hundred_boxes() -> None:
    corners = [[9 * x, 9 * y, 9 * x + 8, 9 * y + 8] for x in range(15) for y in range(15)]
    (found,) = boxes.of_points(outputs_of([0.9] * 225, corners))
    assert len(found.boxes) == boxes.MOST_BOXES


@settings(max_examples=50)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([32, 96]),
    st.sampled_from(["stretch", "pad"]),
)
def test_a_box_comes_back_from_the_square(height, width, size, mode) -> None:
    place = Placement.of(height, width, size, mode)
    whole = np.array([[0.0, 0, width, height], [width / 4, 0, width / 2, height / 3]])
    square = place.to_square(whole)
    assert (square >= -1e-3).all() and (square <= size + 1e-3).all()
    np.testing.assert_allclose(place.to_image(square, height, width), whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_the_box_of_a_thing_is_where_the_pixels_are(mode) -> None:
    image = np.zeros((40, 80, 1), np.uint8)
    image[10:20, 30:60] = 255
    square = pixels.fit(image, 96, mode, (0, 0, 0))
    rows, columns = np.nonzero(square[:, :, 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    box = Placement.of(40, 80, 96, mode).to_square(np.array([[30.0, 10, 60, 20]]))[0]
    np.testing.assert_allclose(box, found, atol=1)


def test_a_box_beyond_the_image_is_cut_off() -> None:
    place = Placement.of(50, 100, 96, "stretch")
    cut = place.to_image(np.array([[-20.0, -20, 200, 48]]), 50, 100)
    assert cut.tolist() == [[0, 0, 100, 25]]


def test_a_box_beside_the_image_is_none_and_takes_no_place() -> None:
    """An image of 300 x 60 lies in the rows from 29 to 43 of a square of 72 pixels."""
    place = Placement.of(60, 300, 72, "pad")
    beside = [[9.0 * x, 60, 9 * x + 8, 71] for x in range(8)] * 20  # 160 that no other suppresses
    beside = [[x0, y0, x1 + i / 40, y1] for i, (x0, y0, x1, y1) in enumerate(beside)]
    there = [[0.0, 30, 36, 36], [10, 20, 20, 50], [0, 42.99, 36, 60]]
    outputs = outputs_of([0.9] * 160 + [0.5, 0.4, 0.3], beside + there)
    (found,) = boxes.of_points(outputs, [(place, 60, 300)])
    shown = [[0, 1 / 14 * 60, 150, 30], [10 / 72 * 300, 0, 20 / 72 * 300, 60]]
    np.testing.assert_allclose(found.boxes, shown, atol=0.01)
    assert found.scores.tolist() == pytest.approx([0.5, 0.4])
    (plain,) = boxes.of_points(outputs)
    assert plain.scores[0] == pytest.approx(0.9) and plain.boxes[0].tolist() == beside[0]


def test_a_box_in_a_crowd_overlaps_it_by_its_own_area() -> None:
    crowd, within = np.array([[0.0, 0, 10, 10]]), np.array([[1.0, 1, 3, 3], [9, 0, 11, 10]])
    assert boxes.iou(crowd, within, np.array([True])).tolist() == [[1.0, 0.5]]
    assert boxes.iou(crowd, within, np.array([False]))[0, 0] == pytest.approx(0.04)


def test_what_is_in_an_image_in_words() -> None:
    names = ("circle", "square", "star")
    assert boxes.described(np.array([2, 0, 0]), names) == "2 circle, 1 star"
    assert boxes.described(np.zeros(0, np.int64), names) == "nothing"
