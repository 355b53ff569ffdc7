"""What all classifiers share: predictions, and mistakes with the loss of each sample alone."""

from typing import Any

import pytest
import torch

from tasks.base import Batch
from tasks.kinds.classification import NumberPrediction, NumbersPrediction
from tasks.nlp.text_classification import Args, TextClassification
from tests.evaluated import evaluated

LABELS = ("a", "b", "c")


def task_of(problem_type: str, weights: tuple[float, ...] = ()) -> TextClassification:
    labels = () if problem_type == "regression" else LABELS
    return TextClassification(Args(), labels, problem_type, weights)


@pytest.mark.parametrize(
    ("problem_type", "weights"),
    [
        ("single_label_classification", ()),
        ("single_label_classification", (0.5, 1.0, 3.0)),
        ("multi_label_classification", ()),
        ("regression", ()),
    ],
)
def test_a_mistake_has_the_loss_of_its_sample_alone(
    problem_type: str, weights: tuple[float, ...]
) -> None:
    task, rng = task_of(problem_type, weights), torch.Generator().manual_seed(0)
    logits = torch.randn(40, 1 if problem_type == "regression" else 3, generator=rng)
    labels = torch.randint(3, (40,), generator=rng)
    if problem_type == "multi_label_classification":
        labels = torch.rand(40, 3, generator=rng).round()
    if problem_type == "regression":
        labels = torch.randn(40, generator=rng)
        labels[7] = logits[7, 0]  # as right as it can be
    batch, outputs = Batch({}, torch.arange(100, 140), {"labels": labels}), {"logits": logits}
    seen = evaluated(task, batch, outputs)
    found = task.errors(seen)
    readings = [task.to_json(one) for one in seen.predictions]
    wrong = []
    for i, reading in enumerate(readings):
        said = reading["score"] if problem_type == "regression" else reading["label"]
        truth = labels[i].item() if labels.ndim == 1 else labels[i].nonzero().flatten().tolist()
        if problem_type == "single_label_classification":
            truth = LABELS[truth]
        elif problem_type == "multi_label_classification":
            said, truth = "|".join(sorted(said)), "|".join(LABELS[k] for k in truth)
        if said != truth:
            wrong.append((i, said, truth))
    assert [row - 100 for _, row, *_ in found] == [i for i, _, _ in wrong]
    for (loss, _, truth, said, score), (i, their, its) in zip(found, wrong, strict=True):
        single = Batch({}, batch.ids[[i]], {"labels": labels[[i]]})
        alone = task.loss({"logits": logits[[i]]}, single)
        assert loss == pytest.approx(float(alone.sum), rel=1e-6)
        is_single = problem_type == "single_label_classification"
        assert score == (readings[i]["score"] if is_single else None)
        names = (f"{its:.4g}", f"{their:.4g}") if problem_type == "regression" else (its, their)
        assert (truth, said) == tuple(name or "-" for name in names)


LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, -1.0, 3.0]])


@pytest.mark.parametrize("as_given", [torch.Tensor.clone, torch.Tensor.numpy])
def test_predictions_are_typed_and_made_of_tensors_or_arrays(as_given: Any) -> None:
    one, two = task_of("single_label_classification").postprocess({"logits": as_given(LOGITS)})
    assert (one.label, two.label) == (0, 2)
    assert one.scores == pytest.approx(LOGITS.softmax(-1)[0].tolist(), rel=1e-6)
    several = task_of("multi_label_classification").postprocess({"logits": as_given(LOGITS)})
    assert [each.labels for each in several] == [(0, 1, 2), (0, 2)], "0 is half, and reaches it"
    assert several[1].scores == pytest.approx(LOGITS.sigmoid()[1].tolist(), rel=1e-6)
    numbers = task_of("regression").postprocess({"logits": as_given(LOGITS[:, :1])})
    assert numbers == [NumberPrediction(2.0), NumberPrediction(0.0)]


def test_several_numbers() -> None:
    """Their loss is the mean over them, as transformers has it; a prediction names each."""
    task = TextClassification(Args(), ("width", "height"), "regression")
    labels = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    batch, outputs = Batch({}, torch.tensor([7, 8]), {"labels": labels}), {"logits": LOGITS[:, :2]}
    loss = task.loss(outputs, batch)
    expected = torch.nn.functional.mse_loss(LOGITS[:, :2], labels)
    assert float(loss.sum / loss.count) == pytest.approx(float(expected))
    seen = evaluated(task, batch, outputs)
    assert seen.predictions[0] == NumbersPrediction((2.0, 1.0))
    assert task.to_json(seen.predictions[0]) == {"label": ["width", "height"], "score": [2.0, 1.0]}
    assert task.errors(seen) == [(1.0, 7, "width 1, height 2", "width 2, height 1", None)]
    found = task.accumulator()
    task.update(found, seen)
    assert [one.value for one in found.compute() if one.name == "mse"] == [0.5]
    assert "2 numbers for an input (width, height), each in the unit" in task.describe_outputs(str)


def test_top_k_are_the_best_scores_in_order() -> None:
    task = task_of("single_label_classification")
    (found,) = task.postprocess({"logits": LOGITS[1:]})
    scores = LOGITS[1].softmax(-1).tolist()
    assert task.to_json(found) == {"label": "c", "score": pytest.approx(scores[2], rel=1e-6)}
    best = task.to_json(found, 2)["scores"]
    assert list(best) == ["c", "a"]
    assert [*best.values()] == pytest.approx([scores[2], scores[0]], rel=1e-6)
    task = task_of("multi_label_classification")
    (found,) = task.postprocess({"logits": LOGITS[1:]})
    scores = LOGITS[1].sigmoid().tolist()
    assert task.to_json(found) == {
        "label": ["c", "a"],
        "score": pytest.approx([scores[2], scores[0]], rel=1e-6),
    }


def test_references_are_what_predictions_are_compared_with() -> None:
    batch = Batch({}, torch.arange(2), {"labels": torch.tensor([[1.0, 0, 1], [0, 0, 0]])})
    assert task_of("multi_label_classification").references(batch) == [(0, 2), ()]
    batch = Batch({}, torch.arange(2), {"labels": torch.tensor([2, 0])})
    assert task_of("single_label_classification").references(batch) == [2, 0]


def test_a_label_behind_many_that_softmax_can_not_tell_apart_keeps_its_rank() -> None:
    """Probabilities of 0 are all alike, and logits are not."""
    labels = tuple("abcdefgh")
    task = TextClassification(Args(), labels, "single_label_classification")
    logits = torch.tensor([[900.0, 7, 6, 5, 4, 3, 2, 1]])
    batch = Batch({}, torch.arange(1), {"labels": torch.tensor([7])})
    accumulator = task.accumulator()
    task.update(accumulator, evaluated(task, batch, {"logits": logits}))
    values = {one.name: one.value for one in accumulator.compute(draws=0)}
    assert values["accuracy"] == 0 and values["top5_accuracy"] == 0
