"""Average precision of boxes: pycocotools' to the last digits, whatever the boxes are like."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.metrics.detection import METRICS, DetectionMetric, TrueBoxes
from tasks.metrics.intervals import paired_bootstrap, resamples

CLASSES = 3
# as pycocotools lists them in `stats`
STATS = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "mar_1", "mar_10",
         "mar_100")  # fmt: skip


@dataclass
class Found:
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


Sample = tuple[Found, TrueBoxes]


def random_images(rng: np.random.Generator) -> list[Sample]:
    """A few images with the cases that are hard: no objects, no detections, more than 100 of them,
    equal scores, equal overlaps, boxes of the bounds of areas, crowds, areas that are not the
    box's."""
    ties = rng.random() < 0.5
    side = rng.choice([40, 120, 400])
    samples = []
    for _ in range(rng.integers(1, 6)):
        true = random_boxes(rng, rng.choice([0, 1, 3, 12]), side)
        labels = rng.integers(0, rng.integers(1, CLASSES + 1), len(true))
        area = (true[:, 2:] - true[:, :2]).prod(1) * rng.choice([1.0, 0.5])
        objects = TrueBoxes(true, labels, rng.random(len(true)) < rng.choice([0, 0.3]), area)
        near = np.repeat(np.arange(len(true)), rng.integers(0, 4, len(true)))
        moved = true[near] + rng.integers(-4, 5, (len(near), 4)) * rng.choice([0, 1, 0.25])
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])  # some of no area
        other = random_boxes(rng, rng.choice([0, 0, 5, 250]), side)
        boxes = np.concatenate([moved, other])
        wrong = rng.random(len(near)) < 0.2
        own = np.where(wrong, rng.integers(0, CLASSES, len(near)), labels[near])
        own = np.concatenate([own, rng.integers(0, CLASSES, len(other))]).astype(int)
        scores = rng.random(len(boxes))
        samples.append((Found(boxes, scores.round(1) if ties else scores, own), objects))
    return samples


def random_boxes(rng: np.random.Generator, many: int, side: int) -> np.ndarray:
    corner = rng.integers(0, side, (many, 2))
    sides = rng.choice([8, 16, 32, 96, side // 3], (many, 2))
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(float)
    return boxes[rng.integers(0, max(many, 1), many)] if rng.random() < 0.2 else boxes


def counted(samples: list[Sample]) -> DetectionMetric:
    metric = DetectionMetric(CLASSES)
    metric.update(np.arange(len(samples)), *map(list, zip(*samples, strict=True)))
    return metric


def by_pycocotools(samples: list[Sample]) -> dict[str, float]:
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def rows(which: int, *more: str) -> list[dict]:
        return [
            {"image_id": image, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0],
             **{key: getattr(sample[which], name)[row].item() for key, name in extra}}
            for image, sample in enumerate(samples)
            for row, ((x0, y0, x1, y1), label) in enumerate(
                zip(sample[which].boxes.tolist(), sample[which].labels, strict=True)
            )
            for extra in [[name.split("=") for name in more]]
        ]  # fmt: skip

    truth, quiet = coco.COCO(), contextlib.redirect_stdout(io.StringIO())
    annotations = rows(1, "iscrowd=iscrowd", "area=area")
    truth.dataset = {
        "images": [{"id": image} for image in range(len(samples))],
        "categories": [{"id": label} for label in range(CLASSES)],
        "annotations": [row | {"id": i + 1, "iscrowd": int(row["iscrowd"])}
                        for i, row in enumerate(annotations)],
    }  # fmt: skip
    with quiet:
        truth.createIndex()
        detections = rows(0, "score=scores")
        result = truth.loadRes(detections) if detections else coco.COCO()
        evaluation = COCOeval(truth, result, "bbox")
        evaluation.params.imgIds = list(range(len(samples)))
        evaluation.params.catIds = list(range(CLASSES))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(STATS, evaluation.stats[:9].tolist(), strict=True))


def same_as_pycocotools(seeds: range) -> None:
    pytest.importorskip("pycocotools.coco")
    seen = set()
    for seed in seeds:
        samples = random_images(np.random.default_rng(seed))
        ours = {one.name: one.value for one in counted(samples).compute(draws=0)}
        for name, value in by_pycocotools(samples).items():
            if value == -1:  # as it says that there is nothing of the kind
                assert np.isnan(ours[name]), (seed, name)
            else:
                assert ours[name] == pytest.approx(value, abs=1e-9), (seed, name)
                seen.add((name, 0 < value < 1))
    assert {(name, True) for name in STATS} <= seen


def test_equal_to_pycocotools() -> None:
    same_as_pycocotools(range(20))


@pytest.mark.slow
def test_equal_to_pycocotools_on_200_random_sets() -> None:
    same_as_pycocotools(range(1000, 1200))


def a_box(x: float = 0, side: float = 10, label: int = 0, score: float = 0.9) -> Found:
    box = np.array([[x, 0, x + side, side]], float)
    return Found(box, np.array([score]), np.array([label]))


def nothing() -> Found:
    return Found(np.empty((0, 4)), np.empty(0), np.empty(0, int))


def true(*found: Found, crowd: bool = False) -> TrueBoxes:
    boxes, labels = (
        np.concatenate([getattr(one, name) for one in (nothing(), *found)])
        for name in ("boxes", "labels")
    )
    return TrueBoxes(boxes, labels, np.full(len(boxes), crowd))


def values(metric: DetectionMetric) -> dict[str, float]:
    return {one.name: one.value for one in metric.compute(draws=0)}


def test_what_is_known_by_hand() -> None:
    """One box right of two, and a wrong one of lower score: precision 1 up to a recall of 0.5."""
    metric = DetectionMetric(1)
    both = true(a_box(), a_box(50))
    metric.update(np.array([0, 1]), [a_box(), a_box(90, score=0.1)], [both, true()])
    found = values(metric)
    for name in ("map", "map_50", "map_75", "map_small"):
        assert found[name] == pytest.approx(51 / 101)
    assert found["mar_1"] == found["mar_100"] == 0.5
    assert np.isnan(found["map_large"])
    counts = metric.by_class()
    assert [column.tolist() for column in counts[:3]] == [[1], [2], [2]]


def test_a_crowd_is_neither_found_nor_missed() -> None:
    metric = DetectionMetric(1)
    inside = [a_box(x, score=1.0) for x in (0, 10, 20)]
    boxes = Found(*(np.concatenate([getattr(one, name) for one in (*inside, a_box(500))])
                    for name in ("boxes", "scores", "labels")))  # fmt: skip
    region = TrueBoxes(
        np.array([[0, 0, 30, 10], [500, 0, 510, 10]], float),
        np.array([0, 0]),
        np.array([True, False]),
    )
    metric.update(np.array([0]), [boxes], [region])
    assert values(metric)["map"] == 1


def test_no_images_no_objects_and_no_detections() -> None:
    empty = DetectionMetric(2)
    assert all(np.isnan(value) for value in values(empty).values()) and len(empty) == 0
    assert [one.method for one in empty.compute()] == ["undefined"] * len(METRICS)
    empty.update(np.array([0]), [a_box()], [true()])
    assert all(np.isnan(value) for value in values(empty).values())
    assert empty.only_answer() is None
    blind = DetectionMetric(2)
    blind.update(np.arange(2), [nothing(), nothing()], [true(a_box(label=1)), true()])
    assert values(blind)["map"] == 0 == values(blind)["mar_100"]
    assert blind.only_answer() == ()
    assert blind.class_estimates()[0] == {}
    assert blind.class_estimates()[1]["map"].n == 1


def test_merged_in_any_order_and_counted_once() -> None:
    samples = random_images(np.random.default_rng(5)) + random_images(np.random.default_rng(6))
    whole, ids = counted(samples), np.arange(len(samples))
    parts = []
    for rows in (ids[1::2], ids[::2], ids[:2]):  # the last again
        part = DetectionMetric(CLASSES)
        part.update(rows, *map(list, zip(*(samples[row] for row in rows), strict=True)))
        parts.append(part.state())
    for states in (parts, parts[::-1]):
        merged = DetectionMetric(CLASSES).merge(states)
        assert len(merged) == len(samples)
        assert repr(merged.compute(draws=50)) == repr(whole.compute(draws=50))
    with pytest.raises(UserError, match="sample 0 came with two different references"):
        whole.update(np.array([0]), [a_box()], [true(a_box(3), a_box(7))])
        len(whole)
    with pytest.raises(ValueError, match="headers"):
        DetectionMetric(CLASSES + 1).merge(parts)


def noisy(seed: int, noise: float, images: int = 60) -> DetectionMetric:
    """Images of 3 objects each, found with some noise, the same objects whatever the noise."""
    truth, rng = np.random.default_rng(seed), np.random.default_rng([seed, round(100 * noise)])
    metric = DetectionMetric(2)
    for image in range(images):
        boxes = truth.uniform(0, 60, (3, 4))
        boxes[:, 2:] = boxes[:, :2] + truth.uniform(20, 60, (3, 2))
        labels = truth.integers(0, 2, 3)
        moved = boxes + rng.normal(0, noise, boxes.shape)
        metric.update(
            np.array([image]), [Found(moved, rng.random(3), labels)], [TrueBoxes(boxes, labels)]
        )
    return metric


def test_intervals_are_over_images() -> None:
    """Each draw is the metric of the images it drew, as many times as it drew them."""
    metric = noisy(0, 3.0, 12)
    state = metric.state()
    detections, truth = state["detections"].reshape(-1, 3, 6), state["truth"].reshape(-1, 3, 7)
    (weights,) = resamples(np.ones(12, np.int64), 8)
    for draw, counts in enumerate(weights):
        rows = np.repeat(np.arange(12), counts)
        again = DetectionMetric(2)
        again.update(
            np.arange(12),
            [Found(one[:, :4], one[:, 4], one[:, 5].astype(int)) for one in detections[rows]],
            [TrueBoxes(one[:, :4], one[:, 4].astype(int)) for one in truth[rows]],
        )
        drawn = dict(zip(METRICS, metric._draws(8)[:, draw].mean(-1), strict=True))
        assert drawn == pytest.approx(values(again), rel=1e-12, nan_ok=True)
    estimate = metric.compute(draws=200)[0]
    assert estimate.method == "bootstrap" and estimate.n == 12
    assert estimate.low < estimate.value < estimate.high


def test_two_ways_are_compared_by_pairs() -> None:
    better, worse = noisy(0, 2.0), noisy(0, 4.0)
    ours, theirs = (one.sample_statistics("map") for one in (better, worse))
    assert ours.score(ours.rows, np.ones((1, 60), np.int64))[0] == values(better)["map"]
    draws = paired_bootstrap(ours, theirs, np.subtract, draws=200)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert 0 < low < values(better)["map"] - values(worse)["map"] < high
    same = paired_bootstrap(ours, noisy(0, 2.0).sample_statistics("map"), np.subtract, draws=50)
    assert not same.any()


def test_classes_have_their_own_precision() -> None:
    metric = noisy(0, 3.0)
    each = metric.class_estimates(draws=50)
    assert np.mean([one["map"].value for one in each]) == pytest.approx(values(metric)["map"])
    assert sum(one["map_50"].n for one in each) == 180
    assert all(one["map"].low < one["map"].value < one["map"].high for one in each)


@pytest.mark.parametrize(
    ("found", "objects", "message"),
    [
        (Found(np.zeros((2, 4)), np.ones(2), np.zeros(1, int)), true(), "boxes"),
        (a_box(label=2), true(), "a class is not in 0..1"),
        (a_box(score=np.nan), true(), "not finite"),
        (a_box(), true(a_box(np.inf)), "not finite"),
    ],
)
def test_what_no_model_may_give(found: Found, objects: TrueBoxes, message: str) -> None:
    metric = DetectionMetric(2)
    with pytest.raises(ValueError, match=message):
        metric.update(np.array([0]), [found], [objects])
    with pytest.raises(ValueError, match="ids"):
        metric.update(np.array([0, 1]), [a_box()], [true()])
    assert len(metric) == 0
