"""A runner in the place of a network, for tensors and for arrays: a batch goes in as many parts as
the program takes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.runtimes.array_model import ArrayModel
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner import Runner
from zoo.runtimes.runner_model import RunnerModel
from zoo.runtimes.signature import Signature, TensorSpec


class Doubling(Runner):
    """Twice its input; counts the rows it is given."""

    def __init__(self, most: int | None) -> None:
        limits = {"batch": (1, most)}
        signature = Signature((TensorSpec("x", "float32", ("batch", 2)),), ("logits",), limits)
        super().__init__(Deployment("onnx"), signature, "cpu", None)
        self.rows: list[int] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.rows.append(len(inputs["x"]))
        assert inputs["x"].flags.c_contiguous, "what a program is given lies in one piece"
        return {"logits": 2 * inputs["x"]}


@pytest.mark.parametrize(
    ("most", "rows"), [(None, [11]), (11, [11]), (4, [4, 4, 3])], ids=["any", "just", "parts"]
)
def test_parts_of_a_batch(most: int | None, rows: list[int]) -> None:
    runner, x = Doubling(most), torch.randn(11, 2)
    found = RunnerModel(runner, Path())(x=x).logits
    assert torch.equal(found, 2 * x)
    assert runner.rows == rows
    found = ArrayModel(runner)(x=np.asfortranarray(x.numpy())).logits
    assert isinstance(found, np.ndarray) and np.array_equal(found, 2 * x.numpy())
    assert runner.rows == rows + rows


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
def test_an_output_that_is_not_there(kind: type) -> None:
    runner, x = Doubling(None), torch.ones(1, 2)
    found = RunnerModel(runner, Path())(x=x) if kind is torch.Tensor else None
    found = found or ArrayModel(runner)(x=x.numpy())
    assert type(found["logits"]) is kind
    with pytest.raises(AttributeError, match="no output 'boxes'"):
        found.boxes  # noqa: B018
