"""Processes of a case: one that measures share, or one for each."""

import dataclasses

import pytest

from bench.cases.child import Shared
from bench.cases.job import MeasureJob
from tests.bench.jobs import job
from zoo.measure.process import Worker, WorkerFailed

LOADS = "tests.bench.targets:loads"


def test_what_is_loaded_is_loaded_once() -> None:
    alone = job("Counted")
    assert [alone.ask(LOADS, more=1)["loads"] for _ in range(2)] == [1, 1]
    one = Shared(alone.arm, Worker)
    together = dataclasses.replace(alone, shared=one)
    told = [together.ask(LOADS, more=number) for number in (1, 2)]
    assert [each["loads"] for each in told] == [1, 1] and told[0]["pid"] == told[1]["pid"]
    with together.worker() as worker:
        assert worker.run(2).seconds and worker.pid == told[0]["pid"]
    assert not worker.ended, "the others go on with it"
    one.close()
    one.close()
    assert worker.ended


def test_one_that_fails_ends_the_process_and_the_next_has_another() -> None:
    one = Shared(job("Counted").arm, Worker)
    together = dataclasses.replace(job("Counted"), shared=one)
    before = together.ask(LOADS, more=1)["pid"]
    with pytest.raises(WorkerFailed, match="RuntimeError: too much"):
        together.ask(LOADS, more=-1)
    after = together.ask(LOADS, more=1)
    assert after["loads"] == 1 and after["pid"] != before
    one.close()


def test_what_all_cases_have_in_common_is_asked_once() -> None:
    one = job("sleep", seconds=0.0)
    other: MeasureJob = dataclasses.replace(
        one, case=dataclasses.replace(one.case, deployment="compile")
    )
    function = "tests.bench.targets:answer"
    assert one.once(function, {"value": 3}) == other.once(function, {"value": 3}) == {"value": 3}
    assert other.counted is one.counted and len(one.counted) == 1
    assert one.once(function, {"value": 4}) == {"value": 4} and len(one.counted) == 2
