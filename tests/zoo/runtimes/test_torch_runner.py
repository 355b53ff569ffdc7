"""How PyTorch's runtimes compute in fp32 on a GPU: as asked, and as before behind it."""

import pytest
import torch

from tasks.errors import UserError
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.torch_runner import float32, must_compute


def _state() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("deployment", "wanted"),
    [("eager", ("highest", False)), ("compile:max-autotune+tf32", ("high", True))],
)
def test_inputs_are_rounded_where_it_is_asked_for(
    deployment: str, wanted: tuple[str, bool]
) -> None:
    before = _state()
    with pytest.raises(RuntimeError), float32(Deployment.parse(deployment), "cuda:0"):
        assert _state() == wanted
        raise RuntimeError("a kernel")
    assert _state() == before


def test_a_processor_is_left_alone() -> None:
    before = _state()
    with float32(Deployment("eager", "tf32"), "cpu"):
        assert _state() == before


def test_a_processor_has_no_tf32() -> None:
    must_compute(Deployment("eager", "tf32"), "cuda")
    with pytest.raises(UserError, match="`device` cuda"):
        must_compute(Deployment("eager", "tf32"), "cpu")
