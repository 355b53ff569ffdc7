"""The learning rate over time, against transformers' own schedules."""

import itertools

import pytest
import torch
from transformers import get_scheduler

from zoo.train.optim.schedules import FLOOR, lr_factor


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize(("total", "warmup"), [(50, 0), (50, 5), (37, 1), (10, 10), (3, 2)])
def test_linear_and_cosine_are_those_of_transformers(kind: str, total: int, warmup: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    for step in range(total):
        expected = theirs.get_last_lr()[0]
        assert lr_factor(kind, step, total, warmup) == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        theirs.step()


def test_a_share_of_warmup_is_rounded_up_as_in_transformers() -> None:
    assert lr_factor("constant", 1, 25, 0.1) == pytest.approx(1 / 3)
    assert lr_factor("constant", 3, 25, 0.1) == 1.0


def test_exponential_falls_to_the_floor_by_equal_ratios() -> None:
    factors = [lr_factor("exponential", step, 20, 4) for step in range(4, 21)]
    ratios = [b / a for a, b in itertools.pairwise(factors)]
    assert factors[0] == 1.0 and factors[-1] == pytest.approx(FLOOR)
    assert ratios == pytest.approx([ratios[0]] * len(ratios))


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "exponential"])
def test_beyond_the_end_nothing_odd_happens(kind: str) -> None:
    """A run that goes on with another batch size may count a little past its total."""
    assert 0 <= lr_factor(kind, 10.5, 10, 0) <= 1
    assert lr_factor(kind, 0.5, 10, 2) == 0.25
