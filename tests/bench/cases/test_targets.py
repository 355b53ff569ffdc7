"""What is timed: a training step does what the loop does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.cases import random_weights, targets
from bench.cases.targets import TrainingStep, Violations
from tasks.errors import UserError

SIZE, BATCH = 8, 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return random_weights.checkpoint("cnn_cls", SIZE)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "inputs.npz"
    pixels = np.random.default_rng(0).normal(size=(BATCH, 3, SIZE, SIZE)).astype(np.float32)
    np.savez(path, pixel_values=pixels)
    return path


def _step(checkpoint: Path, inputs: Path, deployment: str) -> TrainingStep:
    return targets.training(str(checkpoint), deployment, str(inputs), "cpu", None)


@pytest.mark.parametrize("deployment", ["eager", "eager+bf16", "eager+autocast-bf16"])
def test_a_training_step_learns(checkpoint: Path, inputs: Path, deployment: str) -> None:
    step = _step(checkpoint, inputs, deployment)
    before = step.forward().item()
    for _ in range(20):
        step.call()
    assert step.forward().item() < 0.9 * before


def test_its_parts_are_the_step(checkpoint: Path, inputs: Path) -> None:
    whole, parts = (_step(checkpoint, inputs, "eager") for _ in range(2))
    whole.call()
    parts.backward(parts.forward())
    assert all(each.grad is not None for each in parts.parameters)
    parts.optimize()
    for one, other in zip(whole.parameters, parts.parameters, strict=True):
        assert torch.equal(one, other) and one.grad is None


def test_outputs_are_those_of_inference(checkpoint: Path, inputs: Path) -> None:
    found = targets.inference(str(checkpoint), "eager", str(inputs), "cpu", None).call()
    logits = _step(checkpoint, inputs, "eager").outputs()["logits"]
    np.testing.assert_allclose(logits, found["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deployment", ["onnx", "eager+fp16", "torchao+int8-dynamic"])
def test_what_does_not_train(checkpoint: Path, inputs: Path, deployment: str) -> None:
    with pytest.raises(UserError, match="does not train"):
        _step(checkpoint, inputs, deployment)


def test_compiling_anew_is_a_violation() -> None:
    program = torch.compile(lambda x: x + 1, backend="eager", dynamic=False)
    program(torch.zeros(2))
    asked = Violations()
    program(torch.zeros(2))
    assert asked() == []
    program(torch.zeros(3))
    assert asked() == ["frames compiled: 1"]
    assert asked() == []
