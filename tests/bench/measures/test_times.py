"""Throughput and cold start of targets whose times are known."""

import dataclasses
import sys

import pytest

from bench.measures import cold_start, generation, latency, throughput
from tests.bench.jobs import job
from zoo.measure.preloaded import Preloader


def test_throughput_of_a_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "BLOCK_S", 0.1)
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


def test_the_first_token_and_the_others() -> None:
    values = generation.measure(job("Writer", seconds=0.01)).values
    assert values["first_token"].value == pytest.approx(0.02, rel=0.1)
    assert values["further_token"].value == pytest.approx(0.01, rel=0.1)
    assert values["prompt_tokens"].value == pytest.approx(20 / values["first_token"].value)
    assert values["further_tokens"].value == pytest.approx(4 / values["further_token"].value)
    assert (values["further_tokens"].unit, values["cache"].value) == ("tokens/s", 320)


def test_a_latency_says_how_its_processes_began() -> None:
    fresh = job("sleep", seconds=0.002)
    with Preloader(()) as start:
        for one in (fresh, dataclasses.replace(fresh, launch=start)):
            found = latency.measure(one)
            is_fork = one is not fresh and sys.platform.startswith("linux")
            assert found.samples["launcher"] == ("preloaded" if is_fork else "fresh")
            assert ("load" in found.values) != is_fork
            assert found.values["median"].value == pytest.approx(0.002, rel=0.5)
