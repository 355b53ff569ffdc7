"""The Pareto front, and who wins."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.decide.pareto import Limits, OptionCost, beats, front, tied, winner
from zoo.measure import Estimate, Interval


def point(
    name: str,
    drop: float = 0.0,
    seconds: float = 1.0,
    spread: float = 0.01,
    p95: float | None = None,
    memory: float | None = 1.0,
    size: float = 1.0,
) -> OptionCost:
    interval = Interval(seconds * (1 - spread), seconds * (1 + spread), 0.99, "made up")
    return OptionCost(name, drop, Estimate(seconds, interval, 10), p95, memory, size)


POINTS = st.lists(
    st.builds(
        point,
        st.uuids().map(str),
        st.sampled_from([0.0, 0.001, 0.01]),
        st.floats(0.5, 2.0),
        st.floats(0.0, 0.3),
        st.floats(0.5, 2.0),
        st.none() | st.sampled_from([1.0, 2.0]),
        st.sampled_from([1.0, 2.0]),
    ),
    min_size=1,
    max_size=8,
)


def test_better_in_one_and_worse_in_nothing() -> None:
    slow, fast = point("slow", seconds=2.0), point("fast", seconds=1.0)
    assert beats(fast, slow) and not beats(slow, fast)
    assert not beats(point("larger", seconds=1.0, size=2.0), slow)
    assert not beats(point("loses", seconds=1.0, drop=0.001), slow)
    assert not beats(point("more memory", seconds=1.0, memory=2.0), slow)
    assert not beats(fast, fast)


def test_overlapping_latencies_are_a_tie() -> None:
    one, other = point("one", seconds=1.0, spread=0.1), point("other", seconds=1.1, spread=0.1)
    assert tied(one, other)
    assert not beats(one, other) and {each.name for each in front([one, other])} == {"one", "other"}
    assert beats(point("smaller", seconds=1.1, spread=0.1, size=0.5), one)


def test_what_slowed_both_is_no_tie() -> None:
    """On a busy machine single latencies scatter, and their ratio in one round does not."""

    def times_as_fast(one: OptionCost, ratio: float) -> OptionCost:
        interval = Interval(0.8 * ratio, 1.2 * ratio, 0.99, "made up")
        return replace(one, speedup=Estimate(ratio, interval, 10))

    slow, fast = point("slow", seconds=1.2, spread=0.5), point("fast", seconds=0.9, spread=0.5)
    assert tied(slow, fast)
    slow, fast = times_as_fast(slow, 1.5), times_as_fast(fast, 5.8)
    assert not tied(slow, fast) and winner([slow, fast], Limits()) == fast
    assert tied(slow, times_as_fast(fast, 1.6)) and tied(slow, point("eager", spread=0.5))


@given(POINTS)
def test_nobody_on_the_front_is_beaten_and_everybody_else_is(points: list[OptionCost]) -> None:
    left = front(points)
    for one in points:
        assert (one in left) == (not any(beats(other, one) for other in points))


@given(POINTS, st.floats(0.5, 2.0), st.sampled_from([None, 1.0]))
def test_the_winner_keeps_to_the_limits(
    points: list[OptionCost], p95: float, memory: float | None
) -> None:
    limits = Limits(p95, 0.005, memory)
    best = winner(points, limits)
    allowed = [one for one in points if not limits.broken_by(one)]
    assert (best is None) == (not allowed)
    if best is not None:
        fastest = min(allowed, key=lambda one: one.seconds.value)
        assert best in allowed and tied(best, fastest)


def test_among_the_tied_the_one_that_loses_least() -> None:
    quick = point("quick", seconds=1.0, drop=0.004)
    careful = point("careful", seconds=1.01, drop=0.001)
    slow = point("slow", seconds=3.0)
    assert winner([quick, careful, slow], Limits(max_drop=0.005)) == careful
    assert winner([quick], Limits(max_drop=0.001)) is None


def test_what_breaks_a_limit_is_named() -> None:
    asked = Limits(p95_s=0.02, max_drop=0.005, memory=500e6)
    assert "p95 of 30.0 ms" in asked.broken_by(point("a", p95=0.03))
    assert "too few samples" in asked.broken_by(point("a"))
    assert "+0.0100" in asked.broken_by(point("a", drop=0.01, p95=0.01))
    assert "600 MB" in asked.broken_by(point("a", p95=0.01, memory=600e6))
    assert "not measured" in asked.broken_by(point("a", p95=0.01, memory=None))
    assert asked.broken_by(point("a", p95=0.01)) == ""
