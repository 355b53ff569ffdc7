"""How numbers are written."""

import math

import pytest

from bench.record.results import Value
from zoo.machine import formatting
from zoo.measure import Estimate, Interval


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, Interval(low, high, 0.99, "made"), 10)


def test_times_and_ratios_have_four_digits_and_their_interval() -> None:
    found = _estimate(0.0144123, 0.00939, 0.022134)
    assert formatting.seconds(found) == "14.41 ms [9.39, 22.13]"
    assert formatting.seconds(found, bare=True) == "14.41 ms"
    assert formatting.seconds(Value.of(found, "s")) == formatting.seconds(found)
    assert formatting.seconds(Value(1.5, "s")) == "1.5 s"
    assert formatting.seconds(None) == "-"
    assert formatting.ratio(_estimate(1.83101, 1.2541, 2.7019)) == "1.831 [1.254, 2.702]"
    assert formatting.milliseconds(0.0144123) == "14.41 ms"
    assert formatting.milliseconds(None) == "-"


def test_an_interval_that_is_undefined_is_a_dash() -> None:
    assert formatting.interval(0.81, 0.90344) == "0.8100 to 0.9034"
    assert formatting.interval(-0.01, 0.02, "+.4f") == "-0.0100 to +0.0200"
    assert formatting.interval(math.nan, math.nan) == "-"


@pytest.mark.parametrize(
    ("count", "unit", "decimals", "text"),
    [
        (1_234_567_890, "MB", 1, "1,234.6 MB"),
        (3 * 2**29, "GiB", 1, "1.5 GiB"),
        (2**20, "MiB", 0, "1 MiB"),
        (2_500_000_000, None, 1, "2.5 GB"),
        (2_500_000, None, 1, "2.5 MB"),
        (2_500, None, 1, "2.5 kB"),
        (999, None, 1, "999 bytes"),
        (None, "MB", 1, "-"),
    ],
)
def test_sizes(count: int | None, unit: str | None, decimals: int, text: str) -> None:
    assert formatting.size(count, unit, decimals) == text


def test_counts_have_commas_and_what_rounds_to_zero_no_minus() -> None:
    assert formatting.short(12_345) == formatting.short(12_345.4) == "12,345"
    assert formatting.short(0.123456) == "0.1235" and formatting.short(7) == "7"
    assert formatting.fixed(-0.00001, 3) == "0.000" and formatting.fixed(-0.01, 2) == "-0.01"
    assert formatting.fixed(1234.5, 2) == "1,234.50" and formatting.fixed(0.25, 1, "+") == "+0.2"
    assert [formatting.decimals_of(width) for width in (0.0, 3e-9, 0.034, 12.0)] == [4, 6, 3, 0]
