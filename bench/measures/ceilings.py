"""What this machine can do at most: FLOP/s of matrix products by dtype, bytes/s of a copy.

Measured once for a machine, its versions and a number of threads, and kept in the cache.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cases import child
from tasks.atomic import write_json
from tasks.data import cache
from zoo.machine import environment
from zoo.measure import usage

FILE = "ceilings.json"
SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # of the square matrices
COPIED = {"cpu": 1 << 28, "cuda": 1 << 32}  # bytes: well above any cache
REPEATS = 5
PACKAGES = ("torch", "python")


@dataclass(frozen=True)
class Ceilings:
    """The best that was seen."""

    flops: Mapping[str, float]
    """FLOP/s, by "fp32", "tf32", "bf16", "fp16", "int8": those that are worth a try here"""
    bytes: float
    """a second, read and written counted"""


def find(device: str, threads: int, timeout_s: float = 600.0) -> Ceilings:
    """From the cache, or measured now. Raises `zoo.measure.process.WorkerFailed`."""
    kind = device.partition(":")[0]
    versions = {name: environment.versions().get(name) for name in PACKAGES}
    how = [SIZES[kind], COPIED[kind], REPEATS]
    said = [environment.machine(gpu=kind == "cuda"), versions, device, threads, how]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    path = cache.folder() / "bench" / FILE
    kept = _kept(path)
    try:
        return Ceilings(**kept[key])
    except (KeyError, TypeError):
        pass
    told = child.call(
        "bench.measures.ceilings:run",
        {"device": device, "threads": threads},
        threads,
        timeout_s=timeout_s,
    )
    if not told.pop("disturbed"):  # what others took part of is no ceiling to keep
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**kept, key: told})
    return Ceilings(**told)


def _kept(path: Path) -> dict[str, Any]:
    """What was measured before, by key; nothing where the file is not there or damaged."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def run(device: str, threads: int) -> dict[str, Any]:
    """In a process of its own."""
    import torch

    torch.set_num_threads(threads)
    before = usage.read()
    kind = device.partition(":")[0]
    wait: Callable[[], None] = torch.cuda.synchronize if kind == "cuda" else lambda: None
    flops = {
        name: max(2 * size**3 / _best(_gemm(name, size, device), wait) for size in SIZES[kind])
        for name in _worth_a_try(kind)
    }
    source = torch.zeros(COPIED[kind], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = 2 * COPIED[kind] / _best(lambda: target.copy_(source), wait)
    disturbed = before.until(usage.read()).disturbed
    return {**asdict(Ceilings(flops, copied)), "disturbed": disturbed}


def _worth_a_try(kind: str) -> tuple[str, ...]:
    import torch

    if kind == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("fp32", "tf32", "fp16", "int8", *(("bf16",) if bf16 else ()))
    return ("fp32", "bf16", "int8")  # fp16 takes minutes on processors


def _gemm(name: str, size: int, device: str) -> Callable[[], Any]:
    import torch

    if name == "int8":
        left = torch.randint(-9, 9, (size, size), dtype=torch.int8, device=device)
        right = torch.randint(-9, 9, (size, size), dtype=torch.int8, device=device)
        return lambda: torch._int_mm(left, right)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name, torch.float32)
    one = torch.randn(size, size, device=device).to(dtype)
    other = torch.randn(size, size, device=device).to(dtype)

    def product() -> Any:
        if one.is_cuda:
            torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        return one @ other

    return product


def _best(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Least seconds of some calls: a ceiling is what an undisturbed one reaches."""
    call()
    wait()
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - begin)
    return min(taken)
