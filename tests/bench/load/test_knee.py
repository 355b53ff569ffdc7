"""Where a service breaks: the search for the highest rate, and what a step keeps."""

import dataclasses
import math

import pytest

from bench.load import keep, knee, show
from bench.load.args import LoadArgs
from bench.load.arms import LoadArm
from bench.load.clients import ClientLost
from bench.load.generator import Seen
from bench.load.measured import ArmLoad, Round, over_rounds, times_as_many
from bench.load.step import Cost, Limits, Step, length_of, of_window

LIMITS = Limits(0.1, 0.001)


def seen(latencies: list[float], **statuses: int) -> Seen:
    """A window with these answers; names of statuses as `s429`."""
    found = {"200": len(latencies)} | {name[1:]: count for name, count in statuses.items()}
    return Seen(latencies, found, 10.0, len(latencies) + 10, 0.5, 12.0, 0.001)


def step(rate: float, is_kept: bool = True) -> Step:
    """A step at a rate."""
    latency = 0.05 if is_kept else 0.5
    return of_window(seen([latency] * 1000), LIMITS, Cost(3.0, 0.1, 20.0), rate)


def test_a_step_keeps_its_limits_or_not() -> None:
    good = of_window(seen([0.01] * 990 + [0.2] * 10), LIMITS, Cost(), 100.0)
    assert good.is_kept and good.p99_of_all == 0.01 and good.answered_per_s == 100.0
    late = of_window(seen([0.01] * 989 + [0.2] * 11), LIMITS, Cost(), 100.0)
    assert not late.is_kept and late.p99_of_all == 0.2
    cut = of_window(
        dataclasses.replace(seen([0.01] * 999), stopped=True), LIMITS, Cost(), rate=100.0
    )
    assert not cut.is_kept and cut.is_cut


def test_a_request_that_failed_took_forever() -> None:
    some = of_window(seen([0.01] * 999, s429=1), LIMITS, Cost(), 100.0)
    assert some.is_kept and some.statuses["429"] == 1
    more = of_window(seen([0.01] * 995, s503=2, s418=2, snone=1), LIMITS, Cost(), 100.0)
    assert not more.is_kept and more.p99_of_all == 0.01  # the share of failed ones is too large
    assert (more.statuses["503"], more.statuses["other"], more.statuses["none"]) == (2, 2, 1)
    assert more.failed == pytest.approx(0.005)
    many = of_window(seen([0.01] * 900, s504=100), LIMITS, Cost(), 100.0)
    assert many.p99_of_all is None and not many.is_kept
    nothing = of_window(seen([]), LIMITS, Cost(), 100.0)
    assert not nothing.is_kept and not nothing.latency


def test_what_a_step_costs_is_told_for_a_request() -> None:
    found = step(100.0)
    assert found.client_cpu == pytest.approx(0.5 / 1010)
    assert found.service_cpu == pytest.approx(3.0 / 1010) and found.joules == pytest.approx(
        20 / 1010
    )
    assert of_window(seen([0.01]), LIMITS, Cost(), 1.0).service_cpu is None


def test_a_step_is_long_enough_for_its_p99() -> None:
    assert length_of(100.0, 10.0) == 10.0
    assert 20.0 * length_of(20.0, 10.0) >= 368
    assert length_of(0.1, 10.0) == 60.0


@pytest.mark.parametrize("holds", [3.0, 47.0, 333.0, 9_000.0])
@pytest.mark.parametrize("start", [0.5, 60.0, 5_000.0])
@pytest.mark.parametrize("factor", [knee.FIRST, knee.LATER])
def test_the_highest_rate_is_found_from_anywhere(holds: float, start: float, factor: float) -> None:
    found = knee.search(lambda rate: step(rate, rate <= holds), start, 0.05, factor)
    if found.is_bracketed:
        assert found.kept and found.kept.rate
        assert found.kept.rate <= holds <= found.kept.rate * 1.0501
    assert len(found.steps) <= knee.MOST
    if start == 60.0:
        assert found.is_bracketed


def test_a_search_ends_where_nothing_is_kept_or_the_time_is_over() -> None:
    lost = knee.search(lambda rate: step(rate, False), 10.0, 0.05)
    assert lost.kept is None and not lost.is_bracketed
    assert min(one.rate or 0 for one in lost.steps) < 2 * knee.LOWEST
    left = iter([True, False])
    short = knee.search(lambda rate: step(rate), 10.0, 0.05, goes_on=lambda: next(left))
    assert [one.rate for one in short.steps] == [10.0, 15.0] and short.kept is short.steps[-1]


def test_a_search_that_is_broken_off_leaves_its_steps() -> None:
    def measure(rate: float) -> Step:
        if rate > 20.0:
            raise ClientLost("gone")
        return step(rate)

    found = knee.Knee()
    with pytest.raises(ClientLost):
        knee.search(measure, 10.0, 0.05, found=found)
    assert [one.rate for one in found.steps] == [10.0, 15.0] and found.kept is found.steps[-1]
    assert not found.is_complete
    assert knee.search(lambda rate: step(rate, rate < 50), 10.0, 0.05).is_complete
    assert not knee.search(step, 10.0, 0.05, goes_on=lambda: False).is_complete


def _searched(*rounds: tuple[float | None, bool, bool]) -> ArmLoad:
    """Rounds of searches: the highest rate that was kept, whether it is known as exactly as was
    asked, and whether the search came to its end."""
    found = []
    for number, (top, is_bracketed, is_complete) in enumerate(rounds, 1):
        steps = [step(50.0, False), *([] if top is None else [step(top)])]
        search = knee.Knee(steps, is_bracketed=is_bracketed, is_complete=is_complete)
        found.append(Round(number, steps, search))
    return ArmLoad(LoadArm("zoo", "a"), found)


def test_a_number_says_what_it_is_not_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    whole = _searched((10.0, True, True), (11.0, True, True))
    short = _searched((10.0, True, True), (4.0, False, False), (None, False, False))
    none = _searched((10.0, True, True), (None, False, True))
    assert whole.capacity() and short.capacity() and short.too_short() == 1
    # the mean of the other rounds would say too much
    assert none.capacity() is None and none.without_rate() == 1
    assert times_as_many(whole, none) is None and times_as_many(none, whole) is None
    args = LoadArgs("http://x", data="y", resolution=0.05)
    show.table(args, [whole])
    assert "search" not in capsys.readouterr().out
    show.table(args, [short, none])
    said = capsys.readouterr().out
    assert "1 of 3 searches ended before the highest rate was known within 5%" in said
    assert "1 of 3 searches ended before a rate was kept, and does not count" in said
    assert "1 of 2 searches kept no rate, so there is no mean" in said


def test_too_few_requests_for_a_p99_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    few = of_window(seen([0.01] * 30), LIMITS, Cost(), 3.0)
    show.table(
        LoadArgs("http://x", data="y"),
        [ArmLoad(LoadArm("zoo", "a"), [Round(1, [few], knee.Knee([few], few))])],
    )
    assert "a step had 30 requests: a p99 wants 400 or more" in capsys.readouterr().out


def test_latency_is_that_of_one_load() -> None:
    arm = _searched((10.0, True, True))
    assert [one.rate for one in arm.told()] == [10.0]
    lost = ArmLoad(arm.arm, [Round(1, [step(20.0, False), step(10.0, False)], knee.Knee())])
    assert lost.told() == [] and "p50" not in keep.values_of(lost, lost)
    asked = ArmLoad(arm.arm, [Round(1, [step(20.0, False)]), Round(2, [step(20.0, False)])])
    assert len(asked.told()) == 2 and keep.values_of(asked, asked)["p50"].n == 2000


def test_the_p99_that_is_kept_is_that_of_all_requests() -> None:
    arm = LoadArm("zoo", "a")
    some = of_window(seen([0.01] * 985 + [0.09] * 10, s503=5), LIMITS, Cost(), 100.0)
    values = keep.values_of(*[ArmLoad(arm, [Round(1, [some])])] * 2)
    assert some.latency["p99"] == 0.09 and values["p99"].value == 0.09
    many = of_window(seen([0.01] * 900, s503=100), LIMITS, Cost(), 100.0)
    values = keep.values_of(*[ArmLoad(arm, [Round(1, [many])])] * 2)
    assert values["p50"].value == 0.01 and "p99" not in values, "a tenth took forever"


def _arm(name: str, *tops: float) -> ArmLoad:
    rounds = [Round(i, [step(top), step(1.04 * top, False)]) for i, top in enumerate(tops, 1)]
    return ArmLoad(LoadArm("zoo", name), rounds)


def test_rounds_give_the_interval() -> None:
    capacity = _arm("a", 100.0, 110.0, 121.0).capacity()
    assert capacity is not None
    assert capacity.value == pytest.approx(110.0)
    # Student's t with two degrees of freedom, on logarithms
    half = 4.3027 * math.log(1.1) / math.sqrt(3)
    assert capacity.interval.high == pytest.approx(110.0 * math.exp(half), rel=1e-3)
    assert capacity.n == 3000 and "t over 3 launches" in capacity.interval.method
    assert over_rounds([], 0) is None


def test_ratios_are_of_the_rounds_that_both_have() -> None:
    base, other = _arm("a", 100.0, 120.0, 90.0), _arm("b", 300.0, 360.0)
    ratio = times_as_many(base, other)
    assert ratio is not None and ratio.value == pytest.approx(3.0)
    assert ratio.interval.low == pytest.approx(3.0)
    other.is_wrong = True
    assert times_as_many(base, other) is None and other.capacity() is None
