"""Graph breaks with their source line, and compilations where there should be none."""

from bench.measures import graph
from tests.bench.jobs import job


def test_a_break_and_a_recompile() -> None:
    found = graph.measure(job("Compiled"))
    values = {name: each.value for name, each in found.values.items()}
    assert values["graphs"] == 2 and values["graph_breaks"] >= 1 and values["recompiles"] >= 1
    assert "tests/bench/targets.py:" in found.violations[0]
    assert any("in the second call: frames compiled" in said for said in found.violations)
