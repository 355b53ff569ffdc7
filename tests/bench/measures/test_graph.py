"""Graph breaks with their source line, and compilations where there should be none."""

from bench.measures import graph
from tests.bench.jobs import job


def test_a_break_and_a_recompile() -> None:
    found = graph.measure(job("Compiled"))
    values = {name: each.value for name, each in found.values.items()}
    assert values["graphs"] == 2 and values["graph_breaks"] >= 1 and values["recompiles"] >= 1
    assert "tests/bench/targets.py:" in found.violations[0]
    assert any("in the second call: frames compiled" in said for said in found.violations)


def test_a_cuda_graph_that_was_not_captured() -> None:
    """Of a GPU that is made up; a processor captures none, and that is no fault."""
    told = {"graphs": 1, "breaks": [], "recompiles": 0, "again": [], "skipped": 2}
    found = graph.found(told, on_gpu=True)
    assert found.violations == ("a CUDA graph was not captured",)
    assert found.values["cuda_graphs_skipped"].value == 2
    assert graph.found({**told, "skipped": 0}, on_gpu=True).violations == ()
    on_cpu = graph.found(told, on_gpu=False)
    assert on_cpu.violations == () and "cuda_graphs_skipped" not in on_cpu.values
