"""What is computed of a teacher's outputs, against the formulas written out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.base import Batch, Loss, Outputs
from tasks.errors import UserError
from tasks.kinds.classification import Classification
from tasks.nlp import text_classification
from tasks.nlp.text_classification import TextClassification
from tasks.speech import speech_recognition
from tasks.speech.decoding import ctc
from zoo.train.args import TrainArgs
from zoo.train.args import check as check_args
from zoo.train.methods import distillation
from zoo.train.methods.distillation import (
    check,
    distilled,
    hidden_loss,
    layers_of,
    matched,
    outputs_of,
)

RNG = torch.Generator().manual_seed(0)
CPU = torch.device("cpu")


def _task(kind: str | None) -> Any:
    if kind is None:
        return speech_recognition.SpeechRecognition(speech_recognition.Args())
    return TextClassification(text_classification.Args(), ("a", "b"), kind)


def soft_loss(task: Any, ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    return distillation.soft_loss(task, {"logits": ours}, {"logits": theirs}, temperature)


def _pair(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(shape, generator=RNG), torch.randn(shape, generator=RNG)


def test_single_label_is_the_divergence_times_the_square_of_the_temperature() -> None:
    ours, theirs = _pair(5, 4)
    p, q = (np.exp(x.numpy() / 3) for x in (theirs, ours))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = 9 * (p * (np.log(p) - np.log(q))).sum()
    found = soft_loss(_task("single_label_classification"), ours, theirs, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_its_gradient_is_that_of_section_2() -> None:
    """Equation 2 of Hinton et al. 2015: 1/T (softmax(z/T) - softmax(v/T)), here times T^2."""
    ours, theirs = _pair(5, 4)
    ours.requires_grad_()
    soft_loss(_task("single_label_classification"), ours, theirs, 2.5).backward()
    expected = 2.5 * ((ours / 2.5).softmax(-1) - (theirs / 2.5).softmax(-1))
    torch.testing.assert_close(ours.grad, expected.detach())


def test_multi_label_is_a_mean_over_labels_of_yes_and_no() -> None:
    ours, theirs = _pair(5, 3)
    both = [torch.stack([x, torch.zeros_like(x)], -1) for x in (ours, theirs)]
    single = soft_loss(_task("single_label_classification"), *both, 2.0)
    found = soft_loss(_task("multi_label_classification"), ours, theirs, 2.0)
    torch.testing.assert_close(found, single / 3)


def test_regression_is_the_squared_distance() -> None:
    ours, theirs = _pair(5, 1)
    found = soft_loss(_task("regression"), ours, theirs, 2.0)
    torch.testing.assert_close(found, (ours - theirs).square().sum())


def test_several_numbers_are_their_mean() -> None:
    ours, theirs = _pair(5, 3)
    found = soft_loss(_task("regression"), ours, theirs, 2.0)
    torch.testing.assert_close(found, (ours - theirs).square().mean(-1).sum())


def test_frames_behind_the_end_cost_nothing() -> None:
    ours, theirs = _pair(2, 7, 5)
    task, frames = _task(None), torch.tensor([7, 4])
    masked = [ctc.mask_frames(x, frames, blank=0) for x in (ours, theirs)]
    alone = [soft_loss(task, a[None], b[None], 2.0) for a, b in ((ours[0], theirs[0]),)]
    alone.append(soft_loss(task, ours[1:, :4], theirs[1:, :4], 2.0))
    torch.testing.assert_close(soft_loss(task, *masked, 2.0), sum(alone))
    with pytest.raises(UserError, match="7 x 5 of what this network makes 6 x 5"):
        soft_loss(task, ours[:, :6], theirs, 2.0)


def test_hidden_states_of_padding_cost_nothing_and_windows_share_a_row() -> None:
    ours, theirs = _pair(3, 6, 4)
    lengths, document = torch.tensor([6, 2, 3]), torch.tensor([0, 1, 1])
    mask = (torch.arange(6) < lengths[:, None]).long()
    batch = Batch({"attention_mask": mask}, torch.arange(2), windows=document)
    student = nn.Module()
    found = hidden_loss(_task("regression"), student, batch, {0: ours}, {0: theirs})
    square = (ours - theirs).square()
    first, *others = (square[i, : int(n)].mean() for i, n in enumerate(lengths))
    torch.testing.assert_close(found, first + sum(others) / 2)
    with pytest.raises(UserError, match="does not say which of its layers' 5 positions"):
        hidden_loss(_task("regression"), student, batch, {0: ours[:, :5]}, {0: theirs[:, :5]})


def test_a_row_of_frames_weighs_as_much_as_it_has_symbols() -> None:
    ours, theirs = _pair(2, 3, 4)
    labels = torch.tensor([[1, 2, -100], [1, 2, 3]])
    batch = Batch({}, torch.arange(2), {"labels": labels}, lengths=torch.tensor([3, 6]))
    student: Any = nn.Module()
    student._get_feat_extract_output_lengths = lambda n: n // 2 + n % 2
    found = hidden_loss(_task(None), student, batch, {0: ours}, {0: theirs})
    square = (ours - theirs).square()
    torch.testing.assert_close(found, 2 * square[0, :2].mean() + 3 * square[1].mean())


class Net(nn.Module):
    """Layers of one size, as names of networks have them."""

    def __init__(self, layers: int, width: int = 3) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width if i else 2, width), nn.Tanh()) for i in range(layers)
        )
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.body.layers:
            x = layer(x)
        return self.head(x)


def test_layers_are_spread_evenly_and_end_together() -> None:
    teacher = Net(6)
    theirs = layers_of(teacher)
    assert theirs == list(teacher.body.layers)
    for count, places in ((1, [5]), (2, [2, 5]), (3, [1, 3, 5]), (4, [1, 2, 4, 5]), (6, range(6))):
        student = Net(count)
        pairs = matched(student, teacher)
        assert [a for a, _ in pairs] == list(student.body.layers)
        assert [b for _, b in pairs] == [theirs[i] for i in places]
    with pytest.raises(UserError, match="Linear has no layers to follow"):
        matched(nn.Linear(2, 2), teacher)


def test_outputs_are_caught_only_within() -> None:
    net = Net(2)
    with outputs_of(layers_of(net)) as found:
        net(torch.ones(1, 2))
    assert [found[i].shape for i in (0, 1)] == [(1, 3), (1, 3)]
    found.clear()
    net(torch.ones(1, 2))
    assert not found


class Task(Classification):
    """Just enough of one."""

    problem_type = "single_label_classification"

    def collate(self, rows: list[dict[str, Any]]) -> Batch:
        inputs = {"x": torch.stack([row["x"] for row in rows])}
        labels = torch.tensor([row["label"] for row in rows])
        return Batch(inputs, torch.arange(len(rows)), {"labels": labels})

    def forward(self, model: nn.Module, batch: Batch) -> Outputs:
        return {"logits": model(batch.inputs["x"])}

    def loss(self, outputs: Outputs, batch: Batch, smoothing: float = 0.0) -> Loss:
        labels = batch.targets["labels"]
        loss = nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum")
        return Loss(loss, torch.tensor(float(len(labels))), {})


class Rows:
    """Three samples."""

    lengths = np.array([3, 1, 2])

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        return [{"x": torch.full((2,), float(i)), "label": i} for i in indices]


def test_the_objective_is_the_sum_of_its_parts_and_leaves_the_teacher_alone() -> None:
    args = TrainArgs(teacher="x", distill_alpha=0.3, distill_hidden=0.5, distill_temperature=2.0)
    student, teacher = Net(2), Net(4)
    teacher.requires_grad_(False)
    task: Any = Task()
    batch = task.collate(Rows().__getitems__([0, 1, 2]))
    objective = distilled(task, student, teacher, args, CPU, torch.float32)
    loss = objective(student, batch)
    loss.sum.backward()
    logits, taught = student(batch.inputs["x"]), teacher(batch.inputs["x"])
    labels = nn.functional.cross_entropy(logits, batch.targets["labels"], reduction="sum")
    soft = soft_loss(task, logits, taught, 2.0)
    with outputs_of(layers_of(student)) as ours, outputs_of(layers_of(teacher)) as theirs:
        student(batch.inputs["x"]), teacher(batch.inputs["x"])
    hidden = sum((ours[i] - theirs[2 * i + 1]).square().mean(1).sum() for i in range(2)) / 2
    assert float(loss.count) == 3
    torch.testing.assert_close(loss.sum, 0.7 * labels + 0.3 * soft + 0.5 * hidden)
    torch.testing.assert_close(loss.logs["teacher_loss"], soft.detach())
    torch.testing.assert_close(loss.logs["label_loss"], labels.detach())
    torch.testing.assert_close(loss.logs["hidden_loss"], hidden.detach())
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_the_check_names_a_layer_of_another_shape_and_moves_nothing() -> None:
    args = TrainArgs(teacher="x", distill_hidden=1.0)
    task: Any = Task()
    student = Net(2).train()
    check(task, student, Net(4), Rows(), args, CPU)  # type: ignore[arg-type]
    assert student.training
    with pytest.raises(UserError, match="layer 1 puts out 3 and the teacher's 5"):
        check(task, student, Net(4, width=5), Rows(), args, CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"distill_temperature": 0.0}, "`distill_temperature` 0.0: more than 0"),
        ({"distill_temperature": float("nan")}, "more than 0"),
        ({"distill_alpha": 1.5}, "from 0 to 1"),
        ({"distill_hidden": -1.0}, "at least 0"),
        ({"teacher": None, "distill_alpha": 0.9}, "wants `teacher`"),
        ({"ssl": "fixmatch", "unlabeled": "rest"}, "`ssl` fixmatch"),
        ({"distill_hidden": 1.0, "torch_compile": True}, "`torch_compile`"),
    ],
)
def test_numbers_that_make_no_sense(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_args(TrainArgs(**({"teacher": "x"} | flags)))
