"""Work a second: calls without a pause between them, waited for at the end only.

A GPU is given its next call while it works on the last one; and what the median of single calls
leaves out (slow calls) counts here. Padding is no work.
"""

import math

from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.measure import Estimate
from zoo.measure.intervals import estimate
from zoo.measure.timing import warm_up

SHARE = 0.2  # of the budget
BLOCKS = 10
LEAST_BLOCKS = 3
"""Of a measure that comes when the time for all is spent."""
BLOCK_S = 0.3
WARM_UP_S = 5.0


def measure(job: MeasureJob) -> MeasureResult:
    """Measure the throughput of a case in one process; the interval is over its blocks."""
    rates: list[float] = []
    violations: list[str] = []
    with job.worker() as worker:
        worker.ready()
        warmed = warm_up(worker, BLOCK_S, WARM_UP_S)
        block = max(BLOCK_S, SHARE * job.settings.budget_s / BLOCKS)
        # calls a block, by the times of the warm-up
        size = warmed.size
        call_s = worker.run(size.samples, size.group).seconds[-1]
        calls = max(1, math.ceil(block / call_s))
        for number in range(BLOCKS):
            if number >= LEAST_BLOCKS and not job.settings.deadline.left():
                break
            ran = worker.run(1, calls)
            rates.append(1 / ran.seconds[0])
            violations += ran.violations
    found = estimate([[math.log(rate) for rate in rates]], len(rates))
    values = {name: Value.of(scaled(found, count), f"{name}/s") for name, count in job.work.items()}
    return MeasureResult(
        values,
        violations=tuple(dict.fromkeys(violations)),
        samples={"calls_per_second": rates, "calls_per_block": calls},
    )


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit: value and interval times `factor`."""
    import dataclasses

    interval = dataclasses.replace(
        estimate.interval, low=factor * estimate.interval.low, high=factor * estimate.interval.high
    )
    return Estimate(factor * estimate.value, interval, estimate.n)
