"""A step on the device: packed results, and the scale of a loss in fp16."""

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasks.base import Batch, Loss
from zoo.train.args import TrainArgs
from zoo.train.methods.base import Hook
from zoo.train.methods.precision import Fp16Training
from zoo.train.optim import loss_scale
from zoo.train.optim.loss_scale import LossScaler
from zoo.train.optim.optimizer import make_optimizer
from zoo.train.optimizer_step import MicroBatch, OptimizerStep, StepResult


class Scaled(Hook):
    """fp32 with a scaled loss."""

    def __init__(self) -> None:
        self.scaler = LossScaler(torch.device("cpu"))


def objective(model: nn.Module, batch: Batch) -> Loss:
    terms = (model(batch.inputs["x"]).squeeze(-1) - batch.targets["y"]).square()
    return Loss(terms.sum(), torch.full((), float(len(batch))), {"largest": terms.max().detach()})


def make_step(*hooks: Hook, **flags: Any) -> OptimizerStep:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 1))
    args = TrainArgs(learning_rate=0.01, **flags)
    optimizer = make_optimizer(list(model.named_parameters()), set(), args)
    accelerator: Any = SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=1,
        backward=Tensor.backward,
        no_sync=lambda model: contextlib.nullcontext(),
    )
    step = OptimizerStep(model, objective, optimizer, hooks, accelerator, args)
    step.deferred = True  # as on a GPU
    return step


def batches(n: int, bad: float | None = None) -> list[MicroBatch]:
    found = []
    for i in range(n):
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(i))
        y = x.sum(1) if bad is None else torch.full((6,), bad)
        found.append(MicroBatch(Batch({"x": x}, torch.arange(6), {"y": y}), 1.0, i))
    return found


def do(step: OptimizerStep, micro: list[MicroBatch]) -> StepResult:
    step.accumulate(micro)
    result = step.finish()
    step.update()
    return result


def weights(step: OptimizerStep) -> list[Tensor]:
    return [p.detach().clone() for p in step.parameters]


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_a_scale_that_is_a_power_of_two_changes_no_bit() -> None:
    plain, scaled = make_step(), make_step(Scaled())
    for i in range(10):
        micro = batches(3)[: 1 + i % 3]
        ours, theirs = do(scaled, micro), do(plain, micro)
        assert torch.equal(ours.packed(), theirs.packed())
    assert same(weights(plain), weights(scaled))
    assert scaled.scaler is not None and int(scaled.scaler.good_steps) == 10


def test_what_overflows_is_skipped_until_the_scale_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "INITIAL", 2.0**127)
    step = make_step(Scaled())
    begin, skipped = weights(step), 0
    while same(begin, weights(step)):
        scale = float(step.scaler.scale)  # type: ignore[union-attr]
        result = do(step, batches(1))
        assert bool(result.passed.all()) and skipped < 100
        if same(begin, weights(step)):
            skipped += 1
            assert not result.norm.isfinite() and result.loss.isfinite()
            assert float(step.scaler.scale) == scale / 2  # type: ignore[union-attr]
    assert skipped > 0
    counts = {int(state["step"]) for state in step.optimizer.state.values()}
    assert counts == {1}  # Adam has seen no skipped step


class Overflows(Scaled):
    """Makes every gradient infinite."""

    parameters: list[nn.Parameter]

    def after_backward(self) -> None:
        for parameter in self.parameters:
            assert parameter.grad is not None
            parameter.grad.fill_(torch.inf)


def test_at_the_lowest_scale_it_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "INITIAL", 4.0)
    step, begin = make_step(hook := Overflows()), weights(make_step())
    hook.parameters = step.parameters
    passed = [do(step, batches(1)).passed.tolist() for _ in range(3)]
    assert passed == [[True, True], [True, True], [True, False]]
    assert same(weights(step), begin)


def test_a_loss_that_is_not_finite_is_a_fault_at_any_scale() -> None:
    step, begin = make_step(Scaled()), weights(make_step())
    assert do(step, batches(1, float("nan"))).passed.tolist() == [False, True]
    assert same(weights(step), begin)


def test_the_scale_grows_after_many_good_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "INTERVAL", 3)
    step = make_step(Scaled())
    scales = []
    for _ in range(7):
        do(step, batches(1))
        scales.append(float(step.scaler.scale) / loss_scale.INITIAL)  # type: ignore[union-attr]
    assert scales == [1, 1, 2, 2, 2, 4, 4]


def test_the_scale_is_part_of_a_saved_state() -> None:
    ours, theirs = (Fp16Training(torch.device("cpu")) for _ in range(2))
    ours.scaler.scale.fill_(512.0)
    ours.scaler.good_steps.fill_(7)
    theirs.load_state(ours.state())
    assert float(theirs.scaler.scale) == 512 and int(theirs.scaler.good_steps) == 7
    theirs.load_state({})  # of a run that was in fp32 so far
    assert float(theirs.scaler.scale) == 512


def test_a_result_comes_out_of_its_packing() -> None:
    result = do(make_step(), batches(2))
    again = StepResult.unpacked(result.packed(), ["largest"])
    assert torch.equal(again.packed(), result.packed())
    assert again.passed.tolist() == [True, True] and float(again.logs["largest"]) > 0
