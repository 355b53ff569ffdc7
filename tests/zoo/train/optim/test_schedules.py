"""The learning rate over time, against the schedules of transformers and torch."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from transformers import get_scheduler

from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from zoo.train.args import TrainArgs
from zoo.train.optim.schedules import FLOOR, Plateau, lr_factor, plateau_warning
from zoo.train.resume.progress import Progress


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


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "exponential", "plateau"])
def test_beyond_the_end_nothing_odd_happens(kind: str) -> None:
    """A run that goes on with another batch size may count a little past its total."""
    assert 0 <= lr_factor(kind, 10.5, 10, 0) <= 1
    assert lr_factor(kind, 0.5, 10, 2) == 0.25


def plateau_args(**flags: object) -> TrainArgs:
    return TrainArgs(lr_scheduler_type="plateau", learning_rate=1.0, **flags)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
@pytest.mark.parametrize(("factor", "patience"), [(0.5, 0), (0.1, 1), (0.3, 4)])
def test_a_plateau_is_that_of_torch(metric: str, factor: float, patience: int) -> None:
    """A metric that wanders, stands still, improves by less than counts, and is not a number."""
    rng = np.random.default_rng(patience)
    values = np.concatenate(
        [0.5 + 0.1 * rng.normal(size=40).cumsum() / 6, [0.7] * 6, 0.7 + 1e-6 * np.arange(6)]
    )
    values[[3, 20]] = np.nan
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    spec = metric_spec(metric)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if spec.greater_is_better else "min", factor=factor, patience=patience
    )
    theirs.eps = 0.0  # which keeps torch from lowering a rate of 1e-8 any further
    ours, args = Plateau(), plateau_args(lr_plateau_factor=factor, lr_plateau_patience=patience)
    lowered = 0
    for value in values:
        before = ours.factor
        said = ours.follow(float(value), spec, args)
        theirs.step(value)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        assert (said is not None) == (ours.factor < before)
        lowered += said is not None
        ours = Plateau(**dataclasses.asdict(ours))  # as a saved state has it
    assert lowered >= 2


def test_a_metric_below_zero_gets_better_upwards() -> None:
    """Where torch's relative threshold takes -0.4 for no better than -0.5."""
    plateau, args = Plateau(), plateau_args(lr_plateau_patience=0)
    spec = metric_spec("matthews_correlation")
    assert [plateau.follow(value, spec, args) for value in (-0.5, -0.4, 0.0, 0.3)] == [None] * 4
    assert plateau.follow(0.2, spec, args) == (
        "matthews_correlation is no better than 0.3000: the learning rate goes down to 0.1"
    )
    assert plateau.best == 0.3


def test_other_schedules_follow_no_metric() -> None:
    plateau = Plateau()
    for value in (0.5, 0.4, math.nan, 0.3):
        assert plateau.follow(value, metric_spec("accuracy"), TrainArgs()) is None
    assert plateau == Plateau()


def test_a_plateau_that_can_change_nothing_is_told() -> None:
    args = plateau_args(lr_plateau_patience=2)
    assert plateau_warning(args, 50, 10, can_evaluate=True) is None
    said = plateau_warning(args, 40, 10, can_evaluate=True)
    assert said is not None and "at least 5 evaluations" in said and "and 4 come" in said
    often = dataclasses.replace(args, eval_strategy="steps", eval_steps=5)
    assert plateau_warning(often, 40, 10, can_evaluate=True) is None
    with pytest.raises(UserError, match="the data has no validation split"):
        plateau_warning(args, 50, 10, can_evaluate=False)
    assert plateau_warning(TrainArgs(), 1, 1, can_evaluate=False) is None


def test_a_state_of_before_there_was_a_plateau_is_read() -> None:
    progress = Progress(step=3, plateau=Plateau(0.5, 1, 0.1))
    saved = dataclasses.asdict(progress)
    assert Progress.read(saved) == progress
    del saved["plateau"]
    assert Progress.read(saved) == dataclasses.replace(progress, plateau=Plateau())
