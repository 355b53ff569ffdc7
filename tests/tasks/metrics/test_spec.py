"""The table of metrics: every metric that is measured is in it, and what it says holds."""

from typing import NamedTuple

import numpy as np
import pytest

from tasks.metrics import METRICS, detection, metric_spec
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.means import MeanMetric
from tasks.metrics.ranked import TopKMetric
from tasks.metrics.spec import title_of
from tasks.metrics.transcription import TranscriptionMetric
from tasks.metrics.written_texts import WrittenTextMetric
from tasks.nlp import causal_lm, masked_lm
from tasks.nlp.causal_lm import CausalLM
from tasks.nlp.masked_lm import MaskedLM
from tasks.vision import masked_image
from tasks.vision.masked_image import MaskedImage


class Found(NamedTuple):
    """Boxes that were predicted in an image."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def _tallies() -> list[object]:
    rng, ids = np.random.default_rng(0), np.arange(40)
    single, multi, regression = (
        ClassificationMetric(kind, 3)
        for kind in ("single_label_classification", "multi_label_classification", "regression")
    )
    ranked, speech = TopKMetric(9, 5), TranscriptionMetric()
    single.update(ids, *rng.integers(0, 3, (2, 40)))
    multi.update(ids, *rng.integers(0, 2, (2, 40, 3)))
    regression.update(ids, *rng.normal(size=(2, 40)))
    ranked.update_ranked(ids, *rng.integers(0, 9, (3, 40)))
    words = rng.integers(0, 3, (2, 40)).tolist()
    speech.update(ids, *([" ".join(["hm"] * (n + 1)) for n in column] for column in words))
    written = WrittenTextMetric()
    texts = [[" ".join("abcde"[number] for number in row) for row in rng.integers(0, 5, (40, 9))]]
    texts.append([text[: 2 * len(text) // 3] + " f" for text in texts[0]])
    written.update(ids, *texts)
    boxes = [detection.TrueBoxes(np.array([[0, 0, n + 9, 9]]), np.array([0])) for n in range(40)]
    found = [Found(true.boxes * 1.2, true.labels, np.ones(1)) for true in boxes]
    pointed = detection.DetectionMetric(1)
    pointed.update(ids, found, boxes)
    means = [MeanMetric(name) for name in ("bits_per_dim", "denoising_loss")]
    for mean in means:
        mean.count(ids, rng.uniform(2, 5, 40))
    return [single, multi, regression, ranked, speech, written, pointed, *means]


@pytest.mark.parametrize(
    "accumulator", _tallies(), ids=lambda accumulator: str(len(accumulator.compute()))
)
def test_what_is_said_to_be_a_mean_is_one(accumulator: object) -> None:
    """Its statistics are one number a sample, whose mean it is; of what is none there are more."""
    for measured in accumulator.compute():
        rows = accumulator.sample_statistics(measured.name).rows
        is_mean = rows.shape[1] == 1 and np.isclose(rows.mean(), measured.value)
        assert metric_spec(measured.name).is_mean == is_mean, measured.name


def test_every_metric_of_every_task_is_in_it() -> None:
    named = {one.name for accumulator in _tallies() for one in accumulator.compute()}
    tasks = MaskedLM(masked_lm.Args()), CausalLM(causal_lm.Args()), MaskedImage(masked_image.Args())
    for task in tasks:
        named |= {ratio.name for ratio in task.accumulator().ratios}
        assert task.primary.name in named
    assert named <= METRICS.keys()
    for name, spec in METRICS.items():
        assert spec.name == name and spec.title and spec.unit == "1"
        scale = "relative" if name == "bits_per_byte" else "absolute"
        assert spec.scale == scale, "another would change what --max_drop means"
        assert spec.average is None or name == f"{spec.hub_id}_{spec.average}"


def test_names_on_the_hub() -> None:
    own = {name for name, spec in METRICS.items() if spec.hub_id is None}
    assert own == {
        "bits_per_byte",
        "bits_per_dim",
        "denoising_loss",
        "dice",
        "distinct_1",
        "distinct_2",
        "fid",
        "iou",
        "kid",
        "loss",
        *detection.METRICS,
        "masked_accuracy",
        "neighbour_ranking",
        "pixel_accuracy",
        "reconstruction_loss",
        "top5_accuracy",
    }
    assert {spec.hub_id for spec in METRICS.values() if spec.average} == {
        "f1", "precision", "recall"
    }  # fmt: skip


def test_titles() -> None:
    assert title_of("wer") == "Word error rate" and title_of("f1_micro") == "F1 (micro)"
    assert title_of("span_f1") == "Span f1", "a name of another version, in words"
