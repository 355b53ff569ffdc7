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
