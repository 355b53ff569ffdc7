"""What this machine can do at most: FLOP/s of matrix products by dtype, bytes/s of a copy.

Measured once for a machine, its versions and a number of threads, and kept in the cache. A GPU's
clocks are brought up first.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.measures import clocks
from tasks.atomic import write_json
from tasks.data import cache
from zoo.machine import environment
from zoo.measure import usage

FILE = "ceilings.json"
SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # of the square matrices
COPIED = {"cpu": 1 << 28, "cuda": 1 << 32}  # bytes: well above any cache
REPEATS = 5
METHOD = {"cpu": [], "cuda": ["warm clocks", "int8 by columns", "fp8"]}
"""What has changed in how it is measured: what was kept of before does not count."""
FP8 = (8, 9)  # compute capability: Ada, Hopper
PACKAGES = ("torch", "python")
YOUNG = ("int8", "fp8")
"""Products that older chips and libraries do not have."""


@dataclass(frozen=True)
class Ceilings:
    """The highest FLOP/s and bytes/s that were measured on a device."""

    flops: Mapping[str, float]
    """FLOP/s, by "fp32", "tf32", "bf16", "fp16", "fp8", "int8": those that are worth a try here"""
    bytes: float
    """a second, read and written counted"""
    failed: Mapping[str, str] = field(default_factory=dict)
    """dtypes that PyTorch has no product for here, and what it said"""


def find(device: str, threads: int, timeout_s: float = 600.0) -> Ceilings:
    """Return a device's ceilings from the cache, or measure them now.

    Raises `zoo.measure.process.WorkerFailed`.
    """
    kind = device.partition(":")[0]
    versions = {name: environment.versions().get(name) for name in PACKAGES}
    how = [SIZES[kind], COPIED[kind], REPEATS, *METHOD[kind]]
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
    """Return the cached measurements by key; empty where the file is missing or damaged."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def run(device: str, threads: int) -> dict[str, Any]:
    """In a process of its own: measure the ceilings of a device."""
    import torch

    torch.set_num_threads(threads)
    before = usage.read()
    kind = device.partition(":")[0]
    wait: Callable[[], None] = torch.cuda.synchronize if kind == "cuda" else lambda: None
    gpu = clocks.gpu_of(device)
    flops, failed = {}, {}
    for name in _worth_a_try(kind):
        try:
            flops[name] = _rate(name, device, wait, gpu.clock if gpu else None)
        except RuntimeError as error:  # of PyTorch: this chip, or its library, has no such product
            if "out of memory" in str(error) or name not in YOUNG:
                raise
            failed[name] = str(error).splitlines()[0][:200]
    source = torch.zeros(COPIED[kind], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = 2 * COPIED[kind] / _best(lambda: target.copy_(source), wait)
    disturbed = before.until(usage.read()).disturbed
    return {**asdict(Ceilings(flops, copied, failed)), "disturbed": disturbed}


def _rate(
    name: str, device: str, wait: Callable[[], None], clock: Callable[[], int] | None
) -> float:
    """Return the highest FLOP/s in a dtype over the matrix sizes that are tried."""
    rates = []
    for size in SIZES[device.partition(":")[0]]:
        product = gemm(name, size, device)
        if device.startswith("cuda"):
            clocks.warm(product, wait, clock)
        rates.append(2 * size**3 / _best(product, wait))
    return max(rates)


def _worth_a_try(kind: str) -> tuple[str, ...]:
    import torch

    if kind == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        fp8 = torch.cuda.get_device_capability() >= FP8
        young = (*(("bf16",) if bf16 else ()), *(("fp8",) if fp8 else ()))
        return ("fp32", "tf32", "fp16", "int8", *young)
    return ("fp32", "bf16", "int8")  # fp16 takes minutes on processors


def gemm(name: str, size: int, device: str) -> Callable[[], Any]:
    """Return a function that multiplies two square matrices of `size` rows in a dtype's arithmetic.

    On a GPU the second matrix of int8 and fp8 lies by columns: of one by rows cuBLASLt has only a
    slow int8 kernel (github.com/pytorch/pytorch/issues/187094), and no fp8 product at all.
    """
    import torch

    on_gpu = torch.device(device).type == "cuda"
    if name in YOUNG:
        left, right = (
            torch.randint(-9, 9, (size, size), dtype=torch.int8, device=device) for _ in range(2)
        )
        if on_gpu:
            right = right.t()
        if name == "int8":
            return lambda: torch._int_mm(left, right)
        fp8, one = torch.float8_e4m3fn, torch.ones((), device=device)
        eights = left.half().to(fp8), right.half().t().to(fp8).t()
        options: dict[str, Any] = {"scale_a": one, "scale_b": one, "out_dtype": torch.bfloat16}
        return lambda: torch._scaled_mm(*eights, **options, use_fast_accum=on_gpu)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name, torch.float32)
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def product() -> Any:
        if one.is_cuda:
            torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        return one @ other

    return product


def _best(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Return the least seconds of several calls: a ceiling is what an undisturbed call reaches."""
    call()
    wait()
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - begin)
    return min(taken)
