"""A function in a process of its own: its answer, or why there is none."""

import pytest

from bench.cases import child
from zoo.measure.process import WorkerFailed


def test_its_answer() -> None:
    assert child.call("tests.bench.targets:answer", {"value": 3}) == {"value": 3}


@pytest.mark.parametrize(
    ("function", "kwargs", "status", "said"),
    [
        ("refuse", {}, "unavailable", "openvino is not installed"),
        ("fail", {"how": "memory"}, "oom", "MemoryError"),
        ("fail", {"how": "something"}, "error", "RuntimeError: something"),
    ],
)
def test_its_failure(function: str, kwargs: dict[str, str], status: str, said: str) -> None:
    with pytest.raises(WorkerFailed) as error:
        child.call(f"tests.bench.targets:{function}", kwargs)
    assert (error.value.failed.status, said in error.value.failed.reason) == (status, True)
