"""Energy counters, or why there are none."""

from pathlib import Path

import pytest

from bench.measures import energy
from tests.fake_nvml import NOT_SUPPORTED, FakeNvml, see_a_gpu
from zoo.machine import nvml


def _zone(root: Path, name: str, uj: int, most: int = 1_000_000) -> Path:
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "energy_uj").write_text(f"{uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    return zone


def test_processors_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    zones = [_zone(tmp_path, f"intel-rapl:{i}", 100) for i in range(2)]
    _zone(tmp_path, "intel-rapl:0:0", 50)
    joules = energy.packages(tmp_path)
    for zone in zones:
        (zone / "energy_uj").write_text("500100\n")
    assert joules() == pytest.approx(1.0)


def test_a_counter_that_begins_anew(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", 900_000)
    joules = energy.packages(tmp_path)
    for uj in (999_999, 99_999, 299_999):
        (zone / "energy_uj").write_text(f"{uj}\n")
        total = joules()
    assert total == pytest.approx(0.4, abs=1e-5)


def test_none(tmp_path: Path) -> None:
    with pytest.raises(energy.NoCounter, match="no energy counter"):
        energy.packages(tmp_path)


def test_what_it_takes_at_rest_is_told_apart() -> None:
    told = {"calls": 100, "seconds": 2.0, "joules": 1000.0, "idle_joules": 105.0}
    values = energy.values_of({**told, "idle_seconds": 1.5}, 4)
    assert values["call"].value == 10.0 and values["power"].value == 500.0
    assert values["idle_power"].value == pytest.approx(70.0)
    assert values["call_above_idle"].value == pytest.approx(10.0 - 70.0 * 0.02)
    assert values["sample_above_idle"].value == pytest.approx(8.6 / 4)
    noisy = energy.values_of({**told, "idle_joules": 2000.0, "idle_seconds": 1.0}, 4)
    assert noisy["call_above_idle"].value == 0.0


def test_rest_is_waited_for() -> None:
    moment, power = 0.0, 500.0
    joules = 0.0

    def sleep(seconds: float) -> None:
        nonlocal moment, joules, power
        moment += seconds
        joules += power * seconds
        power = 70.0  # it has come to rest

    told = energy.at_rest(lambda: joules, sleep, lambda: moment)
    assert told["idle_joules"] / told["idle_seconds"] == pytest.approx(70.0)


def test_a_gpu_without_nvml_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    see_a_gpu(monkeypatch)
    library = FakeNvml()
    gpu = nvml.open_gpu("cuda", lambda name: library)
    monkeypatch.setattr(nvml, "open_gpu", lambda device: gpu)
    joules = energy.counter_of("cuda:0")
    library.joules += 12.5
    assert joules() == 1012.5
    library.missing["nvmlDeviceGetTotalEnergyConsumption"] = NOT_SUPPORTED
    with pytest.raises(energy.NoCounter, match="NVML tells no energy: nvmlDeviceGetTotal"):
        energy.counter_of("cuda")


def test_all_of_it_with_a_counter_that_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(range(0, 1000, 10))
    monkeypatch.setattr(energy, "counter_of", lambda device: lambda: float(next(readings)))
    monkeypatch.setattr(energy, "REST_S", 0.0)
    monkeypatch.setattr(energy, "IDLE_S", 0.01)
    told = energy.run("tests.bench.targets:sleep", {"seconds": 0.001}, 0.02)
    assert told["joules"] == told["idle_joules"] == 10.0 and told["calls"] >= 1
    assert energy.values_of(told, 1)["call"].value == pytest.approx(10.0 / told["calls"])
