"""Peak memory of a deployment above that of its libraries; and its size on disk.

On Linux the proportional set size (PSS), which shares pages with who else maps them. It is read
every few milliseconds while the process runs; what a short peak has hidden between two looks is
added from the kernel's own record of the resident set (VmHWM), which misses nothing. Elsewhere:
not measured. On a GPU: the peaks of PyTorch's allocator; of other runtimes, which do not use it,
nothing is said.
"""

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob, Settings
from bench.record.results import MeasureResult, Value
from zoo.measure import Arm
from zoo.runtimes.deployment import Deployment

BY_TORCH = ("eager", "compile", "torchao")
"""Runtimes for GPUs that take their memory from PyTorch's allocator."""
EVERY_S = 0.005
PAUSES = 4  # times as long as a look
CALLS = 3
ROLLUP = re.compile(r"^(Rss|Pss): +(\d+) kB$", re.M)


def measure(job: MeasureJob) -> MeasureResult:
    """Return the memory peaks of a case, from one process that loads it and makes a few calls."""
    return of(job.arm, job.settings.timeout_s)


def of(arm: Arm, timeout_s: float = Settings.timeout_s) -> MeasureResult:
    """Return the memory peaks of any arm, from one process that loads it and makes a few calls."""
    if not Path("/proc/self/smaps_rollup").exists():
        return MeasureResult(status="not_measured", reason="memory is measured on Linux only")
    kwargs = {"target": arm.target, "kwargs": dict(arm.kwargs)}
    with child.started("bench.measures.memory:run", kwargs, arm.threads, timeout_s=timeout_s) as (
        pid,
        finish,
    ):
        sampler = Sampler(pid)
        try:
            told = finish()
        finally:
            looks = sampler.stop()
    return found(told, looks)


def found(told: Mapping[str, Any], looks: list[tuple[float, int, int]]) -> MeasureResult:
    """Return the peaks computed from what the process reported and what was sampled from outside.

    Args:
        told: what `run` returned.
        looks: samples of (moment in seconds, RSS in bytes, PSS in bytes).
    """
    base_pss = told["baseline"]["pss"]
    seen = [each for each in looks if each[0] >= told["baseline"]["time"]]
    seen.append((told["end"]["time"], told["end"]["rss"], told["end"]["pss"]))
    most_rss, most_pss = max(rss for _, rss, _ in seen), max(pss for _, _, pss in seen)
    missed = max(0, told["peak_rss"] - most_rss)
    loaded = [each for each in seen if each[0] >= told["loaded"]["time"]]
    calls = max(pss for _, _, pss in loaded)
    values = {
        "peak": Value(max(0, most_pss + missed - base_pss), "bytes", len(seen)),
        "loaded": Value(max(0, told["loaded"]["pss"] - base_pss), "bytes"),
        "calls": Value(max(0, calls - base_pss), "bytes", len(loaded)),
        "libraries": Value(base_pss, "bytes"),
    }
    values |= {name: Value(size, "bytes") for name, size in told["gpu"].items()}
    if told["size"] is not None:
        values["size_on_disk"] = Value(told["size"], "bytes")
    return MeasureResult(values, samples={"missed_between_looks": missed, "process": dict(told)})


class Sampler:
    """Samples the memory of another process from a thread."""

    def __init__(self, pid: int) -> None:
        self.path = Path(f"/proc/{pid}/smaps_rollup")
        self.looks: list[tuple[float, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> list[tuple[float, int, int]]:
        """Stop sampling; return the samples (moment, RSS, PSS)."""
        self._over.set()
        self._thread.join()
        return self.looks

    def _look(self) -> None:
        pause = EVERY_S
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                rss, pss = read(self.path)
            except (OSError, ValueError):  # it has ended
                return
            now = time.monotonic()
            self.looks.append((now, rss, pss))
            # the process can't map pages while it is looked at
            pause = max(EVERY_S, PAUSES * (now - began))


def read(path: Path) -> tuple[int, int]:
    """Return RSS and PSS in bytes from a smaps_rollup file. Raises ValueError if one is missing."""
    sizes = {name: 1024 * int(size) for name, size in ROLLUP.findall(path.read_text())}
    if len(sizes) != 2:
        raise ValueError("a process without memory")
    return sizes["Rss"], sizes["Pss"]


def run(target: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: import libraries, then load and call a target as timing would.

    Returns moments (of CLOCK_MONOTONIC, which all processes share) with RSS and PSS: `baseline`
    after the imports, `loaded`, `end`; `peak_rss` since the baseline; `gpu`; `size`.
    """

    resolve_name(target)
    _import_libraries(kwargs)
    own = Path("/proc/self/smaps_rollup")

    def moment() -> dict[str, float]:
        rss, pss = read(own)
        return {"time": time.monotonic(), "rss": rss, "pss": pss}

    # the kernel's record begins anew: proc(5), clear_refs
    Path("/proc/self/clear_refs").write_text("5")
    cuda = str(kwargs.get("device", "")).startswith("cuda")
    if cuda:
        import torch

        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats()
    baseline = moment()
    _, call, wait = child.load(target, kwargs)
    loaded = moment()
    for _ in range(CALLS):
        call()
    wait()
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
    gpu = {}
    if cuda and _allocates_by_torch(kwargs):
        gpu = {
            "gpu_allocated": torch.cuda.max_memory_allocated(),
            "gpu_reserved": torch.cuda.max_memory_reserved(),
        }
    return {
        "baseline": baseline,
        "loaded": loaded,
        "end": moment(),
        "peak_rss": 1024 * int(peak[1]) if peak else 0,
        "gpu": gpu,
        "size": size_on_disk(kwargs),
    }


def _allocates_by_torch(kwargs: Mapping[str, Any]) -> bool:
    """Return whether the GPU memory of a deployment comes from PyTorch's allocator."""
    return "deployment" not in kwargs or Deployment.parse(kwargs["deployment"]).runtime in BY_TORCH


def _import_libraries(kwargs: Mapping[str, Any]) -> None:
    """Import the deployment's runtime, so that it is not counted as memory of the model."""
    import importlib

    if "deployment" not in kwargs:
        return
    from bench.measures.cold_start import import_runtime

    import_runtime(kwargs["checkpoint"], kwargs["deployment"])
    importlib.import_module("zoo.deploy.timed")


def size_on_disk(kwargs: Mapping[str, Any]) -> int | None:
    """Return the bytes of the artifact or the weights that are deployed."""
    if "deployment" not in kwargs:
        return None
    from zoo.runtimes import artifacts
    from zoo.runtimes.known import RUNTIMES

    folder, wanted = Path(kwargs["checkpoint"]), Deployment.parse(kwargs["deployment"])
    if kwargs.get("artifact"):  # not in its place yet
        return artifacts.read(Path(kwargs["artifact"])).size
    if RUNTIMES[wanted.runtime].artifact:
        return artifacts.open_artifact(folder, wanted).size
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
