"""Results made up as bench run writes them, so that reports can be tested without measuring."""

from collections.abc import Mapping
from typing import Any

from bench.cases.case import Case
from bench.record.results import MeasureResult, Result, Status, Value

MACHINE = {"os": "Linux", "arch": "x86_64", "cpu": "Some Processor @ 2 GHz", "isa": ["avx2"]}
MACHINE |= {"cores": 2, "memory_bytes": 24 * 2**30}
VERSIONS = {"python": "3.11.2", "torch": "2.13.0", "onnxruntime": "1.31.1"}
ORIGIN = {
    "machine": MACHINE,
    "versions": VERSIONS,
    "commit": "0123456789abcdef",
    "dirty": True,
    "time": "2026-11-22T00:00:00+00:00",
}
CEILINGS = {"bf16": 4e11, "amic": 3e11}
"""FLOP/s by how a deployment's name ends: +bf16, +int8-dynamic."""


def sampled(value: float, unit: str, spread: float = 0.02) -> Value:
    """A number with an interval of that relative halfwidth."""
    interval = {"low": value / (1 + spread), "high": value * (1 + spread)}
    return Value(value, unit, 30, {**interval, "level": 0.99, "method": "made up"})


def result(
    case: Case,
    measure: str,
    values: Mapping[str, Value] | None = None,
    status: Status = "ok",
    reason: str = "",
    key: str = "",
    **origin: Any,
) -> Result:
    """One line of a file."""
    length = case.workload.length or 128.0
    work = {"samples": case.workload.batch, "tokens": case.workload.batch * length}
    found = MeasureResult(values or {}, status, reason)
    return Result(key or str(case), case, measure, found, 1.0, work, {**ORIGIN, **origin})


def measured(
    case: Case,
    seconds: float,
    *,
    start: float = 2.0,
    cold: float | None = None,
    memory: float = 100e6,
    size: float = 90e6,
    sqnr: float = 130.0,
    spread: float = 0.02,
    flops: float = 1e9,
    **origin: Any,
) -> list[Result]:
    """All measures of a case that went well; `seconds` is the median of a call."""
    rate = case.workload.batch / seconds
    length = case.workload.length or 128.0
    begin = {"import": 0.5 * start, "load": 0.3 * start, "first_call": 0.2 * start, "total": start}
    cold_start = {name: Value(value, "s", 3) for name, value in begin.items()}
    if cold is not None:
        cold_start["cold_cache_total"] = Value(cold, "s")
    return [
        result(case, "parity", {"sqnr": Value(sqnr, "dB")}, **origin),
        result(
            case,
            "latency",
            {"median": sampled(seconds, "s", spread), "p95": sampled(1.2 * seconds, "s")},
            **origin,
        ),
        result(
            case,
            "throughput",
            {
                "samples": sampled(rate, "samples/s"),
                "tokens": sampled(rate * length, "tokens/s"),
            },
            **origin,
        ),
        result(
            case,
            "memory",
            {"peak": Value(memory, "bytes"), "size_on_disk": Value(size, "bytes")},
            **origin,
        ),
        result(case, "cold_start", cold_start, **origin),
        result(
            case,
            "work",
            {
                "flops": Value(flops, "1"),
                "least_bytes": Value(size, "bytes"),
                "ceiling_flops": Value(CEILINGS.get(case.deployment[-4:], 1.4e11), "FLOP/s"),
                "ceiling_bytes": Value(2e10, "bytes/s"),
                "least_seconds": Value(max(flops / 1.4e11, size / 2e10), "s"),
            },
            reason="bound by FLOPs",
            **origin,
        ),
    ]


def failed(case: Case, status: Status, reason: str, **origin: Any) -> list[Result]:
    """A case that has nothing but why."""
    return [result(case, "parity", status=status, reason=reason, **origin)]


GPU = {
    **MACHINE,
    "gpu": "NVIDIA H200",
    "gpu_count": 1,
    "gpu_memory_bytes": 150 * 10**9,
    "gpu_driver": "580.65.06",
    "gpu_clock_mhz": 1980,
    "gpu_memory_clock_mhz": 3201,
    "gpu_power_limit_w": 700,
}
"""A machine with a GPU, as `zoo.machine.environment` tells it."""


def on_gpu(
    case: Case,
    seconds: float,
    *,
    flops: float = 1e12,
    allocated: float = 2e9,
    compile_s: float | None = None,
) -> list[Result]:
    """All measures of a case that went well on a GPU; numbers are made up."""
    kept = {each.measure: each for each in measured(case, seconds, flops=flops, machine=GPU)}
    samples = case.workload.batch
    work = {**kept["work"].found.values, "ceiling_flops": Value(7e14, "FLOP/s")}
    work |= {"sheet_flops": Value(9.894e14, "FLOP/s"), "ceiling_bytes": Value(4e12, "bytes/s")}
    work["least_seconds"] = Value(flops / 7e14, "s")
    memory = {**kept["memory"].found.values, "gpu_allocated": Value(allocated, "bytes")}
    start = dict(kept["cold_start"].found.values)
    if compile_s is not None:
        start["compile_cold"] = Value(compile_s, "s")
        start["cold_cache_total"] = Value(compile_s + 10.0, "s")
    device = {
        "host": sampled(0.9 * seconds, "s"),
        "device": sampled(0.95 * seconds, "s"),
        "busy": Value(0.75 * seconds, "s", 50),
        "waited": Value(0.25, "1", 50),
        "sm_clock": Value(1755.0, "MHz", 5),
        "do_bench": Value(0.94 * seconds, "s"),
        "over_do_bench": Value(1 / 0.94, "1", 50),
    }
    energy = {
        "call": Value(600 * seconds, "J", 100),
        "sample": Value(600 * seconds / samples, "J", 100),
        "idle_power": Value(75.0, "W"),
        "sample_above_idle": Value(525 * seconds / samples, "J", 100),
    }
    more = {"work": work, "memory": memory, "cold_start": start}
    more |= {"device_time": device, "energy": energy}
    rest = [kept[name] for name in ("parity", "latency", "throughput")]
    reasons = {"work": "bound by FLOPs"}
    return rest + [
        result(case, name, values, reason=reasons.get(name, ""), machine=GPU)
        for name, values in more.items()
    ]
