"""The fixture `measured`: a case by the harness's own core, handed to pytest-benchmark.

pytest bench/regression --benchmark-autosave
pytest bench/regression --benchmark-compare --benchmark-compare-fail=median:5%
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cases.case import Case
from bench.cases.job import Settings
from bench.cases.prepare import Preparation
from bench.measures import latency, memory, parity
from bench.regression.replay_timer import ReplayTimer
from zoo.measure.process import WorkerFailed

TIMER = ReplayTimer()
SETTINGS = Settings(budget_s=20.0, launches=3)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these use the timer that replays."""
    for item in items:
        if "measured" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.benchmark(timer=TIMER, disable_gc=False, warmup=False))


@pytest.fixture
def measured(benchmark: Any, tmp_path: Path) -> Callable[[Case], None]:
    """Measures a case: correct first, then its latency, its memory in `extra_info`."""

    def measure(case: Case) -> None:
        try:
            prepared = Preparation(tmp_path, SETTINGS.timeout_s).of(case)
            job = prepared.job(case, SETTINGS)
            agreed = parity.measure(job)
            assert agreed.status == "ok", f"{case}: {agreed.reason}"
            if benchmark.disabled:
                return
            times = latency.measure(job)
            peak = memory.measure(job).values.get("peak")
        except WorkerFailed as error:
            if error.failed.status == "unavailable":
                pytest.skip(f"{case}: {error.failed.reason}")
            raise
        seconds = [
            taken
            for block in times.samples["recording"]["blocks"]
            for taken in block["ran"]["seconds"]
        ]
        median = times.values["median"]
        benchmark.extra_info.update(
            case.to_json(),
            median_interval=dict(median.interval or {}),
            throughput={f"{unit}/s": n / median.value for unit, n in prepared.work.items()},
            peak_memory_bytes=None if peak is None else peak.value,
        )
        TIMER.load(seconds)
        benchmark.pedantic(_replayed, rounds=len(seconds))

    return measure


def _replayed() -> None:
    """The call was made before, in a process of its own."""
