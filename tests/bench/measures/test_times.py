"""Throughput and cold start of targets whose times are known."""

import pytest

from bench.measures import cold_start, throughput
from tests.bench.jobs import job


def test_throughput_of_a_sleep() -> None:
    values = throughput.measure(job("sleep", seconds=0.02)).values
    assert values["samples"].value == pytest.approx(4 / 0.02, rel=0.1)
    assert values["tokens"].value == pytest.approx(10 / 0.02, rel=0.1)
    assert values["samples"].value <= 4 / 0.02


def test_cold_start_in_steps() -> None:
    values = cold_start.measure(job("slow_first", seconds=0.2)).values
    assert values["load"].value == pytest.approx(0.2, abs=0.05)
    assert values["first_call"].value == pytest.approx(0.4, abs=0.05)
    assert values["steady_call"].value == pytest.approx(0.02, abs=0.01)
    assert values["total"].value >= 0.6
    assert "compile_cold" not in values
