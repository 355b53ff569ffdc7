"""What a deployment loses: the error of its outputs beside those of eager fp32.

The task's metric would say more, and needs data; `bench decide` measures that. Inputs are random
here, for which a calibrated program (int8-static) was not made: of those nothing is said.
"""

from bench.measures import FIRST
from bench.report.data import Row
from zoo.deploy import parity
from zoo.runtimes.deployment import Deployment


def is_rounding(row: Row) -> bool:
    """Return whether a row computes in fp32 what eager computes, in another order."""
    return _tolerance(row).multiple is not None


def share(row: Row) -> float | None:
    """Root mean square of the error over that of the outputs; 0 of what only rounds otherwise,
    which `bench.measures.parity` has shown. None where it is not measured."""
    if not row.is_proven:
        return None
    if is_rounding(row):
        return 0.0
    if _tolerance(row).calibrated:
        return None
    sqnr = row.value(FIRST, "sqnr")
    if sqnr is None:
        return None
    return float(10 ** (-sqnr.value / 20))


def _tolerance(row: Row) -> parity.Tolerance:
    return parity.tolerance_of(Deployment.parse(row.case.deployment).numerics)
