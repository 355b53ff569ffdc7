"""Seconds to the first token of a text, and of each further one: medians of one process.

The first takes what goes before it as well: of Whisper the encoder. (MLPerf Inference calls them
time to first token and time per output token.)
"""

import time
from collections.abc import Mapping
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures import lists
from bench.record.results import MeasureResult

WARM_UP = 3
LEAST = 10
SHARE = 0.2  # of the budget


def measure(job: MeasureJob) -> MeasureResult:
    """Return the time to the first token and per further token; n counts generated texts."""
    return lists.told_by("bench.measures.generation:run", job, SHARE)


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, list[float]]:
    """In a new process: return each text's seconds to the first token and per further token."""
    made, _, wait = child.load(target, kwargs)
    for _ in range(WARM_UP):
        made.call()
    wait()
    taken: dict[str, list[float]] = {"first_token": [], "further_token": []}
    until = time.perf_counter() + seconds
    while len(taken["first_token"]) < LEAST or time.perf_counter() < until:
        begin = time.perf_counter()
        tokens = made.stream()
        next(tokens)
        wait()
        first = time.perf_counter()
        further = sum(1 for _ in tokens)
        wait()
        rest = time.perf_counter() - first
        taken["first_token"].append(round(first - begin, 9))
        # never below the clock's resolution: its logarithm is taken
        taken["further_token"].append(max(round(rest / further, 9), 1e-9))
    return taken
