"""The device of the tests that are marked gpu: the first GPU, or else the one that
ZOO_TEST_DEVICE names; `cpu` shows that the tests themselves work."""

import os

import pytest
import torch

DEVICE = os.environ.get("ZOO_TEST_DEVICE", "cuda")
IS_CPU = DEVICE == "cpu"
MARKS = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (IS_CPU or torch.cuda.is_available()),
        reason="no GPU is visible to these tests: `pytest -m gpu` on a machine that has one",
    ),
]
needs_cuda = pytest.mark.skipif(IS_CPU, reason="of a GPU only")


def defined(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """What training decides of a parameter. The bias of an attention's keys adds the same to all
    scores of a query, so that its gradient is zero but for rounding, which Adam's division makes as
    large as any other step."""
    if name.endswith("in_proj_bias"):
        query, _, value = tensor.chunk(3)
        return torch.cat([query, value])
    keys = (".key.bias", ".k_lin.bias", ".k_proj.bias")
    return tensor[:0] if name.endswith(keys) else tensor
