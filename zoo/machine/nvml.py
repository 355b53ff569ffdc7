"""What NVIDIA's management library (NVML) says of a GPU: its energy, power, clocks and limits.

NVML comes with the driver, so this calls it by ctypes and needs no package. The functions and their
units are those of NVIDIA's NVML API reference (https://docs.nvidia.com/deploy/nvml-api).
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
SM_CLOCK, MEMORY_CLOCK = 1, 2  # nvmlClockType_t
HELD_DOWN = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""nvmlClocksEventReasons that hold a clock down; idle and settings of the user's are none."""


class NvmlError(Exception):
    """NVML can't provide a value; the message says why in a few words."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as seen by NVML. All methods raise `NvmlError` for values that the driver does not
    provide."""

    library: Any
    handle: Any

    def energy(self) -> float:
        """Return the energy used since the driver was loaded, in joules (Volta and later)."""
        return self._number("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong) / 1e3

    def power_limit(self) -> float:
        """Return the current power limit in watts."""
        return self._number("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint) / 1e3

    def clock(self, kind: int = SM_CLOCK) -> int:
        """Return the current clock of the multiprocessors (SM) or the memory, in MHz."""
        return self._number("nvmlDeviceGetClockInfo", ctypes.c_uint, kind)

    def highest_clock(self, kind: int = SM_CLOCK) -> int:
        """Return the highest clock that the GPU supports, in MHz."""
        return self._number("nvmlDeviceGetMaxClockInfo", ctypes.c_uint, kind)

    def held_down_by(self) -> tuple[str, ...]:
        """Return the reasons for which the GPU's clocks are reduced now: "power cap", ..."""
        mask = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong)
        return tuple(name for bit, name in HELD_DOWN.items() if mask & bit)

    def _number(self, function: str, kind: Any, *more: int) -> int:
        found = kind()
        _call(self.library, function, self.handle, *more, ctypes.byref(found))
        return int(found.value)


def open_gpu(device: str = "cuda", load: Callable[[str], Any] = ctypes.CDLL) -> Gpu:
    """Return the GPU with PyTorch's device name. CUDA_VISIBLE_DEVICES and the order of devices,
    which may give it another number in NVML, are taken into account.

    Args:
        device: "cuda" or "cuda:1".
        load: opens a library by its name; for tests.

    Raises `NvmlError` where there is no library, no driver, or no such GPU.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        raise NvmlError(f"{LIBRARY}, which comes with NVIDIA's driver, is not here") from None
    _call(library, "nvmlInit_v2")
    handle = ctypes.c_void_p()
    name = f"GPU-{_uuid(device)}".encode()
    _call(library, "nvmlDeviceGetHandleByUUID", ctypes.c_char_p(name), ctypes.byref(handle))
    return Gpu(library, handle)


def _uuid(device: str) -> str:
    import torch

    index = torch.device(device).index
    try:
        return str(torch.cuda.get_device_properties(index or 0).uuid)
    except (RuntimeError, AssertionError) as error:
        raise NvmlError(f"PyTorch sees no {device}: {str(error).splitlines()[0]}") from None
    except AttributeError:  # of a build for other GPUs than NVIDIA's
        raise NvmlError("this PyTorch tells no UUID of a GPU") from None


def _call(library: Any, function: str, *arguments: Any) -> None:
    """Call a function of NVML; raise `NvmlError` if it does not exist or fails."""
    try:
        code = getattr(library, function)(*arguments)
    except AttributeError:
        raise NvmlError(f"this driver's NVML has no {function}") from None
    if code != SUCCESS:
        raise NvmlError(f"{function} gave error {code}: {_in_words(library, code)}")


def _in_words(library: Any, code: int) -> str:
    describe = getattr(library, "nvmlErrorString", None)
    if describe is None:
        return "unknown"
    describe.restype = ctypes.c_char_p
    return (describe(code) or b"unknown").decode(errors="replace")
