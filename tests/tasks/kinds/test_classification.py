"""What all classifiers share: their mistakes, with the loss of each sample alone."""

import pytest
import torch

from tasks.base import Batch
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
    found = task.mistakes(seen)
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
    assert [row - 100 for _, row, _, _ in found] == [i for i, _, _ in wrong]
    for (loss, _, truth, said), (i, their, its) in zip(found, wrong, strict=True):
        single = Batch({}, batch.ids[[i]], {"labels": labels[[i]]})
        alone = task.loss({"logits": logits[[i]]}, single)
        assert loss == pytest.approx(float(alone.sum), rel=1e-6)
        names = (f"{its:.4g}", f"{their:.4g}") if problem_type == "regression" else (its, their)
        assert (truth, said) == tuple(name or "-" for name in names)
