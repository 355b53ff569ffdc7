"""Which charts are drawn of what."""

import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases.case import Case
from bench.record.results import Result, Value
from bench.report import roofline, start_charts, svg, sweeps, trade_offs
from bench.report.chart import Axis, Scale, Section, missing, slug
from bench.report.data import Report, gather
from tests.bench.report.made import failed, measured, result, sampled
from zoo.machine.formatting import significant

BATCH, LENGTH = sweeps.SWEEPS


def report_of(*results: Sequence[Result]) -> Report:
    return gather(["r"], itertools.chain(*results))


@pytest.mark.parametrize(
    ("costs", "front"),
    [
        ([(1.0, 5.0), (2.0, 1.0), (3.0, 2.0)], [0, 1]),
        ([(1.0, 1.0), (1.01, 1.0)], [0, 1]),  # a tie beats nobody
        ([(1.0, 1.0), (1.01, 0.5)], [1]),  # unless it is better in the other
        ([(1.0, 1.0), (2.0, 1.0)], [0]),
        ([(1.0, 1.0)], [0]),
    ],
)
def test_the_front(costs: list[tuple[float, float]], front: list[int]) -> None:
    assert trade_offs.on_front([(sampled(a, "s"), b) for a, b in costs]) == front


def test_trade_offs_leave_out_what_is_wrong_and_say_so() -> None:
    made = trade_offs.section(
        report_of(
            measured(Case("m"), 0.1),
            measured(Case("m", "eager+bf16"), 0.05, size=2**20, sqnr=40.0),
            failed(Case("m", "openvino"), "wrong", "off"),
            failed(Case("m", "aoti"), "wrong", "off"),
        )
    )
    (group,) = made.groups
    assert group.absent == ("peak memory (the same for all)", "openvino, aoti (wrong)")
    error, size = group.charts
    assert [series.name for series in size.series] == ["eager", "eager+bf16"]
    assert [point.is_hollow for point in size.points()] == [True, False]
    assert size.points()[1].y == 1.0 and size.points()[1].x == pytest.approx(50)
    assert size.points()[1].x_ends == pytest.approx((50 / 1.02, 50 * 1.02))
    assert error.y.title == "error of outputs, %"


def test_what_is_not_drawn_is_told_as_it_is() -> None:
    """Two deployments without anything to weigh against are not "no two deployments"."""
    timed = [
        result(Case("m", name), measure, {value: sampled(0.1, "s")})
        for name in ("eager", "onnx")
        for measure, value in (("parity", "sqnr"), ("latency", "median"))
    ]
    made = report_of(timed)
    assert trade_offs.section(made).groups == ()
    assert trade_offs.section(made).nothing.startswith("Workloads were timed with two deployments")
    assert start_charts.section(made).nothing.startswith("No workload was started with two")
    one = report_of(timed[:2])
    assert trade_offs.section(one).nothing.startswith("No workload was measured with two")
    started = [
        result(Case("m", name), measure, {value: Value(2.0, "s")})
        for name in ("eager", "onnx")
        for measure, value in (("parity", "sqnr"), ("cold_start", "total"))
    ]
    assert start_charts.section(report_of(started)).nothing.startswith("Two deployments or more")


def test_where_nothing_is_lost_no_loss_is_drawn() -> None:
    made = trade_offs.section(report_of(measured(Case("m"), 0.1), measured(Case("m", "onnx"), 0.2)))
    assert [chart.y.title for chart in made.groups[0].charts] == [
        "peak memory, MiB",
        "size on disk, MiB",
    ]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([80.0, 100.0], 78.0, 102.0), ([1.0, 100.0], 0.0, 110.0), ([5.0, 5.0], 4.75, 5.25)],
)
def test_an_axis_begins_where_it_wastes_no_room(
    values: list[float], low: float, high: float
) -> None:
    scale = Scale.fit(values, Axis("x", from_zero=False), 0, 1)
    assert (scale.low, scale.high) == (pytest.approx(low), pytest.approx(high))
    assert Scale.fit(values, Axis("x"), 0, 1).low == 0
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())


def test_latency_over_batch_sizes() -> None:
    cases = [Case.of("m", "eager", batch) for batch in (16, 1, 4)]
    made = sweeps.section(
        report_of(
            *(measured(case, 0.01 * case.workload.batch) for case in cases),
            [
                result(Case.of("m", "onnx", 16), "parity"),
                result(Case.of("m", "onnx", 16), "latency", status="oom"),
            ],
        ),
        BATCH,
    )
    ((chart,), absent) = made.groups[0].charts, made.groups[0].absent
    assert absent == ("onnx at 16 (oom)",)
    assert [(point.x, point.y) for point in chart.points()] == [(1, 10), (4, 40), (16, 160)]
    assert chart.x.marks == (1, 4, 16) and chart.x.log and chart.y.log


def test_throughput_over_lengths_in_the_unit_of_the_work() -> None:
    cases = [Case.of("m", "eager", 2, length) for length in (32, 128)]
    made = sweeps.section(report_of(*(measured(case, 0.1) for case in cases)), LENGTH)
    (chart,) = made.groups[0].charts
    assert chart.y.title == "tokens/s" and chart.x.title == "length, tokens"
    assert [point.y for point in chart.points()] == pytest.approx([640, 2560])


@pytest.mark.parametrize(
    "make",
    [
        lambda report: sweeps.section(report, BATCH),
        lambda report: sweeps.section(report, LENGTH),
        trade_offs.section,
        start_charts.section,
    ],
    ids=["batch", "length", "front", "start"],
)
def test_one_case_makes_no_comparison(make: object) -> None:
    made = make(report_of(measured(Case("m"), 0.1)))  # type: ignore[operator]
    assert isinstance(made, Section) and not made.groups and made.nothing


def test_cold_start_crosses_eager_where_it_has_paid_off() -> None:
    made = start_charts.section(
        report_of(
            measured(Case("m"), 0.1, start=2.0),
            measured(Case("m", "compile"), 0.05, start=3.0, cold=22.0),
        )
    )
    (chart,) = made.groups[0].charts
    eager, warm, cold = chart.series
    assert [(point.x, point.y) for point in eager.points] == [(1, 2.0)]
    first, crossing = warm.points
    assert (first.x, first.y) == (1, 3.0)
    assert crossing.x == pytest.approx(21) and crossing.y == pytest.approx(4.0)
    assert cold.is_dashed and cold.points[1].x == pytest.approx(401)
    assert "after 401 calls" in cold.points[1].says[1]


def test_the_roofline_lies_above_what_it_bounds() -> None:
    case = Case("m", "eager")
    made = roofline.section(report_of(measured(case, 0.1, flops=7e9, size=1e8)))
    (chart,) = made.groups[0].charts
    (point,) = chart.points()
    assert (point.x, point.y) == pytest.approx((70, 70))
    assert "50% of the ceiling" in point.says[1]
    level, slope = chart.guides
    assert level.line[1][1] == 140 and level.label == "fp32 140 GFLOP/s"
    assert slope.line[1] == pytest.approx((7, 140)), "they meet at the ridge"


def test_an_interval_that_is_hardly_known_leaves_room_for_the_rest() -> None:
    made = sweeps.section(
        report_of(
            measured(Case.of("m", "eager", 1), 0.01, spread=1e20),
            measured(Case.of("m", "eager", 8), 0.02),
        ),
        BATCH,
    )
    (chart,) = made.groups[0].charts
    assert max(chart.ys()) == pytest.approx(30) and min(chart.ys()) == pytest.approx(10 / 3)
    drawn = re.findall(r' d="(.*?)"', svg.draw(chart, {"eager": 0}))
    assert not any("e" in path or "n" in path for path in drawn)


def test_without_ceilings_there_is_no_roofline() -> None:
    made = roofline.section(report_of([result(Case("m"), "parity")]))
    assert not made.groups and "--measures latency work" in made.nothing


@given(
    st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=8), st.booleans(), st.integers(100, 900)
)
def test_all_lies_within_the_axes(values: list[float], log: bool, end: int) -> None:
    scale = Scale.fit(values, Axis("x", log=log), 0, end)
    assert all(-1e-6 <= scale(value) <= end + 1e-6 for value in values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8 and ticks == sorted(set(ticks))
    assert all(scale.low <= tick <= scale.high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5678, "1,235"),
        (0.0123456, "0.01235"),
        (9.99999, "10.00"),
        (0, "0"),
        (3.7669e22, "3.767e+22"),
        (6.796e-21, "6.796e-21"),
        (1e9, "1,000,000,000"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert significant(value) == text


def test_names() -> None:
    assert slug("front", "runs/My Model, batch 1") == "front-runs-my-model-batch-1"
    assert missing([("a", "oom"), ("b", "wrong"), ("c", "oom")]) == ("a, c (oom)", "b (wrong)")


def test_looks_differ_beyond_the_colours() -> None:
    looks = range(3 * svg.COLOURS)
    seen = {(svg.colour_class(look), svg.mark(look, 0, 0)) for look in looks}
    assert len(seen) == len(looks)
