"""Mean IoU, Dice and pixel accuracy against their definitions, written out pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.metrics import intervals
from tasks.metrics.segmentation import SegmentationMetric

IGNORED = 255


def maps(seed: int, images: int, classes: int, wrong: float = 0.4) -> tuple[list, list]:
    """Predictions and references of images of several sizes, with pixels that do not count."""
    rng = np.random.default_rng(seed)
    references, predictions = [], []
    for _ in range(images):
        shape = tuple(rng.integers(1, 8, 2))
        # not every class is in every image, and the last may be in none
        truth = rng.integers(0, max(1, classes - 1), shape).astype(np.uint8)
        other = rng.integers(0, classes, shape).astype(np.uint8)
        said = np.where(rng.random(shape) < wrong, other, truth)
        truth[rng.random(shape) < 0.2] = IGNORED
        references.append(truth)
        predictions.append(said)
    return predictions, references


def by_hand(predictions: list, references: list, classes: int) -> dict[str, float]:
    nothing = np.zeros(0, np.uint8)
    said = np.concatenate([nothing, *(one.ravel() for one in predictions)])
    truth = np.concatenate([nothing, *(one.ravel() for one in references)])
    said, truth = said[truth != IGNORED], truth[truth != IGNORED]
    ious, dices = [], []
    for label in range(classes):
        both = ((said == label) & (truth == label)).sum()
        either = ((said == label) | (truth == label)).sum()
        if either:
            ious.append(both / either)
            dices.append(2 * both / ((said == label).sum() + (truth == label).sum()))
    return {
        "mean_iou": float(np.mean(ious)) if ious else math.nan,
        "dice": float(np.mean(dices)) if dices else math.nan,
        "pixel_accuracy": float((said == truth).mean()) if len(truth) else math.nan,
    }


def counted(predictions: list, references: list, classes: int) -> SegmentationMetric:
    metric = SegmentationMetric(classes)
    metric.update(np.arange(len(references)), predictions, references)
    return metric


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 6))
def test_metrics_are_their_definitions(seed: int, images: int, classes: int) -> None:
    predictions, references = maps(seed, images, classes)
    found = {one.name: one for one in counted(predictions, references, classes).compute(draws=0)}
    wanted = by_hand(predictions, references, classes)
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, abs=1e-12, nan_ok=True)
        assert found[name].n == images


def test_samples_count_once_in_whatever_process_they_were_seen() -> None:
    predictions, references = maps(1, 9, 4)
    whole = counted(predictions, references, 4)
    parts = []
    for ids in ([0, 3, 6, 0], [1, 4, 7], [8, 2, 5, 2]):  # each rank repeats its first
        part = SegmentationMetric(4)
        part.update(np.array(ids), [predictions[i] for i in ids], [references[i] for i in ids])
        parts.append(part.state())
    merged = SegmentationMetric(4).merge(parts)
    assert len(merged) == 9
    assert merged.compute() == whole.compute()
    assert np.array_equal(merged.confusion_matrix(), whole.confusion_matrix())


def test_an_id_with_two_masks_is_a_contradiction() -> None:
    metric = SegmentationMetric(2)
    zeros = np.zeros((2, 2), np.uint8)
    metric.update(np.array([4, 4]), [zeros, zeros], [zeros, zeros + 1])
    with pytest.raises(UserError, match="two different references"):
        metric.compute()


def test_the_interval_is_over_images_and_a_paired_bootstrap_sees_the_same_numbers() -> None:
    predictions, references = maps(2, 30, 3)
    metric = counted(predictions, references, 3)
    for one in metric.compute():
        assert one.low < one.value < one.high
        assert one.method == "bootstrap"
        statistics = metric.sample_statistics(one.name)
        ones = np.ones((1, 30), np.int64)
        assert statistics.score(statistics.rows, ones)[0] == pytest.approx(one.value, abs=1e-12)
        nothing = intervals.paired_bootstrap(statistics, statistics, lambda a, b: a - b, draws=20)
        assert (nothing == 0).all()


def test_classes_have_scores_of_their_own() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, IGNORED]], np.uint8)
    said = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], np.uint8)
    metric = counted([said], [truth], 3)
    background, thing, absent = metric.class_estimates(draws=0)
    assert background["iou"].value == pytest.approx(4 / 5)
    assert thing["iou"].value == pytest.approx(2 / 3)
    assert (thing["precision"].value, thing["recall"].value) == (1, pytest.approx(2 / 3))
    assert thing["f1"].value == pytest.approx(0.8)
    assert thing["iou"].n == 3
    assert absent == {}
    assert metric.confusion_matrix().tolist() == [[4, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert metric.by_class().actual.tolist() == [4, 3, 0]


def test_one_answer_to_every_pixel_is_told() -> None:
    truth = np.array([[0, 0, 0, 1]], np.uint8)
    metric = counted([np.ones_like(truth)], [truth], 2)
    assert metric.only_answer() == 1
    constant = metric.constant()
    assert constant is not None
    assert constant.answer == 0  # most pixels
    assert constant.values["pixel_accuracy"] == pytest.approx(0.75)
    assert constant.values["mean_iou"] == pytest.approx(0.375)
    assert counted([truth], [truth], 2).only_answer() is None


def test_maps_that_do_not_fit_are_a_fault_of_the_caller() -> None:
    metric = SegmentationMetric(2)
    with pytest.raises(ValueError, match="for a mask of"):
        metric.update(np.array([0]), [np.zeros((2, 2), np.uint8)], [np.zeros((2, 3), np.uint8)])
    with pytest.raises(ValueError, match="beyond the 2"):
        metric.update(np.array([0]), [np.full((2, 2), 2, np.uint8)], [np.zeros((2, 2), np.uint8)])
