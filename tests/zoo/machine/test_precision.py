"""The arithmetic that is asked for, and where there is none of it."""

from typing import Any

import pytest
import torch

from tasks.errors import UserError
from zoo.machine.precision import choose_dtype, fp32_products

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("fp32", torch.float32),
        ("tf32", torch.float32),
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
    ],
)
def test_types_on_a_gpu(asked: Any, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_dtype(asked, CUDA) == expected


@pytest.mark.parametrize("asked", ["tf32", "fp16"])
def test_a_processor_has_neither(asked: Any) -> None:
    with pytest.raises(UserError, match=f"`dtype` {asked} .* NVIDIA's GPUs"):
        choose_dtype(asked, CPU)


def test_an_old_gpu_has_no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match="since Ampere"):
        choose_dtype("tf32", CUDA)


def _products() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_how_products_are_rounded() -> None:
    """What the caller had set comes back, also behind an error."""
    before = _products()
    with fp32_products(CUDA, rounded=True):
        assert _products() == ("high", True)
        with pytest.raises(UserError), fp32_products(CUDA, rounded=False):
            assert _products() == ("highest", False)
            raise UserError("the run ends")
        assert _products() == ("high", True)
    assert _products() == before
    with fp32_products(CPU, rounded=True):
        assert _products() == before
