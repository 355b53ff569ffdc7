"""The moving average of the weights: its formula, its swap, and what a run with it saves."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.finetuning import EXACT, Run, finetune, lines
from zoo.train.methods.ema import WeightAverage, average_


def test_the_formula() -> None:
    parameter = nn.Parameter(torch.tensor([0.0]))
    average = WeightAverage(0.9)
    average.begin([parameter])
    expected = 0.0
    for n in range(1, 200):
        with torch.no_grad():
            parameter.fill_(float(n))
        average.after_step()
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        assert average.shadow[0].item() == pytest.approx(expected, rel=1e-5)


def test_a_step_that_was_skipped_is_none() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    average, other = WeightAverage(0.9), WeightAverage(0.9)
    average.begin([parameter]), other.begin([parameter])
    for step in range(6):
        with torch.no_grad():
            parameter.add_(step % 2)
        average.after_step(torch.tensor(1.0 - step % 2))
        if step % 2:
            other.after_step()
    assert average.updates == other.updates == 3
    assert torch.equal(average.shadow[0], other.shadow[0]) and other.shadow[0] > 1


def test_few_kernels_average_as_many_do() -> None:
    shadow, weights = ([torch.randn(n, 3) for n in (5, 70)] for _ in range(2))
    other = [tensor.clone() for tensor in shadow]
    average_(shadow, weights, torch.tensor(0.3), few_kernels=True)
    average_(other, weights, torch.tensor(0.3), few_kernels=False)
    for ours, theirs, weight in zip(shadow, other, weights, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert not torch.equal(ours, weight)


def test_applied_swaps_and_swaps_back() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, 2.0]))
    average = WeightAverage(0.5)
    average.begin([parameter])
    with torch.no_grad():
        parameter += 10
    with average.as_saved():
        assert parameter.tolist() == [1.0, 2.0]
    assert parameter.tolist() == [11.0, 12.0]
    assert average.shadow[0].tolist() == [1.0, 2.0]


def test_round_trip() -> None:
    parameter = nn.Parameter(torch.randn(4))
    average, other = WeightAverage(0.9), WeightAverage(0.9)
    average.begin([parameter])
    other.begin([parameter])
    with torch.no_grad():
        parameter += 1
    average.after_step()
    saved = average.state()["ema"]
    other.load_state({"ema": {name: tensor.clone() for name, tensor in saved.items()}})
    assert other.updates == 1 and torch.equal(other.shadow[0], average.shadow[0])


def test_a_run_saves_the_average_and_goes_on_with_it(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """The root has the average (not the last weights), also when the run was resumed."""
    from safetensors.torch import load_file

    flags = (*EXACT, "--ema_decay", 0.95, "--save_steps", 4, "--save_total_limit", 9)
    flags += ("--learning_rate", 1e-3)
    whole = finetune(tiny_bert, reviews, tmp_path / "whole", *flags)
    state = tmp_path / "whole" / "state" / "step-00000008"
    last = load_file(state / "weights.safetensors")
    root = whole.weights()
    key = "classifier.weight"
    assert not torch.equal(root[key], last[key])
    shadows = load_file(state / "ema.safetensors").values()
    assert any(s.shape == root[key].shape and torch.equal(s, root[key]) for s in shadows)
    partial = Run(tmp_path / "partial")
    import shutil

    shutil.copytree(tmp_path / "whole", partial.folder)
    shutil.rmtree(partial.folder / "state" / "step-00000008")
    again = finetune(tiny_bert, reviews, partial.folder, *flags, "--resume")
    assert all(torch.equal(t, root[n]) for n, t in again.weights().items())
    assert lines(again.folder / "logs" / "samples.jsonl") == lines(
        whole.folder / "logs" / "samples.jsonl"
    )
