"""What is recorded of a run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zoo.runtimes.deployment import Deployment
from zoo.train.args import TrainArgs
from zoo.train.reporting import summary


@pytest.mark.parametrize(
    ("asked", "dtype", "numerics"),
    [
        ("auto", torch.float32, "fp32"),
        ("tf32", torch.float32, "tf32"),
        ("auto", torch.bfloat16, "autocast-bf16"),
        ("fp16", torch.float16, "autocast-fp16"),
    ],
)
def test_the_arithmetic_of_a_training_is_that_of_a_deployment(
    asked: Any, dtype: torch.dtype, numerics: str
) -> None:
    setup: Any = SimpleNamespace(dtype=dtype, args=TrainArgs(dtype=asked))
    assert Deployment.parse(summary._deployment(setup)) == Deployment("eager", numerics)
