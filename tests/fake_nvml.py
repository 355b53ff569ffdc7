"""Stands for NVIDIA's management library: the functions that `zoo.machine.nvml` calls."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

UUID = "0a1b2c3d-0000-1111-2222-333344445555"
NOT_SUPPORTED = 3


class FakeNvml:
    """A GPU that runs at 345 MHz when idle, and draws `watts` for as long as `seconds` grows."""

    def __init__(self, **missing: int) -> None:
        self.missing = missing  # function to the code of its error
        self.joules, self.limit_w, self.throttled = 1000.0, 700.0, 0
        self.clocks = [345]
        self.asked: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        if name in self.missing:
            return lambda *arguments: self.missing[name]
        raise AttributeError(name)

    def _give(self, name: str, pointer: Any, value: int) -> int:
        if name in self.missing:
            return self.missing[name]
        pointer._obj.value = value
        return 0

    def nvmlInit_v2(self) -> int:
        return self.missing.get("nvmlInit_v2", 0)

    def nvmlDeviceGetHandleByUUID(self, name: Any, pointer: Any) -> int:
        self.asked.append(name.value)
        return self._give("nvmlDeviceGetHandleByUUID", pointer, 1)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, pointer: Any) -> int:
        return self._give("nvmlDeviceGetTotalEnergyConsumption", pointer, int(1e3 * self.joules))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, pointer: Any) -> int:
        return self._give("nvmlDeviceGetEnforcedPowerLimit", pointer, int(1e3 * self.limit_w))

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int, pointer: Any) -> int:
        now = self.clocks.pop(0) if len(self.clocks) > 1 else self.clocks[0]
        return self._give("nvmlDeviceGetClockInfo", pointer, now if kind == 1 else 2619)

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, kind: int, pointer: Any) -> int:
        return self._give("nvmlDeviceGetMaxClockInfo", pointer, 1980 if kind == 1 else 2619)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, pointer: Any) -> int:
        return self._give("nvmlDeviceGetCurrentClocksThrottleReasons", pointer, self.throttled)


def see_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> None:
    """PyTorch sees an H100 of that compute capability; it can't compute on it."""
    major, minor = capability
    properties = SimpleNamespace(
        name="NVIDIA H100 80GB HBM3",
        uuid=UUID,
        total_memory=80 * 2**30,
        major=major,
        minor=minor,
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index=0: properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
