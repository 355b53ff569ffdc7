"""Host and device apart, with a device that is made up: its clock goes on while the host waits."""

import time
from typing import Self

import pytest

from bench.cases.case import Case
from bench.measures import MEASURES, device_time

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
    assert len(told["host"]) == len(told["device"]) == device_time.LEAST == device.waited
    assert set(told["device"]) == {1e-3 * KERNEL_MS}
    assert min(told["host"]) >= LAUNCH_S


def test_a_processor_is_both() -> None:
    measure = MEASURES["device_time"]
    assert measure.fits(Case("cnn_cls", device="cuda:1"))
    assert not measure.fits(Case("cnn_cls"))


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
def test_on_a_gpu() -> None:
    from tests.bench.jobs import job

    values = device_time.measure(job("Products", size=2048, device="cuda")).values
    assert values["device"].value > 0 and values["host"].value > 0
