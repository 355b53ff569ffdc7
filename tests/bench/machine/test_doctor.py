"""What the harness's doctor says of a machine's noise and ceilings."""

from typing import Any

import pytest

from bench.cases import child
from bench.cases.args import DoctorArgs
from bench.machine import doctor
from bench.measures import ceilings
from bench.measures.ceilings import Ceilings
from bench.validity import synthetic_targets
from tests.zoo.measure.machine import Machine, Noise
from zoo.measure import Arm, ArmFailed, noise_floor
from zoo.measure.process import WorkerFailed
from zoo.measure.verdicts import Floor


def test_the_floor_of_a_gpu_is_of_a_call_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And this process does not open CUDA for it."""
    asked: list[Any] = []

    def call(function: str, kwargs: Any, threads: int) -> int:
        asked.append((function, kwargs))
        return 7

    monkeypatch.setattr(child, "call", call)
    arm = doctor._arm("cuda:1")
    assert asked == [
        ("bench.validity.synthetic_targets:products_for", {"seconds": 0.01, "device": "cuda:1"})
    ]
    assert arm.target.endswith(":Products") and arm.kwargs == {"count": 7, "device": "cuda:1"}
    assert doctor._arm("cpu").target.endswith(":work")

    def fails(*_: Any, **__: Any) -> int:
        raise WorkerFailed(ArmFailed("products_for", "error", "no GPU"))

    monkeypatch.setattr(child, "call", fails)
    finding = doctor._floor(DoctorArgs(device="cuda"))
    assert (finding.status, finding.text) == ("warn", "no GPU")


def test_products_run_on_what_they_are_asked_for() -> None:
    """On the processor in the place of a GPU."""
    made = synthetic_targets.Products(2, "cpu")
    made.call()
    made.synchronize()
    assert made.count == 2 and made.matrix.device.type == "cpu"
    assert synthetic_targets.products_for(1e-9, "cpu") == 1


@pytest.mark.parametrize("budget_s", [8.0, 45.0])
def test_a_larger_budget_has_more_launches(budget_s: float) -> None:
    """On a machine that does not exist: what a floor costs is launches, and it keeps its time."""
    machine = Machine(0, Noise(launch=0.02))
    arm = Arm("work", "m:f")
    found = noise_floor(arm, doctor.plan_of(budget_s), start=machine.start, clock=machine.now)
    assert isinstance(found, Floor)
    assert found.launches >= (5 if budget_s < 10 else 8)


@pytest.mark.parametrize(
    ("budget_s", "device", "launches"),
    [(8.0, "cpu", 5), (8.0, "cuda", 2), (30.0, "cuda:1", 3), (600.0, "cuda", 5)],
)
def test_processes_that_open_a_gpu_are_few(budget_s: float, device: str, launches: int) -> None:
    """Each takes seconds: five launches would take a minute of a budget of 8 s."""
    assert doctor.plan_of(budget_s, device).launches == launches


@pytest.mark.parametrize(
    ("spread", "launches", "status", "remedy"),
    [
        (0.001, 12, "ok", ""),
        (0.01, 3, "warn", "more launches: more --minutes"),
        (0.02, 2, "warn", "more launches: more --minutes"),
        (0.2, 12, "warn", "a quieter machine, or more --minutes"),
    ],
)
def test_why_a_floor_is_high(spread: float, launches: int, status: str, remedy: str) -> None:
    floor = Floor(spread, launches)
    finding = doctor.floor_finding(floor, DoctorArgs(device="cuda"))
    assert (finding.status, finding.remedy) == (status, remedy)
    assert ("more than 100% for" in finding.text) == (launches == 2)
    assert f"differ by {spread:.1%}, seen in {launches} launches" in finding.text
    assert "10 ms on cuda" in finding.text


def test_ceilings_and_what_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    top = Ceilings({"bf16": 7e14, "int8": 1.3e15}, 4e12, {"fp8": "not for this chip"})
    monkeypatch.setattr(ceilings, "find", lambda *_: top)
    products, absent, copied = doctor._ceilings("cuda", 2)
    assert products.text == "bf16 700,000, int8 1,300,000 GFLOP/s (int8: GOP/s), cuda"
    assert (absent.status, absent.text) == ("warn", "no product in fp8: not for this chip")
    assert copied.text.startswith("4000.0 GB/s")
