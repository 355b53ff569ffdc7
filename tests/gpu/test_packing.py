"""Packed texts on a GPU: kernels against plain attention, a training against a padded one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import tiny_encoders, tiny_text
from tests.cli import run_process
from tests.finetuning import MODEL, Run, arguments
from zoo.speedups.packed_attention import kernel_attention, reference_attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="no GPU is visible to these tests: `pytest -m gpu` on a machine that has one",
    ),
]
SIZES = (37, 1, 64, 5, 21)
TOLERANCE = 0.02  # of the size of what is compared: bf16 has 8 bits, products add some up


def _states(device: str = "cuda") -> list[Tensor]:
    """Query, key and value [tokens, 4 heads, 32] in bf16."""
    rng = torch.Generator().manual_seed(0)
    drawn = [torch.randn(sum(SIZES), 4, 32, generator=rng) for _ in range(3)]
    return [each.to(device, torch.bfloat16).requires_grad_() for each in drawn]


def _bounds() -> Tensor:
    return torch.tensor([0, *np.cumsum(SIZES)], dtype=torch.int32, device="cuda")


def _close(found: Tensor, expected: Tensor) -> None:
    error = (found.float() - expected).norm() / expected.norm()
    assert error < TOLERANCE


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 8])
def test_the_kernel_computes_what_plain_attention_does(window: int | None, causal: bool) -> None:
    states, cu = _states(), _bounds()
    exact = [each.detach().float().requires_grad_() for each in states]
    found = kernel_attention(*states, cu, cu, 64, 64, window=window, causal=causal)
    expected = reference_attention(*exact, cu, cu, 64, 64, window=window, causal=causal)
    _close(found, expected)
    weight = torch.randn_like(expected)
    gradients = torch.autograd.grad((found.float() * weight).sum(), states)
    for ours, theirs in zip(
        gradients, torch.autograd.grad((expected * weight).sum(), exact), strict=True
    ):
        _close(ours, theirs)


def test_one_query_a_sequence() -> None:
    states, cu = _states(), _bounds()
    first = states[0].index_select(0, cu[:-1])
    singles = torch.arange(len(cu), dtype=torch.int32, device="cuda")
    found = kernel_attention(first, *states[1:], singles, cu, 1, 64)
    expected = reference_attention(
        first.float(), *(each.float() for each in states[1:]), singles, cu, 1, 64
    )
    _close(found, expected)


def test_dropout_keeps_the_mean_and_follows_the_seed() -> None:
    states, cu = _states(), _bounds()
    plain = kernel_attention(*states, cu, cu, 64, 64).detach().float()
    drawn = []
    for seed in [*range(400), 0]:
        torch.manual_seed(seed)
        drawn.append(kernel_attention(*states, cu, cu, 64, 64, dropout=0.1).detach().float())
    assert torch.equal(drawn[0], drawn[-1]) and not torch.equal(drawn[0], drawn[1])
    mean = torch.stack(drawn[:-1]).mean(0)
    assert (mean - plain).norm() / plain.norm() < 0.05
    found = kernel_attention(*states, cu, cu, 64, 64, dropout=0.1)
    gradients = torch.autograd.grad(found.float().square().sum(), states)
    assert all(bool(each.isfinite().all()) and bool(each.any()) for each in gradients)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_training_packs_by_itself_and_follows_the_padded_one(
    kind: str, reviews: Path, tmp_path: Path
) -> None:
    texts = [text for text, _ in tiny_text.review_rows()]
    weights = tiny_encoders.save(tmp_path / "weights", kind, texts)
    flags = ("--dtype", "bf16", "--dropout", 0, "--max_steps", 20, "--learning_rate", 1e-3)
    flags = (*flags, "--train_sampling_strategy", "random", "--max_length", tiny_encoders.LENGTH)
    losses = {}
    for packing in ("auto", "off"):
        folder = tmp_path / packing
        words = arguments(weights, reviews, folder, *flags, "--packing", packing)
        done = run_process(MODEL, *words)
        assert done.code == 0, done.err
        assert ("packed: passes of" in done.err) == (packing == "auto"), done.err
        losses[packing] = Run(folder).losses
    np.testing.assert_allclose(losses["auto"], losses["off"], atol=0.05)
