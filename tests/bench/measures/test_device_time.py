"""Host and device apart, with a device that is made up: its clock goes on while the host waits."""

import time
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
from torch.autograd import DeviceType

from bench.cases.case import Case
from bench.measures import MEASURES, clocks, device_time
from bench.sweep import table
from tests.bench.report import made
from tests.fake_nvml import NOT_SUPPORTED, FakeNvml, see_a_gpu
from zoo.machine import nvml

LAUNCH_S, KERNEL_MS = 0.002, 5.0


class Device:
    """Calls take LAUNCH_S on the host, and KERNEL_MS on it."""

    def __init__(self) -> None:
        self.queued = 0.0  # ms of work given to it so far
        self.waited = 0

    def call(self) -> None:
        time.sleep(LAUNCH_S)
        self.queued += KERNEL_MS

    def event(self) -> "Event":
        return Event(self)


class Event:
    """As torch.cuda.Event."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def record(self) -> None:
        self.at = self.device.queued

    def synchronize(self) -> None:
        self.device.waited += 1

    def elapsed_time(self, end: Self) -> float:
        assert self.device.waited, "an event that may not have come yet"
        return end.at - self.at


def test_each_has_its_own_time() -> None:
    device = Device()
    told = device_time.time_calls(device.call, device.event, 0.0)
    assert {len(taken) for taken in told.values()} == {device_time.LEAST} == {device.waited}
    assert all(whole >= host for whole, host in zip(told["call"], told["host"], strict=True))
    assert set(told["device"]) == {1e-3 * KERNEL_MS}
    assert min(told["host"]) >= LAUNCH_S


def test_a_processor_is_both() -> None:
    measure = MEASURES["device_time"]
    assert measure.fits(Case("cnn_cls", device="cuda:1"))
    assert not measure.fits(Case("cnn_cls"))


@pytest.mark.parametrize(
    ("spans", "length"),
    [
        ([], 0.0),
        ([(1.0, 2.0), (3.0, 5.0)], 3.0),
        ([(3.0, 5.0), (1.0, 4.0)], 4.0),
        ([(0.0, 10.0), (2.0, 3.0), (9.0, 11.0)], 11.0),
        ([(1.0, 2.0), (2.0, 3.0)], 2.0),
    ],
)
def test_what_runs_at_once_counts_once(spans: list[tuple[float, float]], length: float) -> None:
    assert device_time.union(spans) == length


def _event(kind: DeviceType, start: float, end: float, **more: Any) -> Any:
    """As torch.profiler's, times in microseconds."""
    return SimpleNamespace(
        device_type=kind, time_range=SimpleNamespace(start=start, end=end), **more
    )


def test_kernels_and_copies_alone_are_work_of_the_device() -> None:
    events = [
        _event(DeviceType.CPU, 0, 100),
        _event(DeviceType.CUDA, 0, 100, is_user_annotation=True),  # of torch.compile
        _event(DeviceType.CUDA, 10, 30, is_user_annotation=False),
        _event(DeviceType.CUDA, 50, 60),
    ]
    assert [begin for begin, _ in device_time.spans(events)] == pytest.approx([10e-6, 50e-6])
    assert device_time.union(device_time.spans(events)) == pytest.approx(30e-6)


def test_a_profile_of_the_processor_has_no_kernel() -> None:
    """By the real profiler: its events are as they are read."""
    busy = device_time.profile(lambda: torch.ones(8) @ torch.ones(8), lambda: None, 2)
    assert busy == 0.0 or torch.cuda.is_available()


def test_calls_without_a_pause_are_waited_for_at_the_end() -> None:
    moment = 0.0
    waits: list[float] = []

    def call() -> None:
        nonlocal moment
        moment += 0.1

    count, taken = device_time.without_pause(call, lambda: waits.append(moment), lambda: moment)
    assert count == 3 and taken == pytest.approx(0.1) and len(waits) == 3


TOLD: dict[str, Any] = {
    "host": [0.004] * 20,
    "device": [0.003] * 20,
    "call": [0.00408] * 20,
    "do_bench": 0.0039,
    "without_pause": 0.004,
    "busy": 0.003,
    "profiled": 50,
    "clock": [1410, 1395],
    "highest": 1980,
    "held_down": ["power cap"],
}


def test_the_share_that_the_device_waits() -> None:
    found = device_time.found(TOLD)
    assert found.values["waited"].value == pytest.approx(0.25)
    assert found.values["busy"].value == 0.003 and found.values["sm_clock"].value == 1410
    assert found.reason == "its clock was held down by power cap: 1,410 of 1,980 MHz"
    assert found.values["over_do_bench"].value == pytest.approx(0.004 / 0.0039)
    full = device_time.found({**TOLD, "busy": 0.0041, "held_down": [], "do_bench": None})
    assert "do_bench" not in full.values
    assert full.values["waited"].value == 0.0 and full.reason == ""
    blind = device_time.found({**TOLD, "busy": 0.0, "clock": [], "held_down": []})
    assert "waited" not in blind.values and "saw no kernel" in blind.reason


def test_it_is_told_in_its_units() -> None:
    case = Case("minilm", device="cuda")
    found = device_time.found(TOLD)
    one = made.result(case, "device_time", found.values, reason=found.reason)
    line, held = table.notes_of(case, {"device_time": one})
    assert "host 4 ms" in line and "waited 25.0%" in line and "sm clock 1,410 MHz" in line
    assert "held down by power cap" in held


def test_clocks_come_up_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, calls = 0.0, 0

    def call() -> None:
        nonlocal moment, calls
        moment += 0.02
        calls += 1

    readings = iter([345, 345, 900, 1500, *[1980] * 100])
    seen = clocks.warm(call, lambda: None, lambda: next(readings), lambda: moment)
    assert seen[:4] == [345, 345, 900, 1500] and seen[-clocks.LOOKS :] == [1980] * clocks.LOOKS
    assert clocks.LEAST_S <= moment < clocks.MOST_S
    begun = moment
    clocks.warm(call, lambda: None, None, lambda: moment)
    assert moment - begun == pytest.approx(clocks.LEAST_S, abs=0.03)
    restless = iter([1000, 1980] * 1000)
    begun = moment
    clocks.warm(call, lambda: None, lambda: next(restless), lambda: moment)
    assert moment - begun == pytest.approx(clocks.MOST_S, abs=0.03)


def test_the_clock_is_read_while_calls_run(monkeypatch: pytest.MonkeyPatch) -> None:
    see_a_gpu(monkeypatch)
    library, order = FakeNvml(), list[str]()
    library.throttled, library.clocks = 0x4, [1410]
    gpu = nvml.open_gpu("cuda", lambda name: library)
    told = device_time.look(gpu, lambda: order.append("call"), lambda: order.append("wait"))
    assert told == {"clock": [1410] * 5, "highest": 1980, "held_down": ["power cap"]}
    assert order[:2] == ["call", "wait"]
    library.missing["nvmlDeviceGetClockInfo"] = NOT_SUPPORTED
    assert device_time.look(gpu, lambda: None, lambda: None)["clock"] == []


def test_a_processor_has_no_such_clock() -> None:
    assert clocks.gpu_of("cpu") is None


def test_all_of_it_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, with events of a device that is made up; a processor has no kernels."""
    device = Device()
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: device.event())
    told = device_time.run("tests.bench.targets:Products", {"size": 64, "device": "cpu"}, 0.0)
    assert told["profiled"] >= 1 and told["without_pause"] > 0 and told["clock"] == []
    told["device"] = told["host"]  # its clock stands still: nothing was given to it
    found = device_time.found(told)
    assert found.values["host"].value > 0 and "waited" not in found.values
