"""What is set to 0, and that it stays 0 whatever the optimizer does."""

import itertools
from typing import get_args, get_type_hints

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tasks.errors import UserError
from zoo.pruning.magnitude import hold, prunable, prune, scores, share_at, zeros
from zoo.train.args import TrainArgs
from zoo.train.optim.optimizer import make_optimizer


class Net(nn.Module):
    """A layer of every kind."""

    base_model_prefix = "body"

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.embedding = nn.Embedding(10, 8)
        self.body.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.body.positions = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 1))
        self.body.gru = nn.GRU(8, 8, batch_first=True)
        self.body.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.body.norm = nn.LayerNorm(8)
        self.body.up = nn.Linear(8, 16)
        self.body.tied = nn.Linear(8, 10)
        self.body.tied.weight = self.body.embedding.weight
        self.head = nn.Linear(16, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        body = self.body
        x = body.positions(body.conv(body.embedding(ids).transpose(1, 2))).transpose(1, 2)
        x = body.gru(x)[0]
        x = body.norm(x + body.attention(x, x, x)[0])
        return self.head(body.up(x).relu()).mean(1) + body.tied(x).mean()


WEIGHTS = {
    "body.conv.weight",
    "body.gru.weight_ih_l0",
    "body.gru.weight_hh_l0",
    "body.attention.in_proj_weight",
    "body.attention.out_proj.weight",
    "body.up.weight",
}


def test_what_can_be_pruned() -> None:
    assert set(prunable(Net())) == WEIGHTS
    with pytest.raises(UserError, match="Embedding has no linear"):
        prune(nn.Embedding(3, 2), 0.5)


@given(st.floats(0, 0.98))
def test_the_smallest_of_each_layer_go(share: float) -> None:
    model = Net()
    before = {name: w.detach().clone().abs() for name, w in prunable(model).items()}
    masks = prune(model, share)
    gone, count = zeros(model)
    assert count == sum(w.numel() for w in before.values()) and gone == round(share * count)
    assert sum(int((~mask).sum()) for mask in masks.values()) == gone
    for name, mask in masks.items():
        assert mask.any()
        if not mask.all():
            assert before[name][~mask].max() <= before[name][mask].min()
    again = prune(model, share)
    assert all(torch.equal(masks[name], again[name]) for name in masks)


def test_scores_do_not_depend_on_the_scale_of_a_layer() -> None:
    """And are those of equation 4 of Lee et al. 2021, written out."""
    weight = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    expected = torch.tensor([[1.0, 1 / 14], [0.0, 4 / 13]])
    torch.testing.assert_close(scores(weight), expected)
    torch.testing.assert_close(scores(1e-3 * weight), expected)
    assert not scores(torch.zeros(3)).any()


def test_no_layer_is_emptied() -> None:
    model = Net()
    with torch.no_grad():
        model.body.up.weight.mul_(1e-4)
    masks = prune(model, 0.7)
    assert 0.05 < masks["body.up.weight"].float().mean() < 0.6
    assert all(mask.any() for mask in prune(model, 0.9999).values())


OPTIMIZERS = get_args(get_type_hints(TrainArgs)["optim"])


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_masks_are_held(optim: str) -> None:
    torch.manual_seed(0)
    model = Net()
    masks = prune(model, 0.5)
    hold(model, masks)
    args = TrainArgs(optim=optim, learning_rate=0.1, weight_decay=0.1)  # type: ignore[arg-type]
    optimizer = make_optimizer(list(model.named_parameters()), set(), args)
    before = {name: w.detach().clone() for name, w in prunable(model).items()}
    for _ in range(4):
        model(torch.randint(10, (4, 5))).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in prunable(model).items():
        assert not weight[~masks[name]].any()
        assert (weight[masks[name]] != before[name][masks[name]]).any()


def test_the_schedule_cuts_most_at_first_and_ends_at_its_target() -> None:
    shares = [share_at(k, 4, 0.8) for k in range(5)]
    assert shares[0] == 0 and shares[-1] == 0.8
    steps = [b - a for a, b in itertools.pairwise(shares)]
    assert steps == sorted(steps, reverse=True)
    assert shares[2] == pytest.approx(0.8 * (1 - 0.5**3))
