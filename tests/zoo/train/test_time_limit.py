"""Training for a given time."""

from pathlib import Path

import pytest

from tests.cli import run_cli
from zoo.store import evidence
from zoo.train.resume.order import DataPosition, Schedule
from zoo.train.time_limit import CLOSING_S, TimedSchedule, TimeLimit


class Machine:
    """Makes steps of 10 samples, each of which takes so many seconds by its own clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def train(self, schedule: TimedSchedule, seconds: float, after: float | None = None) -> int:
        """Steps until the end; from half of the time on each takes `after` seconds."""
        place, steps = DataPosition(), 0
        while not schedule.finished(place):
            late = after is not None and self.now > schedule.limit.ends / 2
            self.now += after if late and after is not None else seconds
            place = place.after(10, schedule.epoch_size)
            steps += 1
        return steps


def _trained(minutes: float, seconds: float, after: float | None = None) -> tuple[float, int, int]:
    machine, told = Machine(), list[int]()
    limit = TimeLimit(minutes, 0.0, rows_at_end=100, is_rounded=True, clock=lambda: machine.now)
    whole = Schedule.of(1_000, 10, 5, -1)
    schedule = TimedSchedule(whole, limit, lambda steps, one: told.append(steps))
    steps = machine.train(schedule, seconds, after)
    return machine.now, steps, len(told)


def test_all_of_it_where_it_fits() -> None:
    assert _trained(10, 0.1)[1:] == (500, 0)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_as_many_steps_as_fit(seconds: float) -> None:
    ended, steps, told = _trained(2, seconds)
    closing = CLOSING_S + 10 * seconds  # of 100 rows, which take as long as 10 steps
    assert 120 - closing - 2 * seconds <= ended <= 120 - closing + seconds
    assert steps == pytest.approx(ended / seconds) and told >= 1


def test_a_machine_that_becomes_slower() -> None:
    ended, steps, told = _trained(4, 0.5, after=2.0)
    assert ended < 240 and told >= 2 and steps < 400


def test_one_that_has_no_time_takes_a_few_steps() -> None:
    _, steps, _ = _trained(0.05, 1.0)
    assert 1 <= steps <= 6


def test_steps_too_long_to_measure_end_with_the_time() -> None:
    assert _trained(1, 40.0) == (80.0, 2, 1)


def test_a_run_ends_in_time(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    flags = ("--data", images, "--widths", 8, 16, "--num_train_epochs", 1_000_000, "--report_to")
    flags += ("none", "--dtype", "fp32", "--eval_strategy", "no", "--output_dir", folder)
    done = run_cli("zoo", "finetune", "cnn_cls", *flags, "--minutes", 0.1)
    assert done.code == 0, done.err
    assert "steps fit into --minutes" in done.err
    assert any(fact.name == "accuracy" for fact in evidence.read(folder))


def test_no_time_at_all_is_a_mistake(images: Path, tmp_path: Path) -> None:
    flags = ("--data", images, "--output_dir", tmp_path / "run", "--minutes", 0)
    done = run_cli("zoo", "finetune", "cnn_cls", *flags)
    assert done.code == 2 and "--minutes" in done.err
