"""A runner in the place of a network: a batch goes in as many parts as the program takes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

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
        return {"logits": 2 * inputs["x"]}


@pytest.mark.parametrize(
    ("most", "rows"), [(None, [11]), (11, [11]), (4, [4, 4, 3])], ids=["any", "just", "parts"]
)
def test_parts_of_a_batch(most: int | None, rows: list[int]) -> None:
    runner, x = Doubling(most), torch.randn(11, 2)
    found = RunnerModel(runner, Path())(x=x).logits
    assert torch.equal(found, 2 * x)
    assert runner.rows == rows
