"""What torch.compile made of a network: graphs, and breaks with their reason and source line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.machine.environment import ROOT


def measure(job: MeasureJob) -> MeasureResult:
    """Count graph breaks and compilations. Violations are each graph break, a compilation in the
    second call, and, on a GPU, a CUDA graph that the mode promises and that was not captured."""
    told = job.ask("bench.measures.graph:run")
    return found(told, job.case.device.startswith("cuda"))


def found(told: Mapping[str, Any], on_gpu: bool) -> MeasureResult:
    """Return the values and violations computed from what `run` returned."""
    breaks = [f"graph break: {reason} ({where})" for reason, where in told["breaks"]]
    values = {
        "graphs": Value(told["graphs"], "1"),
        "graph_breaks": Value(len(breaks), "1"),
        "recompiles": Value(told["recompiles"], "1"),
    }
    skipped = []
    if on_gpu:  # a processor has none, whatever the mode
        values["cuda_graphs_skipped"] = Value(told["skipped"], "1")
        skipped = ["a CUDA graph was not captured"] if told["skipped"] else []
    return MeasureResult(values, violations=(*breaks, *skipped, *told["again"]))


def run(target: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """In a process that has compiled nothing else: run two calls and return the counts."""
    from torch._dynamo.utils import counters, graph_break_reasons

    made, *_ = child.load(target, kwargs)
    made.call()
    graphs = counters["stats"]["unique_graphs"]
    made.violations()
    made.call()
    breaks = [
        [reason.reason.splitlines()[0], _place(reason.user_stack)] for reason in graph_break_reasons
    ]
    return {
        "graphs": graphs,
        "breaks": breaks,
        "recompiles": counters["stats"]["unique_graphs"] - graphs,
        "skipped": counters["inductor"]["cudagraph_skips"],
        "again": [f"in the second call: {said}" for said in made.violations()],
    }


def _place(stack: Any) -> str:
    """Return file and line of the innermost frame, without the folders of this machine."""
    if not stack:
        return "no source line"
    path = Path(stack[-1].filename)
    for root in (ROOT, *(parent for parent in path.parents if parent.name == "site-packages")):
        if path.is_relative_to(root):
            return f"{path.relative_to(root)}:{stack[-1].lineno}"
    return f"{path.name}:{stack[-1].lineno}"
