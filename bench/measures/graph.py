"""What torch.compile made of a network: graphs, and breaks with their reason and source line."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.machine.environment import ROOT


def measure(job: MeasureJob) -> MeasureResult:
    """Each break is a violation: it was to be one graph. So is a compilation in the second call."""
    told = child.ask("bench.measures.graph:run", job.arm, job.settings.timeout_s)
    breaks = [f"graph break: {reason} ({where})" for reason, where in told["breaks"]]
    return MeasureResult(
        {
            "graphs": Value(told["graphs"], "1"),
            "graph_breaks": Value(len(breaks), "1"),
            "recompiles": Value(told["recompiles"], "1"),
        },
        violations=(*breaks, *told["again"]),
    )


def run(target: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: two calls."""
    from torch._dynamo.utils import counters, graph_break_reasons

    made = resolve_name(target)(**kwargs)
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
        "again": [f"in the second call: {said}" for said in made.violations()],
    }


def _place(stack: Any) -> str:
    """File and line of the innermost frame, without the folders of this machine."""
    if not stack:
        return "no source line"
    path = Path(stack[-1].filename)
    for root in (ROOT, *(parent for parent in path.parents if parent.name == "site-packages")):
        if path.is_relative_to(root):
            return f"{path.relative_to(root)}:{stack[-1].lineno}"
    return f"{path.name}:{stack[-1].lineno}"
