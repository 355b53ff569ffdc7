"""A step on the device: packed results, and the scale of a loss in fp16."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasks.base import Batch, Loss
from zoo.train.args import TrainArgs
from zoo.train.methods.base import Hook
from zoo.train.methods.ema import WeightAverage
from zoo.train.methods.precision import Fp16Training
from zoo.train.optim import loss_scale
from zoo.train.optim.loss_scale import LossScaler
from zoo.train.optim.optimizer import make_optimizer
from zoo.train.optimizer_step import MicroBatch, OptimizerStep, StepResult
from zoo.train.resume import state as states


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


def gradients(step: OptimizerStep, micro: list[MicroBatch]) -> list[Tensor]:
    """Those that the optimizer is given."""
    step.optimizer.zero_grad()
    step.accumulate(micro)
    step.finish()
    return [p.grad.clone() for p in step.parameters if p.grad is not None]


@pytest.mark.parametrize("norm", [0.0, 0.05])
def test_values_are_clipped_as_torch_clips_them_and_then_the_norm(norm: float) -> None:
    plain = make_step(max_grad_norm=0.0)
    expected = [nn.Parameter(torch.zeros_like(p)) for p in plain.parameters]
    for one, gradient in zip(expected, gradients(plain, batches(2)), strict=True):
        one.grad = gradient
    assert max(float(one.grad.abs().max()) for one in expected if one.grad is not None) > 0.02
    torch.nn.utils.clip_grad_value_(expected, 0.02)
    if norm:
        assert float(torch.nn.utils.clip_grad_norm_(expected, norm)) > norm
    ours = gradients(make_step(max_grad_norm=norm, max_grad_value=0.02), batches(2))
    for gradient, one in zip(ours, expected, strict=True):
        torch.testing.assert_close(gradient, one.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("norm", [0.0, 0.05, 1.0])
def test_values_are_clipped_behind_the_scale_of_the_loss(norm: float) -> None:
    """A scale that is a power of two changes no bit, so they are those of the gradients."""
    flags = {"max_grad_norm": norm, "max_grad_value": 0.02}
    plain, scaled = make_step(**flags), make_step(Scaled(), **flags)
    for i in range(6):
        micro = batches(3)[: 1 + i % 3]
        assert torch.equal(do(scaled, micro).packed(), do(plain, micro).packed())
    assert same(weights(plain), weights(scaled))


def test_clipping_values_hides_no_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clipped infinity would look like any other number."""
    monkeypatch.setattr(loss_scale, "INITIAL", 4.0)
    step, begin = make_step(hook := Overflows(), max_grad_value=0.5), weights(make_step())
    hook.parameters = step.parameters
    result = do(step, batches(1))
    assert not result.norm.isfinite() and same(weights(step), begin)


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


def test_an_average_counts_no_step_that_was_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "INITIAL", 2.0**127)
    step = make_step(Scaled(), average := WeightAverage(0.9))
    average.begin(step.parameters)
    steps = 0
    while average.updates < 2:
        norm, steps = do(step, batches(1)).norm, steps + 1
        assert bool(norm.isfinite()) == (average.updates > 0) and steps < 100
    assert steps > 2


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


def _with_fp16(**flags: Any) -> tuple[OptimizerStep, Fp16Training]:
    """A step whose loss is scaled by the hook of fp16, in fp32: a CPU has no kernels for it."""
    hook = Fp16Training(torch.device("cpu"))
    hook._dtype = torch.float32
    return make_step(hook, **flags), hook


def test_a_scaled_run_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that overflow are skipped and halve the scale, before and behind the saved state."""
    monkeypatch.setattr(loss_scale, "INTERVAL", 6)
    monkeypatch.setattr(loss_scale, "INITIAL", 2.0**127)
    whole, whole_hook = _with_fp16()
    for i in range(4):
        do(whole, batches(1 + i % 2))
    assert float(whole_hook.scaler.scale) < 2.0**127, "what overflowed was skipped"
    model = whole.model
    tensors = {
        "weights": states.model_tensors(model, {}),
        "optimizer": states.optimizer_tensors(whole.optimizer, model),
        **whole_hook.state(),
    }
    states.save(tmp_path, 4, tensors, {"step": 4})
    found, _ = states.newest(tmp_path)
    assert found is not None
    resumed, hook = _with_fp16()
    states.load_model_tensors(resumed.model, found.tensors["weights"], {})
    states.load_optimizer_tensors(resumed.optimizer, found.tensors["optimizer"], resumed.model)
    hook.load_state(found.tensors)
    scales = []
    for i in range(8):
        micro = batches(1 + i % 3)
        assert torch.equal(do(resumed, micro).packed(), do(whole, micro).packed())
        assert torch.equal(hook.scaler.scale, whole_hook.scaler.scale)
        assert torch.equal(hook.scaler.good_steps, whole_hook.scaler.good_steps)
        scales.append(float(hook.scaler.scale))
    assert len(set(scales)) > 1, "it grew or fell behind the state"
    assert same(weights(whole), weights(resumed))


def test_a_result_comes_out_of_its_packing() -> None:
    result = do(make_step(), batches(2))
    again = StepResult.unpacked(result.packed(), ["largest"])
    assert torch.equal(again.packed(), result.packed())
    assert again.passed.tolist() == [True, True] and float(again.logs["largest"]) > 0
