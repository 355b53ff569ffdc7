"""Seconds to the first token of a text, and of each further one: medians of one process.

The first takes what goes before it as well: the prompts of a decoder, of Whisper the encoder.
(MLPerf Inference calls them time to first token and time per output token, TTFT and TPOT.) Both as
tokens a second too, of the whole batch; and the memory of keys and values when the texts are
written.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures.lists import median
from bench.record.results import MeasureResult, Value

WARM_UP = 3
LEAST = 10
SHARE = 0.2  # of the budget


def measure(job: MeasureJob) -> MeasureResult:
    """Return the time to the first token and per further token, their rates, and the bytes of the
    cache; n counts generated texts."""
    told = job.ask("bench.measures.generation:run", seconds=SHARE * job.settings.budget_s)
    first, further, sizes = told["first_token"], told["further_token"], told["sizes"]
    values = {"first_token": median(first, "s"), "further_token": median(further, "s")}
    if read := sizes["prompt_tokens"]:
        values["prompt_tokens"] = median((read / each for each in first), "tokens/s")
    rows = sizes["rows"]
    values["further_tokens"] = median((rows / each for each in further), "tokens/s")
    values["cache"] = Value(sizes["cache_bytes"], "bytes")
    return MeasureResult(values, samples=told)


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """In a process of the case: return each text's seconds to the first token and per further
    token, and what a batch has: rows, tokens of its prompts, and bytes of keys and values."""
    made, write, wait = child.load(target, kwargs)
    taken = times(made.stream, write, wait, seconds)
    sizes = {"rows": made.rows, "prompt_tokens": made.prompt_tokens}
    return {**taken, "sizes": {**sizes, "cache_bytes": made.cache_bytes()}}


def times(
    stream: Callable[[], Iterator[Any]],
    write: Callable[[], Any],
    wait: Callable[[], Any],
    seconds: float,
    most: float = math.inf,
) -> dict[str, list[float]]:
    """Return each text's seconds to the first token and per further token.

    Args:
        stream: writes a text, or those of a batch, token by token.
        write: writes it at once, to warm up.
        wait: for the device.
        seconds: that it takes once it is warm, or `LEAST` texts if that is longer.
        most: texts that suffice.
    """
    for _ in range(WARM_UP):
        write()
    wait()
    taken: dict[str, list[float]] = {"first_token": [], "further_token": []}
    until = time.perf_counter() + seconds
    while (done := len(taken["first_token"])) < most and (
        done < LEAST or time.perf_counter() < until
    ):
        begin = time.perf_counter()
        tokens = stream()
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
