"""The arithmetic that is asked for, and where there is none of it."""

from typing import Any

import pytest
import torch

from tasks.errors import UserError
from zoo.machine.precision import choose_dtype, use_tf32

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
    with pytest.raises(UserError, match=f"--dtype {asked} .* NVIDIA's GPUs"):
        choose_dtype(asked, CPU)


def test_an_old_gpu_has_no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match="since Ampere"):
        choose_dtype("tf32", CUDA)


def test_how_products_are_rounded() -> None:
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        use_tf32(True)
        assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.allow_tf32
        use_tf32(False)
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
