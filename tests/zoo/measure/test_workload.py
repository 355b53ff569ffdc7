"""A workload is a value: equal ones are one, and what makes no sense is refused."""

from typing import Any

import pytest

from tasks.errors import UserError
from zoo.measure.workload import PHASES, Forward, Generate, Sizes, TrainStep, workload_of


def test_equal_workloads_are_one() -> None:
    one, other = Forward({"batch": 4, "length": 128.0}), Forward({"length": 128, "batch": 4})
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1
    assert Forward({"batch": 1}) == Forward()
    different = {Forward(), TrainStep(), Generate(), Generate(new_tokens=64), Forward({"batch": 2})}
    assert len(different) == 5, "neither kinds nor sizes are mixed"


def test_its_sizes_never_change() -> None:
    given = {"batch": 4}
    workload = Forward(given)
    given["batch"] = 8
    assert (workload.batch, workload.length, dict(workload.sizes)) == (4, None, {"batch": 4})
    with pytest.raises(TypeError):
        workload.sizes["batch"] = 8  # type: ignore[index]


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (Forward({"batch": 16, "length": 128}), "batch 16, length 128"),
        (Forward({"batch": 1, "length": 0.5}), "batch 1, length 0.5"),
        (TrainStep({"batch": 2}), "batch 2, training"),
        (Generate({"batch": 2}), "batch 2, generation"),
    ],
)
def test_in_words(workload: Any, said: str) -> None:
    assert str(workload) == said


def test_by_the_name_of_its_phase() -> None:
    for name, kind in PHASES.items():
        assert workload_of(name, {"batch": 3}) == kind({"batch": 3})
    assert workload_of("generation", {}, new_tokens=5) == Generate({}, 5)
    with pytest.raises(UserError, match="phase 'sleep': one of inference, training, generation"):
        workload_of("sleep", {})


@pytest.mark.parametrize(
    "sizes",
    [
        {"batch": 0},
        {"batch": 1.5},
        {"batch": True},
        {"batch": 2**31},
        {"length": 0},
        {"length": float("nan")},
        {"length": "128"},
        {"frames": -1},
    ],
    ids=str,
)
def test_sizes_that_there_are_not(sizes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(sizes))):
        Sizes(sizes)


@pytest.mark.parametrize("count", [0, 1, True, 2.5])
def test_tokens_that_are_not_written(count: Any) -> None:
    """One would leave none to time behind the first."""
    with pytest.raises(UserError, match="new_tokens"):
        Generate({}, count)
