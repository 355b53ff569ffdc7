"""A stopwatch that is not ours: which one is asked, and that the ratio is ours over its."""

import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bench.cases import child
from bench.cases.args import SelftestArgs
from bench.measures import device_time
from bench.validity import selftest, torch_benchmark_check
from zoo.measure import ArmFailed
from zoo.measure.process import WorkerFailed


def test_the_ratio_is_ours_over_the_others() -> None:
    waits: list[int] = []
    found = torch_benchmark_check.ratio(
        lambda: time.sleep(0.002), lambda: waits.append(1), lambda: 0.001
    )
    assert found >= 2.0
    assert len(waits) == torch_benchmark_check.BLOCKS * torch_benchmark_check.CALLS


def test_tritons_is_asked_for_its_median_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def do_bench(call: Any, **options: Any) -> float:
        asked.append(options)
        call()
        return 2.5  # milliseconds

    made = ModuleType("triton")
    made.testing = SimpleNamespace(do_bench=do_bench)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton", made)
    calls: list[int] = []
    assert device_time.do_bench(lambda: calls.append(1))() == pytest.approx(0.0025)
    assert asked == [{"warmup": 25, "rep": 100, "return_mode": "median"}] and calls == [1]


def test_without_triton_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(device_time.NoOtherStopwatch, match="comes with PyTorch for CUDA"):
        device_time.do_bench(lambda: None)


def test_torchs_timer_agrees_on_a_sleep() -> None:
    timer = torch_benchmark_check.timer(lambda: time.sleep(0.003))
    assert timer() >= 0.003


@pytest.mark.parametrize(("told", "passed"), [(1.02, True), (0.98, True), (1.05, False)])
def test_on_a_gpu_three_percent_are_allowed(
    told: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def call(function: str, kwargs: Any, threads: int) -> float:
        asked.append(function.rpartition(":")[2])
        return 5 if asked[-1] == "products_for" else told

    monkeypatch.setattr(child, "call", call)
    check = selftest._opinion_on_gpu("cuda")
    assert check.passed == passed and asked == ["products_for", "run"]
    assert check.name == "within 3% of triton.testing.do_bench"


def test_a_gpu_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: Any, **__: Any) -> float:
        raise WorkerFailed(ArmFailed("a", "error", "Torch not compiled with CUDA enabled"))

    monkeypatch.setattr(child, "call", call)
    check = selftest._opinion_on_gpu("cuda")
    assert not check.passed and "not compiled with CUDA" in check.found


def test_the_processor_is_not_held_against_triton() -> None:
    assert SelftestArgs().device == "cpu"
