"""NVML by ctypes, with a library that is made up."""

import pytest

from tests.fake_nvml import NOT_SUPPORTED, UUID, FakeNvml, see_a_gpu
from zoo.machine import environment, nvml


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    see_a_gpu(monkeypatch)
    return FakeNvml()


def test_numbers_in_their_units(library: FakeNvml) -> None:
    gpu = nvml.open_gpu("cuda", lambda name: library)
    library.throttled = 0x1 | 0x4 | 0x40
    assert gpu.energy() == 1000.0 and gpu.power_limit() == 700.0
    assert (gpu.clock(), gpu.highest_clock()) == (345, 1980)
    assert gpu.highest_clock(nvml.MEMORY_CLOCK) == 2619
    assert gpu.held_down_by() == ("power cap", "hardware thermal slowdown")


def test_it_is_the_one_that_torch_means(library: FakeNvml) -> None:
    """Numbers of NVML and of CUDA differ; an UUID is the same in both."""
    nvml.open_gpu("cuda:0", lambda name: library)
    assert library.asked == [f"GPU-{UUID}".encode()]


def test_what_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    see_a_gpu(monkeypatch)

    def absent(name: str) -> None:
        raise OSError(name)

    with pytest.raises(nvml.NvmlError, match="comes with NVIDIA's driver, is not here"):
        nvml.open_gpu("cuda", absent)
    with pytest.raises(nvml.NvmlError, match="nvmlInit_v2 gave error 9"):
        nvml.open_gpu("cuda", lambda name: FakeNvml(nvmlInit_v2=9))
    old = FakeNvml(nvmlDeviceGetTotalEnergyConsumption=NOT_SUPPORTED)
    with pytest.raises(nvml.NvmlError, match="EnergyConsumption gave error 3"):
        nvml.open_gpu("cuda", lambda name: old).energy()
    with pytest.raises(nvml.NvmlError, match="has no nvmlDeviceGetMaxClockInfo"):
        nvml.Gpu(object(), None).highest_clock()


def test_a_machine_names_clocks_and_power_limit(
    library: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = nvml.open_gpu("cuda", lambda name: library)
    monkeypatch.setattr(nvml, "open_gpu", lambda device="cuda": opened)
    library.clocks = [345, 1980]  # what it runs at now is no part of what it is
    first, again = environment.machine(gpu=True), environment.machine(gpu=True)
    assert first == again
    assert first["gpu"] == "NVIDIA H100 80GB HBM3"
    assert first["gpu_clock_mhz"] == 1980 and first["gpu_memory_clock_mhz"] == 2619
    assert first["gpu_power_limit_w"] == 700


def test_a_driver_that_says_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    see_a_gpu(monkeypatch)

    def silent(device: str = "cuda") -> nvml.Gpu:
        raise nvml.NvmlError("no driver")

    monkeypatch.setattr(nvml, "open_gpu", silent)
    found = environment.machine(gpu=True)
    assert found["gpu_count"] == 1 and "gpu_power_limit_w" not in found
