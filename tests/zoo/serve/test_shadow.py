"""What is said of two versions: whether they agree, which one is faster, why one is refused."""

import asyncio
import errno
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.serve import versions
from zoo.serve.activity import Activity, Pass
from zoo.serve.args import UpdateArgs
from zoo.serve.queue import Job, JobQueue
from zoo.serve.shadow import Compared, Shadow, agree
from zoo.serve.update import Refused, Updater
from zoo.serve.versions import Steps
from zoo.store import evidence


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ({"label": "a", "score": 0.9}, {"label": "a", "score": 0.5}, True),
        ({"label": "a", "score": 0.9}, {"label": "b", "score": 0.9}, False),
        ({"label": "a", "scores": {"a": 1.0}}, {"label": "a", "scores": {"b": 1.0}}, True),
        ({"label": ["a", "b"], "score": [1, 1]}, {"label": ["b", "a"], "score": [1, 1]}, True),
        ({"label": ["a"]}, {"label": []}, False),
        ({"value": 2.0}, {"value": 2.05}, True),
        ({"value": 2.0}, {"value": 2.5}, False),
        ({"text": "eins"}, {"text": "zwei"}, False),
        (
            {"spans": [{"start": 0, "end": 2, "label": "PER", "score": 0.4}]},
            {"spans": [{"start": 0, "end": 2, "label": "PER", "score": 0.8}]},
            True,
        ),
        ({"spans": [{"start": 0, "end": 2}]}, {"spans": [{"start": 0, "end": 3}]}, False),
        ({"spans": []}, {"spans": [{"start": 0, "end": 3}]}, False),
        ({"text": "a"}, "no such file", False),
        ("the same fault", "the same fault", True),
        ({"text": "a"}, None, False),
    ],
)
def test_answers_agree_where_they_say_the_same(one: Any, other: Any, wanted: bool) -> None:
    assert agree(one, other) is wanted


def _compared(
    ratio: float, count: int, inputs: int = 100, disagreed: int = 0, crowd: float = 0
) -> Compared:
    """What is found where the new version takes 1 / ratio seconds, and the old one a second; so
    many passes run beside the new one."""
    noise = np.exp(np.random.default_rng(0).normal(0, 0.01, (count, 3)))
    times = [
        (Pass(a), Pass(b / ratio, crowd), Pass(c / ratio, crowd)) for a, b, c in noise.tolist()
    ]
    return Compared(inputs, disagreed, times)


@pytest.mark.parametrize(
    ("ratio", "word"), [(0.3, "slower"), (0.6, "can't tell"), (1.4, "faster"), (1.0, "can't tell")]
)
def test_a_crowd_explains_some_of_it(ratio: float, word: str) -> None:
    """A pass beside another one may take twice as long, and no more."""
    assert _compared(ratio, 100, crowd=1.0).verdict(10.0)[0].word == word


@pytest.mark.parametrize(
    ("ratio", "count", "word"),
    [(0.8, 100, "slower"), (1.3, 100, "faster"), (1.0, 200, "same"), (0.5, 9, "can't tell")],
)
def test_times_are_judged_as_elsewhere(ratio: float, count: int, word: str) -> None:
    verdict, speedup = _compared(ratio, count).verdict(10.0)
    assert verdict.word == word
    assert (speedup is None) == (count < 10)


def test_a_pass_is_as_crowded_as_others_run_meanwhile() -> None:
    now = [0.0]

    def later(seconds: float) -> None:
        now[0] += seconds

    activity = Activity(lambda: now[0])
    with activity.running() as alone:
        later(2)
    later(1)
    with activity.running() as long:
        later(3)
        with activity.running() as within:
            later(1)
    with activity.running() as last:
        later(2)
    assert [one.seconds for one in (alone, long, within, last)] == [2, 4, 1, 2]
    assert [one.others for one in (alone, long, within, last)] == [0, 0.25, 1, 0]
    assert alone.is_like(last) and not long.is_like(within)


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    """When the time to compare is over, the new version has none of it left in its queue."""

    async def run() -> None:
        job = Job("a", {}, math.inf, asyncio.get_running_loop().create_future())
        job.answer.set_result({"label": "a"})
        candidate: Any = SimpleNamespace(queue=JobQueue(8), observer=None, deaths=0)
        active: Any = SimpleNamespace(observer=None)
        shadow = Shadow(active, candidate, 1.0, 60.0)
        running = asyncio.create_task(shadow.run(8, 0.1))
        await asyncio.sleep(0)
        active.observer([job], Pass())
        await running
        [copy] = candidate.queue.empty()
        assert copy.answer.cancelled()

    asyncio.run(run())


DESCRIBED: Any = SimpleNamespace(
    name="one", sha256="0" * 64, version="0" * 12, deployment="eager", folder=None
)


def _judged(compared: Compared, **settings: Any) -> None:
    updater = Updater(None, UpdateArgs(**settings))  # type: ignore[arg-type]
    candidate: Any = SimpleNamespace(deaths=0)
    asyncio.run(updater._judge(candidate, compared, 10.0, Steps(DESCRIBED, DESCRIBED)))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[evidence.Fact]:
    """The facts that would be evidence."""
    found: list[evidence.Fact] = []
    monkeypatch.setattr(evidence, "append", lambda _, facts: found.extend(facts))
    return found


def test_what_is_slower_by_too_much_is_refused(recorded: list[evidence.Fact]) -> None:
    with pytest.raises(Refused, match="it is slower") as refused:
        _judged(_compared(0.8, 100), fail_if=("slower:5%",))
    assert refused.value.code == "speed"
    assert [fact.name for fact in recorded] == ["disagreement", "speedup"]
    _judged(_compared(0.8, 100), fail_if=("slower:50%",))
    _judged(_compared(0.8, 100))


def test_what_could_not_be_told_is_refused_where_asked(recorded: list[evidence.Fact]) -> None:
    _judged(_compared(1.0, 3), fail_if=("slower",))
    with pytest.raises(Refused, match="3 times of both are comparable; 10 wanted"):
        _judged(_compared(1.0, 3), fail_if=("cant_tell",))


def test_as_many_may_disagree_as_was_said(recorded: list[evidence.Fact]) -> None:
    _judged(_compared(1.0, 100, disagreed=2))
    with pytest.raises(Refused, match=r"3.0% of 100 inputs"):
        _judged(_compared(1.0, 100, disagreed=3))
    assert {fact.interval and fact.interval["method"] for fact in recorded} >= {"wilson"}


def test_without_a_request_it_is_said(recorded: list[evidence.Fact]) -> None:
    _judged(Compared())
    assert [fact.name for fact in recorded] == ["not_compared"]


def test_a_full_disk_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "evidence.jsonl")

    monkeypatch.setattr(evidence, "append", full)
    _judged(_compared(1.0, 100))
    assert "no evidence of the step disagreement" in caplog.text


def test_a_folder_that_can_not_be_read_now_has_no_stamp(tmp_path: Any) -> None:
    gone = SimpleNamespace(deployment="eager", folder=tmp_path)
    assert versions.stamp(gone) is None  # type: ignore[arg-type]
