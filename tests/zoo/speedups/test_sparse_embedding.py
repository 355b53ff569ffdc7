"""An embedding with only the used rows trained equals the whole one."""

import numpy as np
import pytest
import torch
from torch import nn

from zoo.speedups.sparse_embedding import SparseEmbeddingGrad, train_used_rows

USED = np.array([0, 2, 3, 7, 11])


def _pair(padding: int | None = 0) -> tuple[nn.Embedding, SparseEmbeddingGrad]:
    torch.manual_seed(0)
    whole = nn.Embedding(12, 5, padding_idx=padding)
    with torch.no_grad():
        whole.weight.normal_()
    return whole, SparseEmbeddingGrad(whole, USED)


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("padding", [None, 0, 5])
def test_forward_and_gradient_equal_an_embedding(padding: int | None, reuse: bool) -> None:
    whole, rows = _pair(padding)
    rows.reuse_gradient = reuse
    ids = torch.tensor([[2, 3, 3, 0], [11, 7, 2, 0]])
    pull = torch.randn(2, 4, 5)
    for module in (whole, rows):
        (module(ids) * pull).sum().backward()
    torch.testing.assert_close(rows(ids), whole(ids), rtol=0, atol=0)
    torch.testing.assert_close(rows.rows.grad, whole.weight.grad[USED], rtol=0, atol=0)


def test_one_memory_holds_the_gradient_of_every_step() -> None:
    """Two passes add up; the next step begins at zero, also in rows it does not touch."""
    whole, rows = _pair()
    rows.reuse_gradient = True
    for step in ([[2, 3], [3, 7]], [[11, 2]], [[7, 7], [0, 3]]):
        for module in (whole, rows):
            module.zero_grad()
            for ids in step:
                torch.manual_seed(len(ids))
                (module(torch.tensor(ids)) * torch.randn(len(ids), 5)).sum().backward()
        torch.testing.assert_close(rows.rows.grad, whole.weight.grad[USED])


def test_evaluation_knows_every_id_and_the_trained_values() -> None:
    whole, rows = _pair()
    with torch.no_grad():
        rows.rows[3] += 1  # id 7
        whole.weight[7] += 1
    rows.eval()
    every = torch.arange(12)
    torch.testing.assert_close(rows(every), whole(every), rtol=0, atol=0)


def test_the_state_dict_is_that_of_the_embedding() -> None:
    whole, rows = _pair()
    with torch.no_grad():
        rows.rows.add_(2)
        whole.weight[USED] += 2
    state = rows.state_dict()
    assert list(state) == ["weight"]
    torch.testing.assert_close(state["weight"], whole.weight.detach(), rtol=0, atol=0)
    _, other = _pair()
    other.load_state_dict(state)
    torch.testing.assert_close(other.rows, rows.rows, rtol=0, atol=0)
    fresh = nn.Embedding(12, 5)
    fresh.load_state_dict(state)
    other.eval()
    torch.testing.assert_close(other(torch.arange(12)), fresh.weight, rtol=0, atol=0)


def test_the_original_is_not_touched_by_saving() -> None:
    _, rows = _pair()
    before = rows.state_dict()["weight"].clone()
    with torch.no_grad():
        rows.rows.zero_()
    assert rows.state_dict()["weight"][USED].abs().sum() == 0
    unused = np.setdiff1d(np.arange(12), USED)
    torch.testing.assert_close(rows.state_dict()["weight"][unused], before[unused])


def test_only_a_trained_plain_embedding_is_replaced() -> None:
    class Model(nn.Module):
        """An embedding and its twin."""

        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(12, 5, padding_idx=4)
            self.again = self.words

    model = Model()
    train_used_rows(model, model.words, USED)
    assert isinstance(model.words, SparseEmbeddingGrad) and model.again is not None
    model.train()
    model.words(torch.tensor([4]))  # padding is always at hand
    frozen = Model()
    frozen.words.weight.requires_grad_(False)
    train_used_rows(frozen, frozen.words, USED)
    assert type(frozen.words) is nn.Embedding
