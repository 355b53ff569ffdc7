"""What is prepared for a case, and for those behind it where there are cores for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.cases import child
from bench.cases.case import Case
from bench.cases.prepare import Preparation
from zoo.measure import ArmFailed
from zoo.measure.process import WorkerFailed

CASES = [
    Case.of("minilm", deployment, batch)
    for deployment in ("eager", "compile")
    for batch in (1, 2, 3, 4, 5)
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch sizes that were prepared, in their order; that of 2 fails."""
    seen: list[int] = []

    def call(function: str, kwargs: Mapping[str, Any], *_: Any, **more: Any) -> dict[str, Any]:
        size = kwargs["case"]["batch_size"]
        seen.append(size)
        if size == 2:
            raise WorkerFailed(ArmFailed("prepare", "oom", "no memory"))
        return {"checkpoint": "c", "inputs": f"{size}", "reference": "r", "work": {}}

    monkeypatch.setattr(child, "call", call)
    return seen


def _preparation(folder: Path, cores: float) -> Preparation:
    made = Preparation(folder, 60.0)
    made.cores, made.upcoming = cores, CASES
    return made


def test_on_few_cores_one_after_the_other(tmp_path: Path, asked: list[int]) -> None:
    made = _preparation(tmp_path, 2)
    assert made.of(CASES[0]).inputs == "1" and asked == [1]
    assert made.of(CASES[5]).inputs == "1" and asked == [1], "all deployments share it"
    assert made.of(CASES[2]).inputs == "3" and asked == [1, 3]


def test_on_many_cores_those_of_the_next_cases_too(tmp_path: Path, asked: list[int]) -> None:
    made = _preparation(tmp_path, 16)
    assert made.of(CASES[0]).inputs == "1"
    assert sorted(asked) == [1, 2, 3, 4]
    assert made.of(CASES[2]).inputs == "3" and len(asked) == 4
    with pytest.raises(WorkerFailed, match="no memory"):  # it is told when it is asked for
        made.of(CASES[1])
    assert sorted(asked[4:]) == [2, 5]


def test_a_case_that_nobody_announced(tmp_path: Path, asked: list[int]) -> None:
    assert _preparation(tmp_path, 16).of(Case.of("resnet18", batch_size=7)).inputs == "7"
    assert asked == [7]
