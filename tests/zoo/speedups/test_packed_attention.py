"""Attention over packed sequences against one mask of blocks, and its kernels' shapes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.speedups import packed_attention as module

SIZES = (5, 1, 9, 2)
CU = torch.tensor([0, 5, 6, 15, 17], dtype=torch.int32)


def _states(tokens: int = 17, seed: int = 0) -> Tensor:
    """[tokens, 3 heads, 8], with gradient."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(tokens, 3, 8, generator=rng).requires_grad_()


def _by_blocks(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: Any) -> Tensor:
    """Attention of one row with a mask [tokens_q, tokens_k]."""
    turned = (states.transpose(0, 1) for states in (query, key, value))
    return F.scaled_dot_product_attention(*turned, attn_mask=mask, scale=scale).transpose(0, 1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 0, 2, 100])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_each_sequence_sees_itself_alone(
    window: int | None, scale: float | None, causal: bool
) -> None:
    owner = torch.repeat_interleave(torch.arange(4), torch.tensor(SIZES))
    place = torch.cat([torch.arange(n) for n in SIZES])
    mask = owner[:, None] == owner
    if window is not None:
        mask &= (place[:, None] - place).abs() <= window
    if causal:
        mask &= place[:, None] >= place
    states = [_states(seed=i) for i in range(3)]
    settings: dict[str, Any] = {"scale": scale, "window": window, "causal": causal}
    found = module.packed_attention(*states, CU, CU, 9, 9, **settings)
    expected = _by_blocks(*states, mask, scale)
    torch.testing.assert_close(found, expected)
    weight = _states(seed=4).detach()
    gradients = torch.autograd.grad((found * weight).sum(), states)
    wanted = torch.autograd.grad((expected * weight).sum(), states)
    torch.testing.assert_close(gradients, wanted)


def test_one_query_a_sequence() -> None:
    query, key, value = _states(4, 0), _states(17, 1), _states(17, 2)
    mask = torch.arange(4)[:, None] == torch.repeat_interleave(torch.arange(4), torch.tensor(SIZES))
    found = module.packed_attention(query, key, value, torch.arange(5, dtype=torch.int32), CU, 1, 9)
    torch.testing.assert_close(found, _by_blocks(query, key, value, mask, None))


def test_the_longest_may_be_longer_than_any_sequence() -> None:
    """It is a constant of the run, and most passes have shorter sequences."""
    states = [_states(seed=i) for i in range(3)]
    expected = module.packed_attention(*states, CU, CU, 9, 9)
    torch.testing.assert_close(module.packed_attention(*states, CU, CU, 30, 30), expected)


def test_dropout_keeps_the_mean() -> None:
    states = [_states(seed=i).detach() for i in range(3)]
    expected = module.packed_attention(*states, CU, CU, 9, 9)
    torch.manual_seed(0)
    drawn = [module.packed_attention(*states, CU, CU, 9, 9, dropout=0.3) for _ in range(2000)]
    assert not torch.equal(drawn[0], drawn[1])
    torch.testing.assert_close(torch.stack(drawn).mean(0), expected, atol=0.1, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("window", [None, 4])
def test_the_kernels_take_what_they_are_given(
    dropout: float, window: int | None, causal: bool
) -> None:
    """On no device: torch's own rules for the operators' arguments and shapes."""
    states = [torch.empty(64, 2, 16, device="meta", dtype=torch.bfloat16) for _ in range(3)]
    for each in states:
        each.requires_grad_()
    cu = torch.empty(9, device="meta", dtype=torch.int32)
    settings: dict[str, Any] = {"dropout": dropout, "window": window, "causal": causal}
    found = module.kernel_attention(*states, cu, cu, 30, 30, **settings)
    assert found.shape == (64, 2, 16) and found.dtype == torch.bfloat16
    gradients = torch.autograd.grad(found.sum(), states)
    assert [gradient.shape for gradient in gradients] == [(64, 2, 16)] * 3


def test_what_has_no_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu, bf16 = torch.device("cpu"), torch.device("cuda"), torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert module.kernel_fault(64, gpu, bf16) is None
    assert "cpu has no kernel" in str(module.kernel_fault(64, cpu, bf16))
    assert "not float32" in str(module.kernel_fault(64, gpu, torch.float32))
    assert "not 20" in str(module.kernel_fault(20, gpu, bf16))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert "8.0, and this has 7.5" in str(module.kernel_fault(64, gpu, bf16))
