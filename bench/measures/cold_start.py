"""How long until the first answer: import, load, first call; compiling with its cache cold and
warm.

Inductor's cache lies in a folder of the case's own. The system's cache of files is as it was.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures import COMPILED
from bench.record.results import MeasureResult, Value
from zoo.measure import usage
from zoo.runtimes.deployment import Deployment

LAUNCHES = 3
STEPS = ("import", "load", "first_call")
STEADY_CALLS = 5


def measure(job: MeasureJob) -> MeasureResult:
    """Return medians over `LAUNCHES` processes with a warm cache; a program that is compiled at its
    start is also measured once with an empty cache."""
    compiled = Deployment.parse(job.case.deployment).runtime in COMPILED
    kwargs = {"target": job.arm.target, "kwargs": dict(job.arm.kwargs)}
    with tempfile.TemporaryDirectory(prefix="zoo-bench-inductor-") as folder:
        environ = {"TORCHINDUCTOR_CACHE_DIR": folder} if compiled else {}

        def start() -> dict[str, float]:
            told: dict[str, float] = child.call(
                "bench.measures.cold_start:run",
                kwargs,
                job.arm.threads,
                environ,
                job.settings.timeout_s,
                job.fresh,
            )
            return told

        cold = start() if compiled else None
        warm = [start() for _ in range(LAUNCHES)]
    values = {name: Value(_median(warm, name), "s", LAUNCHES) for name in (*STEPS, "steady_call")}
    total = statistics.median(sum(each[step] for step in STEPS) for each in warm)
    values["total"] = Value(total, "s", LAUNCHES)
    if cold:
        steady = _median(warm, "steady_call")
        values["cold_cache_first_call"] = Value(cold["first_call"], "s")
        values["cold_cache_total"] = Value(sum(cold[step] for step in STEPS), "s")
        values["compile_cold"] = Value(max(0.0, cold["first_call"] - steady), "s")
        first = _median(warm, "first_call")
        values["compile_warm"] = Value(max(0.0, first - steady), "s", LAUNCHES)
    starts = [*warm, cold] if cold else warm
    disturbed = sum(bool(each["disturbed"]) for each in starts)
    note = f"others disturbed {disturbed} of {len(starts)} starts" if disturbed else ""
    return MeasureResult(values, reason=note, samples={"warm": warm, "cold": cold})


def _median(starts: list[dict[str, float]], name: str) -> float:
    return statistics.median(each[name] for each in starts)


def run(target: str, kwargs: Mapping[str, Any]) -> dict[str, float]:
    """In a process of its own: return the seconds of each step of a start, and of a later call."""

    before = usage.read()
    began = time.perf_counter()
    if "deployment" in kwargs:
        import_runtime(kwargs["checkpoint"], kwargs["deployment"])
    resolve_name(target)
    imported = time.perf_counter()
    _, call, wait = child.load(target, kwargs)
    loaded = time.perf_counter()
    call()
    wait()
    answered = time.perf_counter()
    disturbed = before.until(usage.read()).disturbed
    later = []
    for _ in range(STEADY_CALLS):
        begin = time.perf_counter()
        call()
        wait()
        later.append(time.perf_counter() - begin)
    return {
        "import": imported - began,
        "load": loaded - imported,
        "first_call": answered - loaded,
        "steady_call": statistics.median(later),
        "disturbed": disturbed,
    }


def import_runtime(checkpoint: str, deployment: str) -> None:
    """Import what a deployment needs: an artifact's runtime, or PyTorch and the network."""
    import importlib

    from zoo.model import registry
    from zoo.runtimes.known import RUNTIMES
    from zoo.store.checkpoint import read_manifest

    importlib.import_module("zoo.deploy.timed")
    runtime = RUNTIMES[Deployment.parse(deployment).runtime]
    importlib.import_module(runtime.module)
    if runtime.artifact:
        for name in runtime.packages:
            if name != "onnxscript":  # of the export alone
                importlib.import_module(name)
        if not runtime.packages:
            importlib.import_module("torch")
        return
    name = read_manifest(Path(checkpoint))["model"]
    importlib.import_module("zoo.predict.pipeline")
    importlib.import_module(registry.find(name).network)
