"""The GPU before it is checked: whether there is one that computes, and who else is on it."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cases import child
from tasks.errors import UserError
from zoo.machine.environment import driver
from zoo.machine.formatting import size
from zoo.measure.process import WorkerFailed

QUERY = ("memory.used", "memory.total", "utilization.gpu", "clocks.sm", "power.limit")
"""Of nvidia-smi: MiB, MiB, percent, MHz, watts."""
MEMORY_SHARE = 0.02
"""An idle GPU's own: the driver holds some hundred MiB of 80 GiB."""
BUSY_PERCENT = 5.0
OTHERWISE = "--device cpu goes through the same parts"
LONGEST_S = 120.0


@dataclass(frozen=True)
class Gpu:
    """A GPU on which a computation has succeeded."""

    name: str
    memory_bytes: int
    has_bf16: bool
    torch: str
    cuda: str
    remarks: tuple[str, ...] = ()
    """lines that its results must be read with"""


def find() -> Gpu:
    """Return the GPU that torch sees first; this process itself does not initialize CUDA.

    Raises `UserError` in one line if there is none, or it cannot be used.
    """
    before = _smi()
    try:
        found: dict[str, Any] = child.call("bench.gpu_check.device:look", {}, timeout_s=LONGEST_S)
    except WorkerFailed as error:
        if error.failed.status == "oom":
            raise UserError(f"--device cuda: out of memory at start; {_held(before)}") from None
        raise UserError(f"--device cuda: {error.failed.reason}") from None
    remarks = list(remarks_of(before))
    if not found["has_bf16"]:
        remarks.append(
            f"{found['name']} has no bf16: bf16 cases are unavailable, and training is in fp32 or "
            "fp16"
        )
    return Gpu(**found, remarks=tuple(remarks))


def look() -> dict[str, Any]:
    """In a process of its own: multiply matrices on the GPU, and return the fields of `Gpu`.

    Raises `UserError` if there is no GPU, torch.OutOfMemoryError if it has too little free
    memory.
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError(why_not(torch.version.cuda, driver(), _fault()))
    ones = torch.ones(1024, 1024, device="cuda")
    assert float((ones @ ones)[0, 0]) == 1024
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "has_bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
    }


def _fault() -> str:
    """Return torch's error message when it initializes CUDA; empty if that succeeds."""
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error)
    return ""


def why_not(cuda: str | None, driver_version: str | None, fault: str) -> str:
    """Return why torch sees no GPU, and what would help.

    Args:
        cuda: the version that torch was built with; None for a build without CUDA.
        driver_version: the version of NVIDIA's driver; None if there is none.
        fault: torch's error message when it initializes CUDA.
    """
    if driver_version is None:
        return f"there is no GPU with an NVIDIA driver here; {OTHERWISE}"
    if cuda is None:
        return (
            f"torch is a build without CUDA, and driver {driver_version} is there: install a CUDA "
            f"build; {OTHERWISE}"
        )
    if "too old" in fault:
        return (
            f"driver {driver_version} is too old for torch's CUDA {cuda}: update it, or install "
            "torch for an older CUDA"
        )
    said = f" ({first_sentence(fault)})" if fault else ""
    return (
        f"torch with CUDA {cuda} sees no GPU behind driver {driver_version}{said}: is "
        "CUDA_VISIBLE_DEVICES empty?"
    )


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, on one line, without its full stop."""
    return re.split(r"[.\n]\s", " ".join(text.split()) + " ")[0].rstrip(". ")


def remarks_of(smi: Mapping[str, float]) -> list[str]:
    """Return remarks on a GPU that other processes use, too: their shares of it.

    Args:
        smi: what `read_smi` returned before this process or a child of it used the GPU.
    """
    used, total = smi.get("memory.used", 0.0), smi.get("memory.total", 0.0)
    share = used / total if total else 0.0
    busy = smi.get("utilization.gpu", 0.0)
    if share < MEMORY_SHARE and busy < BUSY_PERCENT:
        return []
    return [
        f"another process is on the GPU: it holds {share:.0%} of its memory and keeps it "
        f"{busy:.0f}% busy, so times are not the GPU's own"
    ]


def read_smi(line: str) -> dict[str, float]:
    """Return the numbers in a line of nvidia-smi by their names in `QUERY`; unknown ones ("[N/A]")
    are left out."""
    found = {}
    for name, text in zip(QUERY, line.split(","), strict=False):
        try:
            found[name] = float(text)
        except ValueError:
            continue
    return found


def _held(smi: Mapping[str, float]) -> str:
    if "memory.used" not in smi:
        return "end what holds the GPU's memory"
    used, total = (size(smi[f"memory.{name}"] * 2**20, "GiB") for name in ("used", "total"))
    return f"{used} of {total} are held by other processes: end them (nvidia-smi names them)"


def _smi() -> dict[str, float]:
    """Return nvidia-smi's numbers for the first GPU; empty if it does not answer."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return read_smi(done.stdout.split("\n")[0]) if done.returncode == 0 else {}
