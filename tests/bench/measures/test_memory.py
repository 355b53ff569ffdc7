"""Memory of known allocations."""

from pathlib import Path

import pytest

from bench.measures import memory
from bench.record.results import MeasureResult
from tests.bench.jobs import job

GIB = 1 << 30
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is measured on Linux only"
)


def test_what_is_freed_at_once() -> None:
    values = memory.measure(job("touch", size=GIB // 4)).values
    assert values["peak"].value == pytest.approx(GIB / 4, rel=0.05)
    assert values["loaded"].value < 0.05 * GIB


def test_what_is_kept() -> None:
    values = memory.measure(job("keep", size=GIB // 4)).values
    for name in ("loaded", "peak", "calls"):
        assert values[name].value == pytest.approx(GIB / 4, rel=0.05)


def test_nothing() -> None:
    assert memory.measure(job("sleep", seconds=0.01)).values["peak"].value < 8 << 20


def test_what_no_look_has_seen_is_in_the_kernels_record() -> None:
    base = {"time": 0.0, "rss": 100 << 20, "pss": 60 << 20}
    told = {
        "baseline": base,
        "loaded": base | {"time": 1.0},
        "end": base | {"time": 2.0},
        "peak_rss": 600 << 20,
        "gpu": {},
        "size": None,
    }
    seen: MeasureResult = memory.found(told, [(1.5, 500 << 20, 460 << 20)])
    assert seen.values["peak"].value == 500 << 20  # 400 seen, 100 missed
    assert seen.samples["missed_between_looks"] == 100 << 20
